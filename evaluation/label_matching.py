"""Which predicted object is which true one: the optimal matching of two label images at an IoU threshold.

As many pairs as can be reach the threshold; among the matchings that have so many, the one whose pairs have most IoU in
all, pairs below the threshold counted too (they decide little, and this is what others compute).
Source: `stardist.matching.matching`, which solves the same problem for every pair of objects in 32-bit floats.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.best_assignment import best_assignment
from annotations.columns import column
from evaluation.label_overlaps import LabelOverlaps

IOU_THRESHOLDS = tuple(i / 10 for i in range(1, 10))
"""0.1 to 0.9, each the float that its decimal reads as, so that an IoU of 3/10 reaches 0.3."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelMatches:
    """The (M,) pairs that reach the IoU threshold: rows of the overlaps' truth and predicted objects, and their IoU."""

    iou_threshold: float
    truth_row: NDArray[np.int64]
    predicted_row: NDArray[np.int64]
    iou: NDArray[np.float64]

    def __post_init__(self) -> None:
        rows = (len(self.truth_row),)
        for name, dtype in (("truth_row", np.int64), ("predicted_row", np.int64), ("iou", np.float64)):
            object.__setattr__(self, name, column("LabelMatches", name, getattr(self, name), dtype, rows))

    def __len__(self) -> int:
        return len(self.truth_row)


def match_labels(overlaps: LabelOverlaps, iou_threshold: float = 0.5) -> LabelMatches:
    """Return the optimal matching of the objects of two label images at one IoU threshold.

    Raises:
        ValueError: the threshold is not above 0 and at most 1.
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must be above 0 and at most 1, got {iou_threshold}")
    iou = overlaps.iou
    reaches = iou >= iou_threshold
    undisputed = reaches & ~_disputed(overlaps, reaches)
    left = ~_touches(overlaps, undisputed)
    disputed = np.flatnonzero(left & _tied_to(overlaps, reaches & left, left))
    # A pair that reaches outweighs all that does not: together those weigh less than a half.
    most = max(1, 2 * min(len(overlaps.truth_label), len(overlaps.predicted_label)))
    weight = reaches[disputed] + iou[disputed] / most
    chosen = disputed[best_assignment(overlaps.truth_row[disputed], overlaps.predicted_row[disputed], weight)]
    chosen = np.sort(np.concatenate([np.flatnonzero(undisputed), chosen[reaches[chosen]]]))
    return LabelMatches(iou_threshold, overlaps.truth_row[chosen], overlaps.predicted_row[chosen], iou[chosen])


def _disputed(overlaps: LabelOverlaps, reaches: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the (K,) mask of the pairs in which an object reaches the threshold with two others or more.

    A pair that reaches and is not disputed is in every best matching: what it keeps out does not reach.
    """
    truths = np.bincount(overlaps.truth_row[reaches], minlength=len(overlaps.truth_label))
    predictions = np.bincount(overlaps.predicted_row[reaches], minlength=len(overlaps.predicted_label))
    return np.asarray((truths[overlaps.truth_row] > 1) | (predictions[overlaps.predicted_row] > 1))


def _touches(overlaps: LabelOverlaps, pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the (K,) mask of the pairs that share an object with one of `pairs` (K,), these included."""
    truth, predicted = np.zeros(len(overlaps.truth_label), np.bool_), np.zeros(len(overlaps.predicted_label), np.bool_)
    truth[overlaps.truth_row[pairs]] = True
    predicted[overlaps.predicted_row[pairs]] = True
    return np.asarray(truth[overlaps.truth_row] | predicted[overlaps.predicted_row])


def _tied_to(overlaps: LabelOverlaps, pairs: NDArray[np.bool_], left: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the (K,) mask of the pairs in `left` that are connected with `pairs`, from object to object.

    The others have nothing to do with who gets a pair that reaches.
    """
    while True:
        tied = left & _touches(overlaps, pairs)
        if tied.sum() == pairs.sum():
            return tied
        pairs = tied
