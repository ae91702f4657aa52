"""A box dataset as reference CSV: boxes in pixels, objects and parts in two files a split."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from annotations.csvtable import Column, csv_text
from annotations.findings import Finding
from annotations.not_kept import classes_not_kept, facts_not_kept
from annotations.picture_files import PictureFiles
from annotations.tables import NO_PARENT, SPLITS, BoxDataset, pixels

_NAME = "reference CSV"
COLUMNS = ("image_id", "image_height", "image_width", "object_id", "class", "xmin", "ymin", "xmax", "ymax")


def write_reference_csv(aside: Path, final: Path, dataset: BoxDataset, pictures: PictureFiles) -> list[Finding]:
    """Write `objects_SPLIT.csv` and `parts_SPLIT.csv`, without SPLIT for images that have none.

    A part has the object_id of its object; one without an object keeps its own, which no other box has. Pictures that
    are copied or linked lie in `images/`, named by their image_id; where they lie otherwise, the form does not say.
    """
    is_part = np.isin(dataset.annotations.class_id, dataset.part_class_ids)
    split_of_box = dataset.images.split[dataset.annotations.image_row]
    for split in (*SPLITS, ""):
        rows = split_of_box == split
        if not rows.any() and (split or len(dataset.annotations)):
            continue
        ending = f"_{split}" if split else ""
        _write(aside / f"objects{ending}.csv", dataset, np.flatnonzero(rows & ~is_part))
        if dataset.parts:
            _write(aside / f"parts{ending}.csv", dataset, np.flatnonzero(rows & is_part))
    if pictures.mode != "reference":
        for row, image_id in enumerate(dataset.images.image_id.tolist()):
            suffix = PurePosixPath(str(dataset.images.path[row])).suffix
            pictures.place(aside, final, dataset, row, f"images/{image_id}{suffix}")
    return [*_lost_images(dataset), *_not_kept(dataset, is_part)]


def _write(path: Path, dataset: BoxDataset, rows: NDArray[np.int64]) -> None:
    boxes = dataset.annotations.take(rows)
    images = dataset.images
    columns: Sequence[Column] = [
        images.image_id[boxes.image_row],
        images.height[boxes.image_row],
        images.width[boxes.image_row],
        np.where(boxes.parent_id == NO_PARENT, boxes.object_id, boxes.parent_id),
        np.array(dataset.classes, np.str_)[boxes.class_id] if dataset.classes else (),
        *pixels(images, boxes.image_row, boxes.xyxy_rel).T,
    ]
    path.write_bytes(csv_text(COLUMNS, columns).encode())


def _lost_images(dataset: BoxDataset) -> list[Finding]:
    images = dataset.images
    bare = np.setdiff1d(np.arange(len(images)), dataset.annotations.image_row)
    message = "image without boxes has no row in reference CSV files; it is not in what was written"
    return [
        Finding("images-lost", str(images.source[row]), "", str(images.image_id[row]), message) for row in bare.tolist()
    ]


def _not_kept(dataset: BoxDataset, is_part: NDArray[np.bool_]) -> Iterator[Finding]:
    """Yield a finding for each kind of thing that reference CSV files cannot hold and the dataset has."""
    yield from facts_not_kept(_NAME, dataset, kept=("parents",))
    yield from classes_not_kept(_NAME, dataset)
    table = dataset.annotations
    linked = set(table.class_id[is_part & (table.parent_id != NO_PARENT)].tolist())
    unlinked = [dataset.classes[row] for row in dataset.part_class_ids.tolist() if row not in linked]
    if unlinked:
        message = f"{_NAME} has no place for whose part a class without any parent is: {', '.join(unlinked[:20])}"
        yield Finding("not-kept", "", "", "", message)
