"""Which class was taken for which: the confusion matrix with background, at the score thresholds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from evaluation.iou import pixel_boxes
from evaluation.matching import Candidates
from evaluation.pairs import overlapping_pairs
from evaluation.turns import best_free

BACKGROUND = "background"


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionTable:
    """Pairs of class ids with the image they are in: the class that is there, and the one that was found there.

    The number of classes stands for background: as `truth_class`, a detection where nothing is; as `found_class`, an
    object that no detection lies on.
    """

    image_row: NDArray[np.int64]
    truth_class: NDArray[np.int64]
    found_class: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("image_row", "truth_class", "found_class"):
            values = column("ConfusionTable", name, getattr(self, name), np.int64, self.image_row.shape)
            object.__setattr__(self, name, values)

    def counts(self, classes: int, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the (classes + 1, classes + 1) counts of the images true in `inside`: what is there by what was found.

        Background is the last row and the last column; where these cross there is nothing to count, so 0.
        """
        rows = inside[self.image_row]
        both = self.truth_class[rows] * (classes + 1) + self.found_class[rows]
        return np.bincount(both, minlength=(classes + 1) ** 2).reshape(classes + 1, classes + 1)


def confusion_table(found: Candidates, thresholds: NDArray[np.float64], iou_threshold: float) -> ConfusionTable:
    """Return what was taken for what, over all images; `thresholds` (classes,) are the least scores that count.

    Best score first, each detection takes the free object that it overlaps best, whatever the class of either; of
    objects with the very same IoU, one of its own class. So a cell off the diagonal is a wrong name on a right box,
    and the diagonal can be smaller than the hits of the classes, where a wrong name with a better score came first.
    Detections on crowds or ignored truth are left out, and so are these.
    """
    images, truth, classes = found.dataset.images, found.dataset.annotations, found.classes
    kept = found.detections.take(_ranked(found, thresholds))
    ignored = truth.crowd | truth.ignore
    pairs = overlapping_pairs(
        pixel_boxes(images, kept.image_row, kept.xyxy_rel),
        kept.image_row,
        pixel_boxes(images, truth.image_row, truth.xyxy_rel),
        truth.image_row,
        lowest_iou=iou_threshold,
        crowd=truth.crowd,
    )
    rival = kept.class_id[pairs.detection] != truth.class_id[pairs.truth]
    ordered = pairs.best_first(last_wins=True, rival=rival).preferring(ignored)
    taken = best_free(ordered, truth.crowd)
    stray, missed = np.ones(len(kept), np.bool_), ~ignored
    stray[taken.detection], missed[taken.truth] = False, False
    named = taken.take(~ignored[taken.truth])
    columns = (
        (kept.image_row[stray], np.full(stray.sum(), classes), kept.class_id[stray]),
        (truth.image_row[missed], truth.class_id[missed], np.full(missed.sum(), classes)),
        (kept.image_row[named.detection], truth.class_id[named.truth], kept.class_id[named.detection]),
    )
    return ConfusionTable(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def _ranked(found: Candidates, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rows that take part and reach the threshold of their class, best score first, then by image, row."""
    detections = found.detections
    rows = np.sort(found.row[detections.score[found.row] >= thresholds[detections.class_id[found.row]]])
    return np.asarray(rows[np.lexsort((detections.image_row[rows], -detections.score[rows]))])
