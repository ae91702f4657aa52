"""The three tables that all packages share: Images, Annotations (the truth) and Detections.

Each is a frozen dataclass of read-only numpy columns of one length. A box stands in normalised coordinates, exactly as
it stands in the files (`xyxy_rel`); `pixels` gives it in pixels of its own image. Text keys (`image_id`) live in the
Images table only; the other tables point at its rows with `image_row`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column, fixed, text_column

Boxes = NDArray[np.float64]
SPLITS = ("train", "val", "test")
NO_PARENT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """One row an image; `width` and `height` are the displayed size in pixels (after EXIF rotation).

    `image_id` is unique text; `path` is relative to the dataset directory, with `/`; `split` is train, val, test or "";
    `flags` holds the names of the true flags, joined by ";"; `source` is the annotation file, relative to its root;
    `labels` is the label image (see `annotations.label_images`), relative to the dataset directory, or "".
    """

    image_id: NDArray[np.str_]
    path: NDArray[np.str_]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    split: NDArray[np.str_]
    group: NDArray[np.str_]
    flags: NDArray[np.str_]
    source: NDArray[np.str_]
    labels: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))

    def __post_init__(self) -> None:
        rows = len(self.image_id)
        if rows and not len(self.labels):
            object.__setattr__(self, "labels", np.full(rows, "", np.str_))
        for name in ("image_id", "path", "split", "group", "flags", "source", "labels"):
            object.__setattr__(self, name, text_column("Images", name, getattr(self, name), rows))
        for name in ("width", "height"):
            object.__setattr__(self, name, column("Images", name, getattr(self, name), np.int64, (rows,)))

    def __len__(self) -> int:
        return len(self.image_id)

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """Return the rows of these tables, one table after the other; none give a table without rows."""
        columns = {}
        for name in cls.__slots__:
            none = np.zeros(0, np.int64 if name in ("width", "height") else np.str_)
            columns[name] = fixed(np.concatenate([none, *(getattr(table, name) for table in tables)]))
        return cls(**columns)

    def rows_of(self, split: str) -> NDArray[np.int64]:
        """Return the (K,) rows whose split is `split`, ascending."""
        return np.flatnonzero(self.split == split)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the table of these (K,) rows, in that order."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """Ground-truth boxes; `xyxy_rel` is (N, 4) float64 in [0, 1], xmin < xmax and ymin < ymax.

    `object_id` is unique in the dataset; `parent_id` is the object_id of the object that a part belongs to, or
    NO_PARENT; `group_id` is Labelme's number as text, or "" where there was none; `class_id` counts from 0 in the
    dataset's `classes`. `crowd` marks a region of many objects that nobody drew one by one, `ignore` an object that
    need not be found (VOC calls it difficult); neither counts as truth, and without them all are false.
    """

    image_row: NDArray[np.int64]
    object_id: NDArray[np.int64]
    parent_id: NDArray[np.int64]
    group_id: NDArray[np.str_]
    class_id: NDArray[np.int64]
    xyxy_rel: Boxes
    shape_type: NDArray[np.str_]
    crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    ignore: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        rows = len(self.image_row)
        for name in ("crowd", "ignore"):
            values = getattr(self, name) if len(getattr(self, name)) else np.zeros(rows, np.bool_)
            object.__setattr__(self, name, column("Annotations", name, values, np.bool_, (rows,)))
        for name in ("image_row", "object_id", "parent_id", "class_id"):
            object.__setattr__(self, name, column("Annotations", name, getattr(self, name), np.int64, (rows,)))
        for name in ("group_id", "shape_type"):
            object.__setattr__(self, name, text_column("Annotations", name, getattr(self, name), rows))
        object.__setattr__(self, "xyxy_rel", column("Annotations", "xyxy_rel", self.xyxy_rel, np.float64, (rows, 4)))

    def __len__(self) -> int:
        return len(self.image_row)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the table of these (K,) rows (or of a (N,) mask's true rows), in that order."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What a detector found; `xyxy_rel` is (N, 4) float64 normalised by the image's size, `score` is in [0, 1].

    `object_id` is unique in the table; `parent_id` is the object_id of the detected object that a part belongs to, or
    NO_PARENT.
    """

    image_row: NDArray[np.int64]
    object_id: NDArray[np.int64]
    parent_id: NDArray[np.int64]
    class_id: NDArray[np.int64]
    score: NDArray[np.float64]
    xyxy_rel: Boxes

    def __post_init__(self) -> None:
        rows = len(self.image_row)
        for name in ("image_row", "object_id", "parent_id", "class_id"):
            object.__setattr__(self, name, column("Detections", name, getattr(self, name), np.int64, (rows,)))
        object.__setattr__(self, "score", column("Detections", "score", self.score, np.float64, (rows,)))
        object.__setattr__(self, "xyxy_rel", column("Detections", "xyxy_rel", self.xyxy_rel, np.float64, (rows, 4)))

    def __len__(self) -> int:
        return len(self.image_row)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the table of these (K,) rows (or of a (N,) mask's true rows), in that order."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True, eq=False)
class BoxDataset:
    """A box dataset: its tables, its class names and which class is a part of which.

    `root` is the directory that `images.path` is relative to; `parts` maps a part's class name to its object's.
    """

    root: Path
    classes: tuple[str, ...]
    parts: Mapping[str, str]
    images: Images
    annotations: Annotations
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def part_class_ids(self) -> NDArray[np.int64]:
        """Return the (P,) class ids that are parts, ascending."""
        return np.array([i for i, name in enumerate(self.classes) if name in self.parts], np.int64)

    @property
    def object_class_ids(self) -> NDArray[np.int64]:
        """Return the (K,) class ids that are no parts, ascending."""
        return np.array([i for i, name in enumerate(self.classes) if name not in self.parts], np.int64)

    def picture(self, row: int) -> Path:
        """Return the path of the picture of this row of `images`."""
        return self.root / str(self.images.path[row])

    def split(self, name: str) -> Self:
        """Return the dataset of one split alone; `image_row` is renumbered to its own `images`."""
        return self.of_images(self.images.rows_of(name))

    def of_images(self, rows: NDArray[np.int64]) -> Self:
        """Return the dataset of these (K,) image rows alone, in that order; `image_row` is renumbered."""
        new_row = np.full(len(self.images), -1, np.int64)
        new_row[rows] = np.arange(len(rows))
        kept = self.annotations.take(new_row[self.annotations.image_row] >= 0)
        kept = replace(kept, image_row=new_row[kept.image_row])
        return replace(self, images=self.images.take(rows), annotations=kept)


def pixels(images: Images, image_row: NDArray[np.int64], xyxy_rel: Boxes) -> Boxes:
    """Return the (N, 4) xyxy boxes in pixels of their own image, from normalised ones; zero rows give (0, 4)."""
    own = sides(images)[image_row]
    return np.multiply(xyxy_rel, own, out=own)


def relative(images: Images, image_row: NDArray[np.int64], xyxy: Boxes) -> Boxes:
    """Return the (N, 4) normalised boxes from xyxy pixels of their own image; the inverse of `pixels`."""
    own = sides(images)[image_row]
    return np.divide(xyxy, own, out=own)


def sides(images: Images) -> Boxes:
    """Return (images, 4) rows of width, height, width, height: what a normalised xyxy box is multiplied by."""
    return np.stack([images.width, images.height, images.width, images.height], axis=1).astype(np.float64)
