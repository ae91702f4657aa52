"""Objects and their parts: parts without an object, and objects with another number of parts than is usual."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from annotations.check_boxes import parent_rows
from annotations.sightings import Sighting, corners, sighting_of_boxes
from annotations.tables import NO_PARENT, BoxDataset, pixels

USUAL_SHARE = 0.6
"""Share of a class's objects that must have one number of parts before another number is told of: our choice; below it
the number simply varies."""
_FEWEST = 10
"""Objects of a class without which no number of parts is usual."""


def check_parts(dataset: BoxDataset) -> Iterator[Sighting]:
    """Give the sightings of parts without an object, and of objects with an unusual number of parts.

    Usual is what most objects of the train split have (of all images, where there is no train split with objects).
    """
    yield from _orphans(dataset)
    parents = parent_rows(dataset)
    class_of = {label: class_id for class_id, label in enumerate(dataset.classes)}
    for part, whole in dataset.parts.items():
        objects = np.flatnonzero(dataset.annotations.class_id == class_of[whole])
        parts = np.flatnonzero((dataset.annotations.class_id == class_of[part]) & (parents != NO_PARENT))
        count = np.bincount(parents[parts], minlength=len(dataset.annotations))[objects]
        yield from _unusual(dataset, part, whole, objects, count)


def _orphans(dataset: BoxDataset) -> Iterator[Sighting]:
    table = dataset.annotations
    xyxy = pixels(dataset.images, table.image_row, table.xyxy_rel)
    is_orphan = np.isin(table.class_id, dataset.part_class_ids) & (table.parent_id == NO_PARENT)
    for row in np.flatnonzero(is_orphan).tolist():
        label = dataset.classes[table.class_id[row]]
        message = f"{label!r} {corners(xyxy[row])} must have a {dataset.parts[label]!r}, got none"
        yield sighting_of_boxes(dataset, "orphan-part", (row,), message, f"{label} without object")


def _unusual(
    dataset: BoxDataset, part: str, whole: str, objects: NDArray[np.int64], count: NDArray[np.int64]
) -> Iterator[Sighting]:
    in_train = dataset.images.split[dataset.annotations.image_row[objects]] == "train"
    where = "train" if in_train.any() else "the dataset"
    counted = count[in_train] if in_train.any() else count
    if len(counted) < _FEWEST:
        return
    frequency = np.bincount(counted)
    usual = int(frequency.argmax())
    # Where most objects have none, parts were drawn here and there only, and no number is right.
    if usual == 0 or frequency[usual] < USUAL_SHARE * len(counted):
        return
    for row, got in zip(objects[count != usual].tolist(), count[count != usual].tolist(), strict=True):
        message = (
            f"{whole!r} must have {usual} {part!r} as {frequency[usual]} of {len(counted)} in {where} have, got {got}"
        )
        yield sighting_of_boxes(dataset, "odd-parts", (row,), message, f"{whole} with {got} {part}")
