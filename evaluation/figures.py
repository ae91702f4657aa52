"""The figures of a scoring: what they were asked to be, and what came out, for each split and class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from annotations.errors import UsageError
from evaluation.average_precision import READINGS
from evaluation.bootstrap import Interval
from evaluation.calibration import BINS
from evaluation.curves import IN_ORDER, TIES
from evaluation.differences import Gap
from evaluation.matching import MATCHINGS, MatchTable
from evaluation.thresholds import GIVEN, ThresholdRule

SCHEMA = 1
MOST_BINS = 100


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How figures are made.

    `iou` is the least IoU of a hit for precision, recall, F1 and the counts (the APs have their own); `threshold` is
    one score threshold for all classes, or the rule that chooses one for each class on val (see `thresholds`; None:
    the best F1); `max_detections` keeps the best of each image and class (None: all); `resamples` 0 makes no intervals;
    `score_floor` leaves out all detections with a lower score before anything is computed; `ties` is how APs rank
    equal scores; `bins` those of the calibration; `preset` the name of the preset that these settings began with.
    """

    iou: float = 0.5
    matching: str = "coco"
    ap: str = "coco-101"
    threshold: float | ThresholdRule | None = None
    max_detections: int | None = None
    resamples: int = 1000
    seed: int = 0
    score_floor: float | None = None
    ties: str = IN_ORDER
    bins: int = BINS
    preset: str | None = None

    def __post_init__(self) -> None:
        for name, expected, fine in (*self._checks_of_scores(), *self._checks_of_names(), *self._checks_of_counts()):
            if not fine:
                raise UsageError(f"{name} must be {expected}, got {getattr(self, name)}")

    def _checks_of_scores(self) -> list[tuple[str, str, bool]]:
        given, floor = self.threshold, self.score_floor
        return [
            ("iou", "above 0 and at most 1", 0 < self.iou <= 1),
            ("threshold", "a finite number", not isinstance(given, float | int) or bool(np.isfinite(given))),
            ("score_floor", "a finite number", floor is None or bool(np.isfinite(floor))),
        ]

    def _checks_of_names(self) -> list[tuple[str, str, bool]]:
        return [
            ("matching", f"one of {', '.join(MATCHINGS)}", self.matching in MATCHINGS),
            ("ap", f"one of {', '.join(READINGS)}", self.ap in READINGS),
            ("ties", f"one of {', '.join(TIES)}", self.ties in TIES),
        ]

    def _checks_of_counts(self) -> list[tuple[str, str, bool]]:
        return [
            ("max_detections", "at least 1", self.max_detections is None or self.max_detections >= 1),
            ("resamples", "at least 0", self.resamples >= 0),
            ("seed", "at least 0", self.seed >= 0),
            ("bins", f"1 to {MOST_BINS}", 1 <= self.bins <= MOST_BINS),
        ]

    @property
    def threshold_rule(self) -> str:
        """Return the name of the rule that chooses the thresholds, or `given`."""
        rule = ThresholdRule() if self.threshold is None else self.threshold
        return str(rule) if isinstance(rule, ThresholdRule) else GIVEN


class Range(NamedTuple):
    """The lowest and the highest that a figure can be."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SliceMetrics:
    """The APs over a part of a split: the objects of a size, or the images with a flag.

    `truth` counts the objects to find in its `images`. For several classes the APs are means over those with truth;
    `classes_without_truth` says how many are left out. None has its reason in `undefined`.
    """

    images: int
    truth: int
    classes_without_truth: int
    ap50: float | None
    ap75: float | None
    ap: float | None
    undefined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a class and a split both have; None has its reason in `undefined`.

    `detections` counts all of them; `tp` + `fp` are those with at least the threshold's score that are not ignored.
    `ap50_ties` is AP@.5 with the misses first and with the hits first among equal scores. `ignored_truth` and
    `ignored_detections` say how many count for nothing; `fp_per_image_without_truth` is over the images with nothing in
    them, of no class.
    """

    truth: int
    detections: int
    ap50: float | None
    ap50_ci: Interval | None
    ap75: float | None
    ap75_ci: Interval | None
    ap: float | None
    ap_ci: Interval | None
    ap50_ties: Range | None
    tp: int
    fp: int
    fn: int
    precision: float | None
    precision_ci: Interval | None
    recall: float | None
    recall_ci: Interval | None
    f1: float | None
    f1_ci: Interval | None
    fp_per_image: float | None
    fp_per_image_without_truth: float | None
    ece: float | None
    mce: float | None
    ignored_truth: int
    ignored_detections: int
    by_size: Mapping[str, SliceMetrics]
    by_flag: Mapping[str, SliceMetrics]
    undefined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics(Figures):
    """The figures of one class in one split; `threshold_reached` is false where none reached the floor of the rule."""

    threshold: float
    threshold_from: str
    threshold_reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitMetrics(Figures):
    """The figures of one split: counts are sums over all classes, the APs means over the classes with truth.

    `classes_without_truth` says how many classes those means leave out; `detections_on_images_without_truth` counts at
    the thresholds. `confusion` is the matrix of `evaluation.confusion`, `calibration` the table over all classes.
    """

    images: int
    images_without_truth: int
    detections_on_images_without_truth: int
    classes: Mapping[str, ClassMetrics]
    classes_without_truth: int
    confusion: Mapping[str, Sequence[object]]
    calibration: Mapping[str, Sequence[object]] | None


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """The figures of every split, the gaps between them (`train-val` and so on), and what they were read from.

    `table` is the match table at `settings.iou` of all images, `split_images` the (images,) mask of each split,
    `thresholds` (classes,) the score threshold of each class.
    """

    settings: ScoreSettings
    splits: Mapping[str, SplitMetrics]
    gaps: Mapping[str, Gap]
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
        settings = self.settings
        return {
            "schema": SCHEMA,
            "preset": settings.preset,
            "iou": settings.iou,
            "matching": settings.matching,
            "ap": settings.ap,
            "ties": settings.ties,
            "score_floor": settings.score_floor,
            "max_detections": settings.max_detections,
            "threshold_rule": settings.threshold_rule,
            "resamples": settings.resamples,
            "seed": settings.seed,
            "bins": settings.bins,
            "images_without_split": self.images_without_split,
            "splits": {name: plain(split) for name, split in self.splits.items()},
            "gaps": {name: gap.to_json() for name, gap in self.gaps.items()},
        }


def plain(value: object) -> Any:  # noqa: ANN401
    """Return a figure, or figures within figures, as JSON holds them."""
    if isinstance(value, Interval):
        return [value.low, value.high]
    if is_dataclass(value):
        return {column.name: plain(getattr(value, column.name)) for column in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
