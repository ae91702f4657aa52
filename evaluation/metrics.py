"""From detections to the figures of every split and class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.tables import SPLITS, BoxDataset, Detections
from evaluation.average_precision import IOU_THRESHOLDS
from evaluation.bootstrap import Interval, bias_corrected_interval, drawing_units, resampled_average_precision
from evaluation.checks import check_detections
from evaluation.curves import Curve, class_curves
from evaluation.emptiness import NOT_ASKED, TOO_FEW_IMAGES, ratio, why_no_f1, why_no_precision, why_no_recall
from evaluation.figures import ClassMetrics, Metrics, ScoreSettings, SplitMetrics
from evaluation.matching import Candidates, MatchTable, candidates
from evaluation.precisions import average_precisions
from evaluation.thresholds import Threshold, choose_threshold

WHOLE = "all"
"""The name of the one split of a dataset without splits."""

Masks = Mapping[str, NDArray[np.bool_]]


def evaluate_splits(
    dataset: BoxDataset,
    detections: Detections,
    settings: ScoreSettings | None = None,
    splits: Sequence[str] | None = None,
    *,
    name: str = "detections",
) -> Metrics:
    """Return the figures of `splits` (None: every split that has images; `all` for a dataset without splits).

    `detections.image_row` points at `dataset.images`. Thresholds are chosen by the rule of `thresholds` among all
    splits of the dataset, also those that are not asked for. `name` (a file, say) begins the message of a refusal.

    Raises:
        AnnotationError: a detection that cannot be scored; see `check_detections`.
        UsageError: an unknown split.
    """
    settings = settings or ScoreSettings()
    check_detections(dataset, detections, name=name)
    present = split_images(dataset)
    wanted = _wanted(dataset, present, splits)
    found = candidates(
        dataset,
        detections,
        matching=settings.matching,
        lowest_iou=min(settings.iou, float(IOU_THRESHOLDS[0])),
        max_detections=settings.max_detections,
    )
    table = found.match(settings.iou)
    thresholds = choose_thresholds(table, present, len(dataset.classes), settings.threshold)
    precisions = average_precisions(found, wanted, settings.ap)
    intervals = _intervals(found, wanted, precisions, settings)
    return Metrics(
        settings=settings,
        splits={
            split: _split_metrics(
                _Part(dataset, table.of_images(inside), inside, thresholds, precisions[split], intervals[split])
            )
            for split, inside in wanted.items()
        },
        images_without_split=0 if WHOLE in wanted else int((dataset.images.split == "").sum()),
        table=table,
        split_images=wanted,
        thresholds=np.array([threshold.value for threshold in thresholds], np.float64),
    )


def split_images(dataset: BoxDataset) -> dict[str, NDArray[np.bool_]]:
    """Return the (images,) mask of each split that has images, in the order train, val, test.

    A dataset without any split is one split named `all`. Images without a split beside others that have one are in no
    mask.
    """
    split = dataset.images.split
    masks = {name: split == name for name in SPLITS if (split == name).any()}
    return masks or {WHOLE: np.ones(len(dataset.images), np.bool_)}


def _wanted(dataset: BoxDataset, present: Masks, splits: Sequence[str] | None) -> Masks:
    if splits is None:
        return present
    for name in splits:
        if name not in (*SPLITS, WHOLE):
            raise UsageError(f"split must be one of {', '.join((*SPLITS, WHOLE))}, got {name}")
    everywhere = np.ones(len(dataset.images), np.bool_)
    nowhere = np.zeros(len(dataset.images), np.bool_)
    return {name: present.get(name, everywhere if name == WHOLE else nowhere) for name in dict.fromkeys(splits)}


def choose_thresholds(table: MatchTable, present: Masks, classes: int, given: float | None) -> list[Threshold]:
    """Return the threshold of each class, by the rule of `thresholds`."""
    curves = {split: class_curves(table.of_images(inside), classes) for split, inside in present.items()}
    return [choose_threshold({split: curves[split][i] for split in present}, given) for i in range(classes)]


def mean_or_none(values: NDArray[np.float64]) -> float | None:
    """Return the mean of the (K,) values that are not NaN, or None where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


@dataclass(frozen=True, slots=True)
class _Intervals:
    """The interval of ap50, or the word that says why there is none, for each class and for their mean."""

    classes: list[Interval | str]
    mean: Interval | str


def _intervals(
    found: Candidates, splits: Masks, precisions: Mapping[str, NDArray[np.float64]], settings: ScoreSettings
) -> dict[str, _Intervals]:
    classes, group = len(found.dataset.classes), found.dataset.images.group
    if not settings.resamples:
        return {split: _Intervals([NOT_ASKED] * classes, NOT_ASKED) for split in splits}
    table = found.match(float(IOU_THRESHOLDS[0]))
    return {
        split: _split_intervals(
            class_curves(table.of_images(inside), classes), drawing_units(group, inside), precisions[split][0], settings
        )
        for split, inside in splits.items()
    }


def _split_intervals(
    curves: list[Curve], unit: NDArray[np.int64], ap50: NDArray[np.float64], settings: ScoreSettings
) -> _Intervals:
    resampled = resampled_average_precision(
        curves, unit, resamples=settings.resamples, seed=settings.seed, reading=settings.ap
    )
    classes = [
        _interval(unit[curve.truth_image_row], point, values)
        for curve, point, values in zip(curves, ap50.tolist(), resampled.T, strict=True)
    ]
    everywhere = np.concatenate([np.zeros(0, np.int64), *(unit[curve.truth_image_row] for curve in curves)])
    # A class that lost all its truth in a resample is left out of that resample's mean.
    some = ~np.isnan(resampled).all(axis=1)
    means = np.nanmean(resampled[some], axis=1)
    return _Intervals(classes, _interval(everywhere, mean_or_none(ap50), means))


def _interval(units: NDArray[np.int64], point: float | None, resampled: NDArray[np.float64]) -> Interval | str:
    """Return the interval, or why there is none; `units` (truth,) says where the truth is."""
    if not len(units) or point is None:
        return why_no_recall(images=1)
    found = bias_corrected_interval(point, resampled) if len(np.unique(units)) > 1 else None
    return TOO_FEW_IMAGES if found is None else found


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one split's figures are read from."""

    dataset: BoxDataset
    table: MatchTable
    inside: NDArray[np.bool_]
    thresholds: list[Threshold]
    precisions: NDArray[np.float64]
    intervals: _Intervals


@dataclass(frozen=True, slots=True)
class _Counts:
    """What is counted at the thresholds, and precision, recall and F1 from it."""

    images: int
    truth: int
    detections: int
    tp: int
    fp: int

    @property
    def fn(self) -> int:
        return self.truth - self.tp

    @property
    def rates(self) -> dict[str, float | None]:
        """Source: van Rijsbergen 1979, Information Retrieval, chapter 7 (F1 = 2 TP / (2 TP + FP + FN))."""
        return {
            "precision": ratio(self.tp, self.tp + self.fp),
            "recall": ratio(self.tp, self.truth),
            "f1": ratio(2 * self.tp, self.tp + self.fp + self.truth),
        }

    def undefined(self, values: Mapping[str, object]) -> dict[str, str]:
        """Return why each of `values` that is None has no value."""
        reasons = {
            "ap50": why_no_recall(self.images),
            "ap": why_no_recall(self.images),
            "precision": why_no_precision(self.images, self.detections),
            "recall": why_no_recall(self.images),
            "f1": why_no_f1(self.images, self.detections),
        }
        return {name: reasons[name] for name, value in values.items() if value is None}


def _class_metrics(part: _Part, class_id: int) -> ClassMetrics:
    table, threshold = part.table, part.thresholds[class_id]
    mine = table.class_id == class_id
    kept = mine & (table.score >= threshold.value)
    counts = _Counts(
        images=int(part.inside.sum()),
        truth=int((table.every_truth_class_id == class_id).sum()),
        detections=int(mine.sum()),
        tp=int((kept & table.hit).sum()),
        fp=int((kept & ~table.hit).sum()),
    )
    precisions = part.precisions[:, class_id]
    return ClassMetrics(
        truth=counts.truth,
        detections=counts.detections,
        threshold=threshold.value,
        threshold_from=threshold.chosen_on,
        tp=counts.tp,
        fp=counts.fp,
        fn=counts.fn,
        **_figures(counts, mean_or_none(precisions[:1]), mean_or_none(precisions), part.intervals.classes[class_id]),
    )


def _figures(counts: _Counts, ap50: float | None, ap: float | None, interval: Interval | str) -> dict[str, Any]:
    """Return the figures that may have no value, and `undefined`."""
    values = {"ap50": ap50, "ap": ap, **counts.rates}
    undefined = counts.undefined(values)
    if isinstance(interval, str):
        undefined["ap50_ci"] = undefined.get("ap50", interval)
    return {**values, "ap50_ci": None if isinstance(interval, str) else interval, "undefined": undefined}


def _split_metrics(part: _Part) -> SplitMetrics:
    table, inside = part.table, part.inside
    classes = {name: _class_metrics(part, class_id) for class_id, name in enumerate(part.dataset.classes)}
    with_truth = np.zeros(len(inside), np.bool_)
    with_truth[table.every_truth_image_row] = True
    value = np.array([threshold.value for threshold in part.thresholds], np.float64)
    on_empty = ~with_truth[table.image_row] & (table.score >= value[table.class_id])
    every = classes.values()
    counts = _Counts(
        images=int(inside.sum()),
        truth=len(table.every_truth_row),
        detections=len(table),
        tp=sum(figures.tp for figures in every),
        fp=sum(figures.fp for figures in every),
    )
    ap50, ap = mean_or_none(part.precisions[0]), mean_or_none(part.precisions.mean(axis=0))
    return SplitMetrics(
        images=counts.images,
        images_without_truth=int((inside & ~with_truth).sum()),
        truth=counts.truth,
        detections=counts.detections,
        detections_on_images_without_truth=int(on_empty.sum()),
        classes=classes,
        classes_without_truth=sum(figures.truth == 0 for figures in every),
        tp=counts.tp,
        fp=counts.fp,
        fn=counts.fn,
        **_figures(counts, ap50, ap, part.intervals.mean),
    )
