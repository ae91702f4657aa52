"""Train, val and test beside each other: classes and objects that one of them lacks, and images in none of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from annotations.sightings import Sighting, View, sighting_of_all, sighting_of_image
from annotations.tables import SPLITS, BoxDataset

FEW = 10
"""Boxes of a class in a split below which figures on it say little: one more or less found moves recall by a tenth."""
NEARLY_ALL = 0.95
"""Share of the images with boxes that must show a class before an image without it is told of: our choice."""
_ENOUGH_IMAGES = 40


def check_splits(dataset: BoxDataset) -> Iterator[Sighting]:
    """Give the sightings about splits, groups in two of them, images without objects and classes not drawn."""
    present = [split for split in SPLITS if len(dataset.images.rows_of(split))]
    yield from _without_split(dataset, present)
    yield from _classes_by_split(dataset, present)
    yield from _torn_groups(dataset)
    yield from _without_objects(dataset, present)
    yield from _not_drawn(dataset)


def _without_split(dataset: BoxDataset, present: list[str]) -> Iterator[Sighting]:
    rows = dataset.images.rows_of("")
    if len(rows):
        got = f"{len(rows)} of {len(dataset.images)} without"
        message = f"images must be in a split to be trained or evaluated on, got {got}"
        yield sighting_of_all("without-split", message, [View(int(row)) for row in rows] if present else ())


def _classes_by_split(dataset: BoxDataset, present: list[str]) -> Iterator[Sighting]:
    table = dataset.annotations
    split = dataset.images.split[table.image_row]
    everywhere = np.bincount(table.class_id, minlength=len(dataset.classes))
    for name in present:
        count = np.bincount(table.class_id[split == name], minlength=len(dataset.classes))
        for class_id in np.flatnonzero(everywhere):
            label, got = dataset.classes[class_id], int(count[class_id])
            if got == 0:
                other = f"got none (of {everywhere[class_id]} in all)"
                yield sighting_of_all("class-missing", f"class {label!r} must have boxes in {name}, {other}")
            elif got < FEW:
                message = f"class {label!r} should have {FEW} boxes or more in {name}, got {got}"
                rows = np.flatnonzero((split == name) & (table.class_id == class_id))
                views = [View(int(table.image_row[row]), (int(row),), f"{label} in {name}") for row in rows]
                yield sighting_of_all("few-objects", message, views)


def _torn_groups(dataset: BoxDataset) -> Iterator[Sighting]:
    images = dataset.images
    grouped = np.flatnonzero((images.group != "") & (images.split != ""))
    splits: dict[str, set[str]] = {}
    for group, split in zip(images.group[grouped].tolist(), images.split[grouped].tolist(), strict=True):
        splits.setdefault(group, set()).add(split)
    for group, names in splits.items():
        if len(names) > 1:
            got = " and ".join(name for name in SPLITS if name in names)
            rows = grouped[images.group[grouped] == group]
            views = [View(int(row), (), str(images.split[row])) for row in rows]
            yield sighting_of_all("group-in-splits", f"group {group!r} must be in one split, got {got}", views)


def _without_objects(dataset: BoxDataset, present: list[str]) -> Iterator[Sighting]:
    empty = np.setdiff1d(np.arange(len(dataset.images)), dataset.annotations.image_row)
    for name in [*present, ""]:
        of_split = dataset.images.rows_of(name)
        rows = np.intersect1d(empty, of_split)
        if len(rows):
            message = f"{len(rows)} of {len(of_split)} images {f'of {name}' if name else 'without a split'} have no box"
            yield sighting_of_all("images-without-objects", message, [View(row, (), name) for row in _spread(rows)])


def _spread(rows: NDArray[np.int64]) -> list[int]:
    return [int(row) for row in rows[np.linspace(0, len(rows) - 1, min(len(rows), FEW)).astype(np.int64)]]


def _not_drawn(dataset: BoxDataset) -> Iterator[Sighting]:
    table = dataset.annotations
    annotated = np.unique(table.image_row)
    if len(annotated) < _ENOUGH_IMAGES or len(dataset.object_class_ids) < 2:
        return
    for class_id in dataset.object_class_ids:
        shown = np.unique(table.image_row[table.class_id == class_id])
        if NEARLY_ALL * len(annotated) <= len(shown) < len(annotated):
            label = dataset.classes[class_id]
            message = f"{label!r} should have a box, as in {len(shown)} of {len(annotated)} images with boxes, got none"
            for row in np.setdiff1d(annotated, shown):
                yield sighting_of_image(dataset, "class-not-drawn", int(row), message, f"no {label}")
