"""From the match table and the APs of one split to its figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.tables import BoxDataset
from evaluation.calibration import Calibration, calibration
from evaluation.confusion import BACKGROUND, ConfusionTable
from evaluation.emptiness import (
    NO_SHARES,
    ratio,
    why_no_calibration,
    why_no_f1,
    why_no_precision,
    why_no_rate,
    why_no_recall,
)
from evaluation.figures import ClassMetrics, SplitMetrics
from evaluation.intervals import IntervalOrReason, Intervals
from evaluation.matching import MatchTable
from evaluation.slices import SplitPrecisions
from evaluation.thresholds import Threshold


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one split's figures are read from; `inside` (images,) marks its images, `table` is of these alone."""

    dataset: BoxDataset
    table: MatchTable
    inside: NDArray[np.bool_]
    thresholds: list[Threshold]
    precisions: SplitPrecisions
    intervals: Intervals
    confusion: ConfusionTable

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return len(self.dataset.classes)

    @property
    def empty_images(self) -> NDArray[np.bool_]:
        """Return the (images,) mask of the split's images with nothing in them, not even what is ignored."""
        empty = self.inside.copy()
        empty[self.table.every_truth_image_row] = False
        return empty

    @property
    def at_threshold(self) -> NDArray[np.bool_]:
        """Return the (N,) mask of the detections with at least the score of their class's threshold."""
        values = np.array([threshold.value for threshold in self.thresholds], np.float64)
        return np.asarray(self.table.score >= values[self.table.class_id])


@dataclass(frozen=True, slots=True)
class _Counts:
    """What is counted, most of it at the thresholds, and the figures that are quotients of it."""

    images: int
    images_without_truth: int
    truth: int
    detections: int
    ignored_truth: int
    ignored_detections: int
    tp: int
    fp: int
    fp_without_truth: int

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
            "fp_per_image": ratio(self.fp, self.images),
            "fp_per_image_without_truth": ratio(self.fp_without_truth, self.images_without_truth),
        }

    @property
    def plain(self) -> dict[str, Any]:
        """Return the counts that classes and splits both show."""
        names = ("truth", "detections", "tp", "fp", "fn", "ignored_truth", "ignored_detections")
        return {name: getattr(self, name) for name in names}

    def why(self, name: str) -> str:
        """Return why the figure of this name has no value."""
        if name == "precision":
            return why_no_precision(self.images, self.detections)
        if name == "f1":
            return why_no_f1(self.images, self.detections)
        if name in ("ece", "mce"):
            return NO_SHARES if self.detections > self.ignored_detections else why_no_calibration(self.images)
        return why_no_rate(self.images) if name.startswith("fp_per_image") else why_no_recall(self.images)


def split_metrics(part: Part, bins: int) -> SplitMetrics:
    """Return the figures of a split; `bins` are those of its calibration."""
    table, everything = part.table, slice(None)
    counts = _counts(part, np.ones(len(table), np.bool_), np.ones(len(table.every_truth_row), np.bool_))
    whole = calibration(table.score[~table.ignored], table.hit[~table.ignored], bins)
    classes = {name: _class_metrics(part, class_id, bins) for class_id, name in enumerate(part.dataset.classes)}
    return SplitMetrics(
        **counts.plain,
        images=counts.images,
        images_without_truth=counts.images_without_truth,
        detections_on_images_without_truth=counts.fp_without_truth,
        classes=classes,
        classes_without_truth=sum(figures.truth == 0 for figures in classes.values()),
        confusion=_confusion(part),
        calibration=None if whole is None else whole.to_json(),
        **_figures(part, counts, everything, part.intervals.together, whole),
    )


def _class_metrics(part: Part, class_id: int, bins: int) -> ClassMetrics:
    table, threshold = part.table, part.thresholds[class_id]
    mine = table.class_id == class_id
    counts = _counts(part, mine, table.every_truth_class_id == class_id)
    counted = mine & ~table.ignored
    own = calibration(table.score[counted], table.hit[counted], bins)
    return ClassMetrics(
        **counts.plain,
        threshold=threshold.value,
        threshold_from=threshold.chosen_on,
        threshold_reached=threshold.reached,
        **_figures(part, counts, slice(class_id, class_id + 1), part.intervals.classes[class_id], own),
    )


def _counts(part: Part, rows: NDArray[np.bool_], truths: NDArray[np.bool_]) -> _Counts:
    """Return the counts over some rows (N,) of the match table, and some of the truth."""
    table, empty = part.table, part.empty_images
    kept = rows & part.at_threshold
    false = kept & table.false_positive
    return _Counts(
        images=int(part.inside.sum()),
        images_without_truth=int(empty.sum()),
        truth=int((truths & ~table.every_truth_ignored).sum()),
        detections=int(rows.sum()),
        ignored_truth=int((truths & table.every_truth_ignored).sum()),
        ignored_detections=int((rows & table.ignored).sum()),
        tp=int((kept & table.hit).sum()),
        fp=int(false.sum()),
        fp_without_truth=int((false & empty[table.image_row]).sum()),
    )


def _figures(
    part: Part,
    counts: _Counts,
    class_ids: slice,
    intervals: Mapping[str, IntervalOrReason],
    scores: Calibration | None,
) -> dict[str, Any]:
    """Return the figures that may have no value, and `undefined`."""
    precisions = part.precisions
    whole = precisions.whole.of_classes(class_ids)
    values: dict[str, Any] = {
        "ap50": whole.ap50,
        "ap75": whole.ap75,
        "ap": whole.ap,
        "ap50_ties": precisions.ties_of(class_ids),
        "ece": None if scores is None else scores.expected_error,
        "mce": None if scores is None else scores.largest_error,
        **counts.rates,
    }
    undefined = {name: counts.why(name) for name, value in values.items() if value is None}
    for name, interval in intervals.items():
        values[f"{name}_ci"] = None if isinstance(interval, str) else interval
        if isinstance(interval, str):
            undefined[f"{name}_ci"] = undefined.get(name, interval)
    return {
        **values,
        "by_size": {name: values.of_classes(class_ids) for name, values in precisions.by_size.items()},
        "by_flag": {name: values.of_classes(class_ids) for name, values in precisions.by_flag.items()},
        "undefined": undefined,
    }


def _confusion(part: Part) -> Mapping[str, Any]:
    """Return the labels of the matrix and its rows: what is there by what was found."""
    labels = [*part.dataset.classes, BACKGROUND]
    return {"labels": labels, "counts": part.confusion.counts(part.classes, part.inside).tolist()}
