"""Which anchor answers for which box in the published network (plain numpy).

Source: the reference implementation of Blanger & Hirata, ICIP 2019: every box takes one anchor of its own, the best
pair first; of the others, an anchor takes the box that it overlaps most from an IoU of 0.5 on, and is background below
0.3. Between the two it is left out of the loss.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.classic_anchors import Anchors
from detector.classic_coding import encode

POSITIVE_IOU: Final = 0.5
NEGATIVE_IOU: Final = 0.3
LEAST: Final = 1.0
"""Pixels of an object's shorter side, and of a part's area; the anchors of a smaller box are left out of the loss."""

UNCOUNTED: Final = -1
BACKGROUND: Final = 0
"""What an anchor is to say besides a class, which counts from 1."""


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, M) intersection over union of boxes a (N, 4) and b (M, 4) xyxy; empty unions give 0."""
    area_a, area_b = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (a, b))
    width = np.minimum(a[:, None, 2], b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0])
    height = np.minimum(a[:, None, 3], b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1])
    shared = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    union = area_a[:, None] + area_b[None, :] - shared
    return np.asarray(shared / np.where(union > 0, union, 1.0))


def one_anchor_each(iou: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (N,) the anchor that each of N boxes takes by the (N, A) IoU, the best pair first; -1 when none is left.

    Equals go by the number of the box, then of the anchor; a box that overlaps no anchor takes the first free one, as
    in the reference.
    """
    taken = np.full(len(iou), -1, np.int64)
    left = iou.copy()
    best = left.argmax(axis=1)
    value = left[np.arange(len(left)), best]
    for _ in range(min(iou.shape)):
        box = int(value.argmax())
        anchor = best[box]
        taken[box], value[box] = anchor, -2.0
        left[:, anchor] = -1.0
        # Only boxes that wanted this anchor must look again.
        again = np.flatnonzero((best == anchor) & (value > -2.0))
        best[again] = left[again].argmax(axis=1)
        value[again] = left[again, best[again]]
    return taken


def match(boxes: NDArray[np.float64], anchors: Anchors) -> NDArray[np.int64]:
    """Return (A,) the row of the box (N, 4) xyxy that each anchor answers for, -1 for background, -2 for neither."""
    if not len(boxes):
        return np.full(len(anchors), -1, np.int64)
    iou = overlaps(boxes, anchors.xyxy)
    best = iou.argmax(axis=0)
    value = iou[best, np.arange(len(anchors))]
    answers = np.where(value >= POSITIVE_IOU, best, np.where(value < NEGATIVE_IOU, -1, -2))
    own = one_anchor_each(iou)
    matched = own >= 0
    answers[own[matched]] = np.flatnonzero(matched)
    return answers


def targets(
    boxes: NDArray[np.float64], classes: NDArray[np.int64], anchors: Anchors, *, parts: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return what the anchors are to say of one image: (A,) classes from 1, BACKGROUND or UNCOUNTED; (A, 4) offsets.

    `boxes` is (N, 4) xyxy input pixels and `classes` (N,) from 0, below 0 for a box that is to be ignored: an anchor
    with its centre in one is not told that nothing is there (the reference knows no such boxes). Offsets are 0 where
    there is no class. `parts` measures boxes by their area, see LEAST.
    """
    counted = classes >= 0
    kept, ignored = boxes[counted], boxes[~counted]
    answers = match(kept, anchors)
    said = np.where(answers == -1, BACKGROUND, UNCOUNTED).astype(np.int32)
    said[(said == BACKGROUND) & _centre_in_any(anchors, ignored)] = UNCOUNTED
    sides = kept[:, 2:] - kept[:, :2]
    fit = (sides.prod(axis=1) if parts else sides.min(axis=1)) >= LEAST
    rows = np.flatnonzero(answers >= 0)
    rows = rows[fit[answers[rows]]]
    said[rows] = classes[counted][answers[rows]] + 1
    offsets = np.zeros((len(anchors), 4), np.float32)
    offsets[rows] = encode(kept[answers[rows]], anchors.of(rows))
    return said, offsets


def _centre_in_any(anchors: Anchors, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    centre = anchors.centre[:, None]
    inside = np.all((centre >= boxes[:, :2]) & (centre <= boxes[:, 2:]), axis=-1)
    return np.asarray(np.any(inside, axis=1))
