"""The boxes of many annotated images as columns, image after image: what a million of them are kept in while read.

Rows of different files are put together, and in order, without an object for each box.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from annotations.words import Words


class ImageRow(NamedTuple):
    """What stands in the Images table about one image, and who gives the picture that its annotation file holds."""

    image_id: str
    path: str
    width: int
    height: int
    split: str
    flags: str
    source: str
    group: str = ""
    embedded: Callable[[], bytes] | None = None


class DrawnColumns(NamedTuple):
    """Images and their boxes in pixels; the boxes of an image stand together, the images' in the images' order.

    `boxes` (I,) is how many each image has. Of each of N boxes: its label, group ("" for none) and shape type, `xyxy`
    (N, 4) pixels inside its frame, `parent`, a place among the boxes of its own image or `linking.NONE`, and `number`,
    its number in its annotation file. `renamed` are the labels that were given another name.
    """

    images: list[ImageRow]
    boxes: NDArray[np.int64]
    label: Words
    group_id: Words
    shape_type: Words
    xyxy: NDArray[np.float64]
    parent: NDArray[np.int64]
    number: NDArray[np.int64]
    renamed: frozenset[str]

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
            images=[self.images[row] for row in order.tolist()],
            boxes=boxes,
            label=self.label.take(rows),
            group_id=self.group_id.take(rows),
            shape_type=self.shape_type.take(rows),
            xyxy=self.xyxy[rows],
            parent=self.parent[rows],
            number=self.number[rows],
        )


def joined(parts: Iterable[DrawnColumns]) -> DrawnColumns:
    """Return the images of all these columns, one after the other; none give columns without rows."""
    columns = list(parts)
    return DrawnColumns(
        images=[image for part in columns for image in part.images],
        boxes=np.concatenate([np.zeros(0, np.int64), *(part.boxes for part in columns)]),
        label=Words.joined([part.label for part in columns]),
        group_id=Words.joined([part.group_id for part in columns]),
        shape_type=Words.joined([part.shape_type for part in columns]),
        xyxy=np.concatenate([np.zeros((0, 4)), *(part.xyxy for part in columns)]),
        parent=np.concatenate([np.zeros(0, np.int64), *(part.parent for part in columns)]),
        number=np.concatenate([np.zeros(0, np.int64), *(part.number for part in columns)]),
        renamed=frozenset[str]().union(*(part.renamed for part in columns)),
    )
