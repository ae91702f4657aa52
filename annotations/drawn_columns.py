"""The boxes of many annotated images as columns, image after image: what a million of them are kept in while read.

Rows of different files are put together, and in order, without an object for each box.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray


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


Value = TypeVar("Value", bound=Hashable)


def coded(values: Sequence[Value]) -> tuple[tuple[Value, ...], NDArray[np.int64]]:
    """Return the different values in the order in which they first stand, and the (N,) place of each value in it."""
    code_of = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return tuple(code_of), np.fromiter(map(code_of.__getitem__, values), np.int64, len(values))


class Words(NamedTuple):
    """A column of few different texts: row n holds `words[codes[n]]`; a word may stand in no row."""

    words: tuple[str, ...]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Return the column of these texts."""
        return cls(*coded(texts))

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the rows of these columns, one column after the other."""
        code_of: dict[str, int] = {}
        codes = [np.zeros(0, np.int64)]
        for words, rows in columns:
            new_code = np.array([code_of.setdefault(word, len(code_of)) for word in words], np.int64)
            codes.append(new_code[rows] if len(rows) else rows)
        return cls(tuple(code_of), np.concatenate(codes))

    def used(self) -> set[str]:
        """Return the words that stand in a row."""
        seen = np.bincount(self.codes, minlength=len(self.words)) > 0
        return {word for word, is_used in zip(self.words, seen.tolist(), strict=True) if is_used}

    def texts(self) -> NDArray[np.str_]:
        """Return the (N,) texts."""
        return np.array(self.words, np.str_)[self.codes] if len(self.codes) else np.zeros(0, np.str_)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the column of these rows (or of a mask's true rows)."""
        return self._replace(codes=self.codes[rows])


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
