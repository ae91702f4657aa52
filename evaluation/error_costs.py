"""What each kind of error costs: the AP that would be there if all errors of one kind were put right, and no other.

| kind                              | put right by                                                                  |
|-----------------------------------|-------------------------------------------------------------------------------|
| `classification`, `localisation`  | making it the hit that it nearly was, where its object was found by no other; |
|                                   | of several on one object the best score, and the others are taken away        |
| `both`, `duplicate`, `background` | taking it away                                                                |
| `missed`                          | taking the object off the number to find                                      |
| `false-positives`                 | taking away every false positive, of whatever kind                            |
| `false-negatives`                 | taking every object that was not found off the number to find                 |

The gains do not add up to what lacks for 1: each is what that kind alone would give. Each is at least 0.
A class's gain is that of its own AP when the errors of all classes are put right; the split's is the mean over the
classes with truth, so that it is the gain of the mean AP. Where `missed` takes every object of a class away, nothing is
left for an AP, and the class is in neither of the two means.
By size, only the errors of that size are put right, and the gain is that of the AP over all sizes.
Source: Bolya et al. 2020, TIDE, section 2.3. tidecv 1.0.1 differs from the paper in three things, and so from this:
classes without truth enter its mean as 0, it looks at 100 detections an image over all classes, and an error of
localisation with a better score keeps one of classification on the same object from being put right (and the other
way round), though only one kind is put right at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.tables import BoxDataset, Detections
from evaluation.emptiness import NOTHING_LEFT, why_no_recall
from evaluation.error_kinds import (
    BACKGROUND,
    CLASSIFICATION,
    KINDS,
    LOCALISATION,
    MISSED,
    ErrorTable,
    error_table,
)
from evaluation.figures import Metrics
from evaluation.image_errors import kept_rows
from evaluation.matching import MatchTable
from evaluation.sizes import SIZES, size_range
from evaluation.slices import mean_or_none
from evaluation.table_precisions import table_precisions

FALSE_POSITIVES, FALSE_NEGATIVES = "false-positives", "false-negatives"
SPECIALS = (FALSE_POSITIVES, FALSE_NEGATIVES)
"""The two beside the kinds: perfect precision at the recall that is, and perfect recall at the precision that is."""


@dataclass(frozen=True, slots=True)
class ErrorCost:
    """How many errors of a kind there are, and what they cost.

    `count` is over all detections, whatever their score; `count_at_threshold` over those that reach the threshold of
    their class. `dap` is the AP that putting the former right would give; None has its reason in `undefined`.
    `classes_left_out` says how many classes with truth the mean leaves out, for no AP would be left of them.
    """

    count: int
    count_at_threshold: int
    dap: float | None
    classes_left_out: int = 0
    undefined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SplitErrors:
    """The errors of one split by kind (KINDS, then SPECIALS): of all classes, by size of the object, and by class.

    `ap` is the mean AP at the IoU of a hit that the gains are over, None without truth. By size there are no SPECIALS.
    """

    ap: float | None
    kinds: Mapping[str, ErrorCost]
    by_size: Mapping[str, Mapping[str, ErrorCost]]
    classes: Mapping[str, Mapping[str, ErrorCost]]


@dataclass(frozen=True, slots=True, eq=False)
class ErrorReport:
    """Where the errors are: `table` has every one of them, `splits` what they cost; `iou` is that of a hit."""

    iou: float
    table: ErrorTable
    splits: Mapping[str, SplitErrors]

    def to_json(self) -> dict[str, Any]:
        """Return what metrics.json keeps: plain, with stable keys, and without NaN."""
        splits = {name: asdict(split) for name, split in self.splits.items()}
        return {"iou": self.iou, "background": BACKGROUND, "splits": splits}


def error_report(dataset: BoxDataset, detections: Detections, metrics: Metrics) -> ErrorReport:
    """Return the errors of a scoring with what they cost; `metrics` are the figures of these detections."""
    errors = error_table(dataset, detections, metrics)
    return ErrorReport(metrics.settings.iou, errors, split_errors(dataset.classes, errors, metrics))


def split_errors(classes: tuple[str, ...], errors: ErrorTable, metrics: Metrics) -> dict[str, SplitErrors]:
    """Return what the errors of every split cost."""
    before = table_precisions(metrics.table, metrics)
    groups = chain(_kinds(errors, metrics.table), _specials(metrics))
    costs = {name: _costs(group, before, metrics) for name, group in groups}
    by_size = {}
    for size in SIZES:
        of_size = errors.take(~size_range(size).outside(errors.area))
        by_size[size] = {name: _costs(group, before, metrics) for name, group in _kinds(of_size, metrics.table)}
    return {
        split: SplitErrors(
            ap=mean_or_none(before[split]),
            kinds=_of_classes(costs, split, slice(None)),
            by_size={size: _of_classes(some, split, slice(None)) for size, some in by_size.items()},
            classes={label: _of_classes(costs, split, slice(i, i + 1)) for i, label in enumerate(classes)},
        )
        for split in metrics.split_images
    }


def put_right(table: MatchTable, errors: ErrorTable, kind: int) -> MatchTable:
    """Return the match table of all images as it would be without `errors`, all of this kind (a place in KINDS)."""
    if kind == MISSED:
        kept = np.ones(len(table.every_truth_row), np.bool_)
        kept[errors.truth_row] = False
        return table.with_truth(kept)
    keep = np.ones(len(table), np.bool_)
    keep[errors.match_row] = False
    if kind not in (CLASSIFICATION, LOCALISATION):
        return table.take(keep)
    # The first error of each object is that with the best score.
    truth, first = np.unique(errors.truth_row, return_index=True)
    free = _unfound(table)[truth]
    truth, rows = truth[free], errors.match_row[first[free]]
    truth_row, class_id, iou = table.truth_row.copy(), table.class_id.copy(), table.iou.copy()
    truth_row[rows], class_id[rows], iou[rows] = truth, table.every_truth_class_id[truth], 1.0
    keep[rows] = True
    return replace(table, truth_row=truth_row, class_id=class_id, iou=iou).take(keep)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Errors that are put right together, one row each, and the match table `without` them."""

    image_row: NDArray[np.int64]
    class_id: NDArray[np.int64]
    any_score: NDArray[np.bool_]
    at_threshold: NDArray[np.bool_]
    without: MatchTable


def _kinds(errors: ErrorTable, table: MatchTable) -> Iterator[tuple[str, _Group]]:
    """Yield each kind with its errors: one by one, for each holds a table as large as the match table."""
    for kind, name in enumerate(KINDS):
        mine = errors.take(errors.kind == kind)
        costly = mine.take(mine.any_score)
        without = put_right(table, costly, kind) if len(costly) else table
        yield name, _Group(mine.image_row, mine.class_id, mine.any_score, mine.at_threshold, without)


def _specials(metrics: Metrics) -> Iterator[tuple[str, _Group]]:
    """Yield each of SPECIALS with its errors."""
    table, kept = metrics.table, kept_rows(metrics)
    wrong, every = table.false_positive, np.ones(int(table.false_positive.sum()), np.bool_)
    right = table.take(~wrong)
    yield FALSE_POSITIVES, _Group(table.image_row[wrong], table.class_id[wrong], every, kept[wrong], right)
    unfound, unfound_at = _unfound(table), _unfound(table.take(kept))
    truth = table.every_truth_image_row, table.every_truth_class_id
    yield FALSE_NEGATIVES, _Group(*truth, unfound, unfound_at, table.with_truth(~unfound))


def _unfound(table: MatchTable) -> NDArray[np.bool_]:
    """Return the (truth,) mask of what counts and that no detection of a table of all truth found."""
    unfound = ~table.every_truth_ignored
    unfound[table.truth_row[table.hit]] = False
    return unfound


@dataclass(frozen=True, slots=True, eq=False)
class _Costs:
    """The errors of a group in one split, by class: their counts, and the APs, NaN where there is none."""

    images: int
    count: NDArray[np.int64]
    count_at_threshold: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]

    def of_classes(self, chosen: slice) -> ErrorCost:
        """Return the sums and the mean over some classes."""
        before, after = self.before[chosen], self.after[chosen]
        gain = mean_or_none(after - before)
        had = ~np.isnan(before)
        why = NOTHING_LEFT if had.any() else why_no_recall(self.images)
        return ErrorCost(
            count=int(self.count[chosen].sum()),
            count_at_threshold=int(self.count_at_threshold[chosen].sum()),
            # No error lowers AP by being put right: what is below 0 is rounding.
            dap=None if gain is None else max(gain, 0.0),
            classes_left_out=int((had & np.isnan(after)).sum()),
            undefined={"dap": why} if gain is None else {},
        )


def _of_classes(costs: Mapping[str, Mapping[str, _Costs]], split: str, chosen: slice) -> dict[str, ErrorCost]:
    return {name: some[split].of_classes(chosen) for name, some in costs.items()}


def _costs(group: _Group, before: Mapping[str, NDArray[np.float64]], metrics: Metrics) -> dict[str, _Costs]:
    """Return what a group of errors costs in each split."""
    classes = len(metrics.thresholds)
    after = before if group.without is metrics.table else table_precisions(group.without, metrics)
    costs = {}
    for split, inside in metrics.split_images.items():
        here = inside[group.image_row]
        costs[split] = _Costs(
            images=int(inside.sum()),
            count=np.bincount(group.class_id[here & group.any_score], minlength=classes),
            count_at_threshold=np.bincount(group.class_id[here & group.at_threshold], minlength=classes),
            before=before[split],
            after=after[split],
        )
    return costs
