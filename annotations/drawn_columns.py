"""The boxes of many annotated images as columns, image after image: what a million of them are kept in while read.

Rows of different files are put together, and in order, without an object for each box.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from annotations.columns import fixed
from annotations.tables import Images
from annotations.words import Words


class ImageRow(NamedTuple):
    """What stands in the Images table about one image."""

    image_id: str
    path: str
    width: int
    height: int
    split: str
    flags: str
    source: str
    group: str = ""


def image_table(rows: Sequence[ImageRow]) -> Images:
    """Return the table of these rows."""
    image_id, path, width, height, split, flags, source, group = zip(*rows, strict=True) if rows else [()] * 8
    return Images(
        image_id=fixed(np.array(image_id, np.str_)),
        path=fixed(np.array(path, np.str_)),
        width=fixed(np.array(width, np.int64)),
        height=fixed(np.array(height, np.int64)),
        split=fixed(np.array(split, np.str_)),
        group=fixed(np.array(group, np.str_)),
        flags=fixed(np.array(flags, np.str_)),
        source=fixed(np.array(source, np.str_)),
    )


class DrawnColumns(NamedTuple):
    """Images and their boxes in pixels; the boxes of an image stand together, the images' in the images' order.

    `boxes` (I,) is how many each image has. Of each of N boxes: its label, group ("" for none) and shape type, `xyxy`
    (N, 4) pixels inside its frame, `parent`, a place among the boxes of its own image or `linking.NONE`, and `number`,
    its number in its annotation file. `renamed` are the labels that were given another name. `embedded` gives, for the
    row of an image without a picture file, the bytes of the picture that its annotation file holds.
    """

    images: Images
    boxes: NDArray[np.int64]
    label: Words
    group_id: Words
    shape_type: Words
    xyxy: NDArray[np.float64]
    parent: NDArray[np.int64]
    number: NDArray[np.int64]
    renamed: frozenset[str]
    embedded: Mapping[int, Callable[[], bytes]]

    @property
    def image_row(self) -> NDArray[np.int64]:
        """Return the (N,) row of each box's image."""
        return np.repeat(np.arange(len(self.boxes)), self.boxes)

    @property
    def first_box(self) -> NDArray[np.int64]:
        """Return the (I,) row of each image's first box, if it has one."""
        return np.cumsum(self.boxes) - self.boxes

    def in_order(self, order: NDArray[np.int64]) -> Self:
        """Return the columns with their images in the order of these (I,) rows."""
        boxes = self.boxes[order]
        # The n-th box of an image is the n-th one behind its first.
        steps = np.arange(len(self.xyxy)) - np.repeat(np.cumsum(boxes) - boxes, boxes)
        rows = np.repeat(self.first_box[order], boxes) + steps
        return self._replace(
            images=self.images.take(order),
            boxes=boxes,
            label=self.label.take(rows),
            group_id=self.group_id.take(rows),
            shape_type=self.shape_type.take(rows),
            xyxy=self.xyxy[rows],
            parent=self.parent[rows],
            number=self.number[rows],
            embedded={new: self.embedded[old] for new, old in enumerate(order.tolist()) if old in self.embedded},
        )


def joined(parts: Iterable[DrawnColumns]) -> DrawnColumns:
    """Return the images of all these columns, one after the other; none give columns without rows."""
    columns = list(parts)
    first = np.cumsum([0, *(len(part.images) for part in columns)]).tolist()
    return DrawnColumns(
        images=Images.joined([part.images for part in columns]),
        boxes=np.concatenate([np.zeros(0, np.int64), *(part.boxes for part in columns)]),
        label=Words.joined([part.label for part in columns]),
        group_id=Words.joined([part.group_id for part in columns]),
        shape_type=Words.joined([part.shape_type for part in columns]),
        xyxy=np.concatenate([np.zeros((0, 4)), *(part.xyxy for part in columns)]),
        parent=np.concatenate([np.zeros(0, np.int64), *(part.parent for part in columns)]),
        number=np.concatenate([np.zeros(0, np.int64), *(part.number for part in columns)]),
        renamed=frozenset[str]().union(*(part.renamed for part in columns)),
        embedded={
            ahead + row: give
            for ahead, part in zip(first, columns, strict=False)
            for row, give in part.embedded.items()
        },
    )
