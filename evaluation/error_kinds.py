"""What kind of error each false positive and each missed object is: the six kinds of TIDE.

| kind             | a false positive that ...                                                     |
|------------------|-------------------------------------------------------------------------------|
| `localisation`   | overlaps an object of its class too little for a hit, but more than background |
| `classification` | lies on an object of another class as a hit would                             |
| `duplicate`      | lies on an object of its class that a better score took                       |
| `both`           | overlaps an object of another class as `localisation` does one of its own     |
| `background`     | overlaps nothing                                                              |

`missed` is an object that nothing found, and that no error of localisation or classification lies on. An overlap
counts from the IoU of a hit (0.5 by default), respectively from BACKGROUND, which both are included. Where several
kinds would fit, it is the first of the table; the object is the one that is overlapped best, the first of equals.
Truth that is ignored is nothing here, and so are detections that took it.
Source: Bolya et al. 2020, TIDE: A General Toolbox for Identifying Object Detection Errors, section 2.2; the order among
fitting kinds, which the paper leaves open, is that of the authors' tidecv 1.0.1.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from annotations.tables import BoxDataset, Detections
from evaluation.figures import Metrics
from evaluation.image_errors import kept_rows
from evaluation.iou import pixel_boxes
from evaluation.matching import MatchTable, box_areas
from evaluation.pairs import Pairs, overlapping_pairs

BACKGROUND: Final = 0.1
"""The least IoU with an object of what is not background. Source: Bolya et al. 2020, section 2.2."""

KINDS: Final = ("classification", "localisation", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, NOTHING, MISSED = range(len(KINDS))
NO_ROW: Final = -1

_TYPES = {"iou": np.float64, "score": np.float64, "area": np.float64, "any_score": np.bool_, "at_threshold": np.bool_}


@dataclass(frozen=True, slots=True, eq=False)
class ErrorTable:
    """One row an error: the false positives, best score first, then the missed objects in the order of the truth.

    `kind` is a place in KINDS, `class_id` that of the detection, of the truth where it is missed. `match_row` is the
    row of the match table, `detection_row` that of Detections, `truth_row` that of Annotations, each NO_ROW where there
    is none; `iou` is with that truth, NaN without one; `score` is NaN without detection. `area` is that of the truth,
    of the detection where there is none, in square pixels. `any_score` marks the errors among all detections, which
    cost AP, `at_threshold` those among the detections that reach the threshold of their class.
    """

    kind: NDArray[np.int64]
    image_row: NDArray[np.int64]
    class_id: NDArray[np.int64]
    match_row: NDArray[np.int64]
    detection_row: NDArray[np.int64]
    truth_row: NDArray[np.int64]
    iou: NDArray[np.float64]
    score: NDArray[np.float64]
    area: NDArray[np.float64]
    any_score: NDArray[np.bool_]
    at_threshold: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name in self.__slots__:
            values = column("ErrorTable", name, getattr(self, name), _TYPES.get(name, np.int64), self.kind.shape)
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return the table of these (K,) rows (or of a (N,) mask's true rows), in that order."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__slots__})


def error_table(dataset: BoxDataset, detections: Detections, metrics: Metrics) -> ErrorTable:
    """Return every error of a scoring, over all images; `metrics` are the figures of these detections."""
    table, kept = metrics.table, kept_rows(metrics)
    wrong = np.flatnonzero(table.false_positive)
    own, other = _best_overlaps(dataset, detections, table, wrong)
    kind = _kinds(own.iou, other.iou, metrics.settings.iou)
    of_own, of_other = np.isin(kind, (LOCALISATION, DUPLICATE)), np.isin(kind, (CLASSIFICATION, BOTH))
    truth_row = np.select([of_own, of_other], [own.truth, other.truth], NO_ROW)
    # What could have been a hit, had it one thing right: its object counts as missed no more.
    covered = np.where(np.isin(kind, (LOCALISATION, CLASSIFICATION)), truth_row, NO_ROW)
    unfound, unfound_at = (_unfound(table, covered, wrong, some) for some in (np.ones(len(table), np.bool_), kept))
    # All that is missed among all detections is missed among fewer.
    missed = np.flatnonzero(unfound_at)
    columns = (
        (kind, np.full(len(missed), MISSED)),
        (table.image_row[wrong], table.every_truth_image_row[missed]),
        (table.class_id[wrong], table.every_truth_class_id[missed]),
        (wrong, np.full(len(missed), NO_ROW)),
        (table.detection_row[wrong], np.full(len(missed), NO_ROW)),
        (truth_row, table.every_truth_row[missed]),
        (np.select([of_own, of_other], [own.iou, other.iou], np.nan), np.full(len(missed), np.nan)),
        (table.score[wrong], np.full(len(missed), np.nan)),
        _areas(dataset, detections, table.detection_row[wrong], truth_row, missed),
        (np.ones(len(wrong), np.bool_), unfound[missed]),
        (kept[wrong], np.ones(len(missed), np.bool_)),
    )
    return ErrorTable(*(np.concatenate(parts) for parts in columns))


def _best_overlaps(
    dataset: BoxDataset, detections: Detections, table: MatchTable, wrong: NDArray[np.int64]
) -> tuple[Pairs, Pairs]:
    """Return, for each of the `wrong` (F,) rows, its best overlap with a truth of its class, and of another class.

    Both have F rows; IoU 0 and truth NO_ROW stand for overlaps below BACKGROUND.
    """
    images, truth, rows = dataset.images, dataset.annotations, table.detection_row[wrong]
    counted = np.flatnonzero(~table.every_truth_ignored)
    pairs = overlapping_pairs(
        pixel_boxes(images, detections.image_row[rows], detections.xyxy_rel[rows]),
        detections.image_row[rows],
        pixel_boxes(images, truth.image_row[counted], truth.xyxy_rel[counted]),
        truth.image_row[counted],
        lowest_iou=BACKGROUND,
    )
    pairs = replace(pairs, truth=counted[pairs.truth])
    same = detections.class_id[rows][pairs.detection] == truth.class_id[pairs.truth]
    return _best(pairs.take(same), len(rows)), _best(pairs.take(~same), len(rows))


def _best(pairs: Pairs, count: int) -> Pairs:
    """Return one row for each of `count` detections: its best pair, the first of equals, or IoU 0 with NO_ROW."""
    ordered = pairs.best_first(last_wins=False)
    best = ordered.take(ordered.first)
    truth, iou = np.full(count, NO_ROW), np.zeros(count)
    truth[best.detection], iou[best.detection] = best.truth, best.iou
    return Pairs(np.arange(count), truth, iou)


def _kinds(own: NDArray[np.float64], other: NDArray[np.float64], hit: float) -> NDArray[np.int64]:
    """Return the (F,) kinds of false positives, from their best IoU with an own truth and with another's."""
    fits = [(own >= BACKGROUND) & (own < hit), other >= hit, own >= hit, other >= BACKGROUND]
    return np.asarray(np.select(fits, [LOCALISATION, CLASSIFICATION, DUPLICATE, BOTH], NOTHING), np.int64)


def _unfound(
    table: MatchTable, covered: NDArray[np.int64], wrong: NDArray[np.int64], some: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the (truth,) mask of what is missed where only `some` (N,) rows of the match table count."""
    unfound = ~table.every_truth_ignored
    unfound[table.truth_row[table.hit & some]] = False
    near = covered[some[wrong]]
    unfound[near[near != NO_ROW]] = False
    return unfound


def _areas(
    dataset: BoxDataset,
    detections: Detections,
    detection_row: NDArray[np.int64],
    truth_row: NDArray[np.int64],
    missed: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth, images = dataset.annotations, dataset.images
    truth_area = box_areas(pixel_boxes(images, truth.image_row, truth.xyxy_rel))
    boxes = detections.xyxy_rel[detection_row]
    area = box_areas(pixel_boxes(images, detections.image_row[detection_row], boxes))
    with_truth = truth_row != NO_ROW
    area[with_truth] = truth_area[truth_row[with_truth]]
    return area, truth_area[missed]
