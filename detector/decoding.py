"""From the network's raw outputs to detections in a picture's own frame (plain numpy)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.tables import NO_PARENT, Boxes, Detections, Images, pixels
from detector.cells import LARGEST_LOG, Cells
from detector.letterbox import Placement
from detector.parents import parents
from detector.part_layout import Density
from detector.settings import Settings
from detector.suppression import agreeing, suppressed, voted

MOST_CANDIDATES = 2000
"""Boxes of a class that enter suppression; more than any image holds, and bounds its time on an untrained network."""

LEAST_ERROR: Final = 0.3
"""Error of a side at the centre of its cell, in strides, where that of a side a stride away is 1 more.

Source: own measurement on QR codes; the AP hardly depends on it.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The detections of one image: `xyxy` (N, 4) picture pixels cut at its edges, `parent` (N,) rows of this table.

    `support` (N,) is the sum of the scores of all boxes that agree with each; None where it is not known any more.
    """

    class_id: NDArray[np.int64]
    score: NDArray[np.float64]
    xyxy: Boxes
    parent: NDArray[np.int64]
    support: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """What one branch says of one image: `logits` (A, C) for the classes `class_ids` (C,), and `boxes` (A, 4).

    A logit is the log of the odds of a class; boxes are xyxy pixels of the network's input. `errors` (A, 4) says how
    far the sides of a box may be off, up to a factor; None: boxes that suppression drops have no say in its sides.
    The rows are those of one view of the image after another, `views` in all.
    """

    class_ids: NDArray[np.int64]
    logits: NDArray[np.floating[Any]]
    boxes: Boxes
    errors: Boxes | None = None
    views: int = 1


def decode_boxes(raw: NDArray[np.float32], cells: Cells) -> Boxes:
    """Return (A, 4) xyxy input pixels of one image's raw outputs: what `box_coding.decode` does, in float64 numpy."""
    distance = _distances(raw, cells)
    return np.concatenate([cells.centre - distance[:, :2], cells.centre + distance[:, 2:]], axis=1)


def side_errors(raw: NDArray[np.float32], cells: Cells) -> Boxes:
    """Return (A, 4) how far the sides of the boxes of raw outputs may be off, up to a factor.

    The network gives the logarithm of a side's distance from the cell's centre: it errs in proportion to the distance,
    and a little at any.
    """
    return np.asarray(_distances(raw, cells) + LEAST_ERROR * cells.stride[:, None])


def _distances(raw: NDArray[np.float32], cells: Cells) -> NDArray[np.float64]:
    return np.asarray(np.exp(np.clip(raw.astype(np.float64), -LARGEST_LOG, LARGEST_LOG)) * (cells.prior / 2)[:, None])


class _Kept(NamedTuple):
    """The detections of one class: scores (K,), boxes (K, 4) and support (K,)."""

    score: NDArray[np.float64]
    xyxy: Boxes
    support: NDArray[np.float64]


def _of_class(branch: Branch, boxes: Boxes, column: int, settings: Settings) -> _Kept:
    # The logits decide: two of them may round to the same probability.
    logits = branch.logits[:, column].astype(np.float64)
    score = 1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))
    # Boxes in the padding have no area left; they must not take the places of others.
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    rows = np.flatnonzero(seen & (score >= settings.score_floor))
    most = MOST_CANDIDATES * branch.views
    if len(rows) > most:
        rows = rows[np.argsort(-logits[rows], kind="stable")[:most]]
    kept, shows = suppressed(boxes[rows], logits[rows], settings.nms_iou, settings.max_detections)
    score, boxes = score[rows], boxes[rows]
    if branch.errors is None or settings.vote_iou >= 1:
        return _Kept(score[kept], boxes[kept], score[kept])
    shows = agreeing(boxes, kept, shows, settings.vote_iou)
    said = shows >= 0
    support = np.bincount(shows[said], score[said], len(kept)) / branch.views
    told = voted(boxes, score[:, None] / np.square(branch.errors[rows]), kept, shows)
    if branch.views == 1:
        return _Kept(score[kept], told, support)
    best = np.zeros((len(kept), branch.views))
    view = rows[said] // (len(branch.boxes) // branch.views)
    np.maximum.at(best, (shows[said], view), score[said])
    return _Kept(best.mean(axis=1), told, support)


def decode_image(
    branches: list[Branch],
    placement: Placement,
    object_class_of: Mapping[int, int],
    settings: Settings,
    densities: Mapping[int, Density] | None = None,
) -> Found:
    """Return the detections of one image, class after class, each class's surest first.

    Boxes are cut at the picture's edges; one that has no area there is dropped. For `densities`, see `parents`.
    """
    kept: list[_Kept] = []
    classes = [np.zeros(0, np.int64)]
    edge = np.array([placement.width, placement.height] * 2, np.float64)
    for branch in branches:
        boxes = np.clip(placement.inverse(branch.boxes), 0.0, edge)
        for column, class_id in enumerate(branch.class_ids):
            kept.append(_of_class(branch, boxes, column, settings))
            classes.append(np.full(len(kept[-1].score), class_id, np.int64))
    nothing = _Kept(np.zeros(0), np.zeros((0, 4)), np.zeros(0))
    score, xyxy, support = (np.concatenate(column) for column in zip(nothing, *kept, strict=True))
    class_id = np.concatenate(classes)
    return Found(class_id, score, xyxy, parents(class_id, score, xyxy, object_class_of, densities), support)


def detections_table(found: list[Found], sizes: NDArray[Any]) -> Detections:
    """Return the table of the detections of all images; `sizes` is (I, 2) width and height in pixels."""
    counts = np.array([len(item.class_id) for item in found], np.int64)
    first = np.concatenate([[0], np.cumsum(counts)])
    image_row = np.repeat(np.arange(len(found)), counts)
    offset = first[image_row]
    parent = np.concatenate([np.zeros(0, np.int64), *(item.parent for item in found)])
    xyxy = np.concatenate([np.zeros((0, 4)), *(item.xyxy for item in found)])
    return Detections(
        image_row=image_row,
        object_id=np.arange(first[-1]),
        parent_id=np.where(parent >= 0, parent + offset, parent),
        class_id=np.concatenate([np.zeros(0, np.int64), *(item.class_id for item in found)]),
        score=np.concatenate([np.zeros(0), *(item.score for item in found)]),
        xyxy_rel=xyxy / np.tile(np.asarray(sizes, np.float64), 2).reshape(-1, 4)[image_row],
    )


def found_by_image(images: Images, detections: Detections) -> list[tuple[NDArray[np.int64], Found]]:
    """Return for each image the rows of its detections, and these with their parents: what `detections_table` joins."""
    order = np.argsort(detections.image_row, kind="stable")
    ends = np.searchsorted(detections.image_row[order], np.arange(len(images) + 1))
    xyxy = pixels(images, detections.image_row, detections.xyxy_rel)
    found = []
    for image in range(len(images)):
        rows = order[ends[image] : ends[image + 1]]
        place = {object_id: row for row, object_id in enumerate(detections.object_id[rows].tolist())}
        parent = [place.get(parent, NO_PARENT) for parent in detections.parent_id[rows].tolist()]
        own = Found(detections.class_id[rows], detections.score[rows], xyxy[rows], np.array(parent, np.int64))
        found.append((rows, own))
    return found
