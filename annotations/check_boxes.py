"""Boxes that look wrong by themselves or beside others: drawn twice, outside their object, out of all proportion."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from annotations.box_overlaps import overlapping_pairs, share_inside
from annotations.robust import centre_and_spread
from annotations.sightings import Sighting, box_name, corners, sighting_of_boxes
from annotations.tables import NO_PARENT, BoxDataset, Boxes, pixels

SAME_OBJECT = 0.7
"""IoU from which two boxes of a class are told of: our choice, well above the 0.5 at which a detector's own are one."""
LEAST_INSIDE = 0.5
"""Share of a part's area that must lie in its object's box: our choice; a part on the rim is no fault."""
FAR = 5.0
"""Robust z from which a box is out of proportion. Source: Iglewicz & Hoaglin 1993 give 3.5 for outliers of normal data;
sizes in photographs have long tails, and a finding that is mostly wrong is not read, so ours is larger."""
ENOUGH = 20
"""Boxes of a class without which nothing is said about its usual size and shape."""
_EDGE = 0.005
"""Share of the image's width and height at its edge in which a box counts as cut off."""
_NARROWEST = 0.1
"""Least spread of log size or log aspect: drawing by hand alone gives about this; without it, equal boxes but one would
give an infinite z."""


def check_boxes(dataset: BoxDataset) -> Iterator[Sighting]:
    """Give the sightings of overlapping objects, parts outside their object, and odd sizes and shapes."""
    table = dataset.annotations
    xyxy = pixels(dataset.images, table.image_row, table.xyxy_rel)
    yield from _overlapping(dataset, xyxy)
    yield from _outside(dataset, xyxy)
    yield from _odd(dataset, xyxy)


def parent_rows(dataset: BoxDataset) -> NDArray[np.int64]:
    """Return for each of the (N,) boxes the row of its parent, or NO_PARENT."""
    table = dataset.annotations
    order = np.argsort(table.object_id)
    place = np.searchsorted(table.object_id[order], table.parent_id)
    rows = order[np.minimum(place, len(order) - 1)] if len(order) else place
    return np.where(table.parent_id == NO_PARENT, NO_PARENT, rows).astype(np.int64)


def _overlapping(dataset: BoxDataset, xyxy: Boxes) -> Iterator[Sighting]:
    table = dataset.annotations
    key = table.image_row * max(1, len(dataset.classes)) + table.class_id
    for (first, second), iou in zip(*overlapping_pairs(key, xyxy, SAME_OBJECT), strict=True):
        label = dataset.classes[table.class_id[first]]
        message = (
            f"{label!r} {corners(xyxy[first])} and {box_name(dataset, second)} {corners(xyxy[second])}"
            f" overlap with IoU {iou:.2f}; one object drawn twice?"
        )
        yield sighting_of_boxes(dataset, "overlapping-objects", (first, second), message, f"{label} IoU {iou:.2f}")


def _outside(dataset: BoxDataset, xyxy: Boxes) -> Iterator[Sighting]:
    table, parents = dataset.annotations, parent_rows(dataset)
    parts = np.flatnonzero(parents != NO_PARENT)
    inside = share_inside(xyxy[parts], xyxy[parents[parts]])
    for part, share in zip(parts[inside < LEAST_INSIDE], inside[inside < LEAST_INSIDE], strict=True):
        parent = parents[part]
        label, whole = dataset.classes[table.class_id[part]], dataset.classes[table.class_id[parent]]
        message = (
            f"{label!r} {corners(xyxy[part])} must lie in its {whole!r}, {box_name(dataset, parent)}"
            f" {corners(xyxy[parent])}, got {share:.0%} of it inside"
        )
        yield sighting_of_boxes(dataset, "part-outside", (part, parent), message, f"{label}, {share:.0%} inside")


def _odd(dataset: BoxDataset, xyxy: Boxes) -> Iterator[Sighting]:
    table = dataset.annotations
    sides = xyxy[:, 2:] - xyxy[:, :2]
    whole = np.asarray(((table.xyxy_rel > _EDGE) & (table.xyxy_rel < 1 - _EDGE)).all(axis=1))
    log_size, log_aspect = np.log(sides.prod(axis=1)) / 2, np.log(sides[:, 0] / sides[:, 1])
    for class_id, label in enumerate(dataset.classes):
        rows = np.flatnonzero(table.class_id == class_id)
        if len(rows) < ENOUGH:
            continue
        usual = np.exp(np.median(log_size[rows]))
        for row in _far(rows, log_size[rows]):
            size = f"{sides[row, 0]:.0f} x {sides[row, 1]:.0f}"
            message = f"{label!r} {corners(xyxy[row])} is {size} pixels; the usual one is about {usual:.0f} on a side"
            yield sighting_of_boxes(dataset, "odd-size", (row,), message, f"{label} {size} px")
        # An object that the image's edge cuts off has any shape. Landscape and portrait are no different kinds.
        rows = rows[whole[rows]]
        for row in _far(rows, np.abs(log_aspect[rows])) if len(rows) >= ENOUGH else ():
            ratio = f"{np.exp(np.abs(log_aspect[row])):.1f}:1"
            usual_ratio = f"{np.exp(np.median(np.abs(log_aspect[rows]))):.1f}:1"
            message = f"{label!r} {corners(xyxy[row])} is {ratio} long; the usual one is {usual_ratio}"
            yield sighting_of_boxes(dataset, "odd-shape", (row,), message, f"{label} {ratio}")


def _far(rows: NDArray[np.int64], values: NDArray[np.float64]) -> Iterable[int]:
    """Return those of the (K,) rows whose value is far from the median, in median absolute deviations."""
    centre, spread = centre_and_spread(values)
    return [int(row) for row in rows[np.abs(values - centre) > FAR * max(spread, _NARROWEST)]]
