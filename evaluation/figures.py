"""The figures of a scoring: what they were asked to be, and what came out, for each split and class."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from annotations.errors import UsageError
from evaluation.average_precision import READINGS
from evaluation.bootstrap import Interval
from evaluation.matching import MATCHINGS, MatchTable

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How figures are made.

    `iou` is the least IoU of a hit for precision, recall, F1 and the counts (ap50 and ap have their own); `threshold`
    is one score threshold for all classes, or None for the best F1 of each class on val (see `thresholds`);
    `max_detections` keeps the best of each image and class (None: all); `resamples` 0 makes no intervals.
    """

    iou: float = 0.5
    matching: str = "coco"
    ap: str = "coco-101"
    threshold: float | None = None
    max_detections: int | None = None
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            ("iou", "above 0 and at most 1", 0 < self.iou <= 1),
            ("matching", f"one of {', '.join(MATCHINGS)}", self.matching in MATCHINGS),
            ("ap", f"one of {', '.join(READINGS)}", self.ap in READINGS),
            ("threshold", "a finite number", self.threshold is None or bool(np.isfinite(self.threshold))),
            ("max_detections", "at least 1", self.max_detections is None or self.max_detections >= 1),
            ("resamples", "at least 0", self.resamples >= 0),
            ("seed", "at least 0", self.seed >= 0),
        )
        for name, expected, fine in checks:
            if not fine:
                raise UsageError(f"{name} must be {expected}, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """The figures of one class in one split; None has its reason in `undefined`.

    `detections` counts all of them, `tp` + `fp` those with at least the threshold's score.
    """

    truth: int
    detections: int
    ap50: float | None
    ap50_ci: Interval | None
    ap: float | None
    threshold: float
    threshold_from: str
    tp: int
    fp: int
    fn: int
    precision: float | None
    recall: float | None
    f1: float | None
    undefined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SplitMetrics:
    """The figures of one split: counts are sums over all classes, `ap50` and `ap` means over the classes with truth.

    `classes_without_truth` says how many classes those means leave out; `detections_on_images_without_truth` counts at
    the thresholds.
    """

    images: int
    images_without_truth: int
    truth: int
    detections: int
    detections_on_images_without_truth: int
    classes: Mapping[str, ClassMetrics]
    classes_without_truth: int
    ap50: float | None
    ap50_ci: Interval | None
    ap: float | None
    tp: int
    fp: int
    fn: int
    precision: float | None
    recall: float | None
    f1: float | None
    undefined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """The figures of every split, and what they were read from.

    `table` is the match table at `settings.iou` of all images, `split_images` the (images,) mask of each split,
    `thresholds` (classes,) the score threshold of each class.
    """

    settings: ScoreSettings
    splits: Mapping[str, SplitMetrics]
    images_without_split: int
    table: MatchTable
    split_images: Mapping[str, NDArray[np.bool_]]
    thresholds: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (len(self.thresholds),)
        object.__setattr__(self, "thresholds", column("Metrics", "thresholds", self.thresholds, np.float64, shape))
        for inside in self.split_images.values():
            inside.flags.writeable = False

    def to_json(self) -> dict[str, Any]:
        """Return metrics.json's content: plain, with stable keys, and without NaN."""
        return {
            "schema": SCHEMA,
            "iou": self.settings.iou,
            "matching": self.settings.matching,
            "ap": self.settings.ap,
            "max_detections": self.settings.max_detections,
            "resamples": self.settings.resamples,
            "seed": self.settings.seed,
            "images_without_split": self.images_without_split,
            "splits": {name: _plain(split) for name, split in self.splits.items()},
        }


def _plain(figures: ClassMetrics | SplitMetrics) -> dict[str, Any]:
    """Return the figures as JSON holds them."""
    values = {column.name: getattr(figures, column.name) for column in fields(figures)}
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: object) -> object:
    if isinstance(value, Interval):
        return [value.low, value.high]
    if isinstance(value, Mapping):
        return {key: _plain(item) if isinstance(item, ClassMetrics) else item for key, item in value.items()}
    return value
