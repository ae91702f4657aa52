"""The figures of instance masks: what they were asked to be, and what came out, for each image and for a set."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from annotations.errors import UsageError
from evaluation.bootstrap import Interval
from evaluation.label_matching import IOU_THRESHOLDS
from evaluation.label_overlaps import size_text
from evaluation.pixel_scores import PixelCounts, PixelFigures

SCHEMA = 1

RATES = ("precision", "recall", "accuracy", "f1", "mean_true_score", "mean_matched_score", "panoptic_quality")
"""The figures of instance masks, in the order of their table."""

WITH_INTERVALS = ("accuracy", "f1", "panoptic_quality")
"""Those of RATES that have an interval, in the field `NAME_ci`."""


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """How figures of masks are made: the IoU thresholds, rising, and the bootstrap (`resamples` 0: no intervals)."""

    iou_thresholds: tuple[float, ...] = IOU_THRESHOLDS
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.iou_thresholds
        rising = all(a < b for a, b in zip((0.0, *given), (*given, 1.0 + 1e-9), strict=True)) and bool(given)
        checks = (
            ("iou_thresholds", "rising, above 0 and at most 1", rising),
            ("resamples", "at least 0", self.resamples >= 0),
            ("seed", "at least 0", self.seed >= 0),
        )
        for name, expected, fine in checks:
            if not fine:
                raise UsageError(f"{name} must be {expected}, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class ImageMasks:
    """What one image adds: its objects, and at each IoU threshold the matches `tp` and the sum of their IoU.

    `foreground` counts its pixels, all objects together; images of one `group` (not empty) are drawn together by the
    bootstrap.
    """

    name: str
    size: tuple[int, ...]
    truth: int
    predicted: int
    tp: tuple[int, ...]
    matched_iou: tuple[float, ...]
    foreground: PixelCounts
    group: str = ""

    @property
    def errors(self) -> tuple[int, ...]:
        """Return the number of objects missed or made up, at each IoU threshold."""
        return tuple(self.truth + self.predicted - 2 * tp for tp in self.tp)

    def to_json(self) -> dict[str, Any]:
        """Return the image's counts as JSON holds them."""
        return {
            "name": self.name,
            "size": size_text(self.size),
            "truth": self.truth,
            "predicted": self.predicted,
            "tp": list(self.tp),
            "fp": [self.predicted - tp for tp in self.tp],
            "fn": [self.truth - tp for tp in self.tp],
            "matched_iou": list(self.matched_iou),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RateFigures:
    """The RATES at one IoU threshold; None has its reason in `undefined`.

    `mean_matched_score` is the mean IoU of the matches, `mean_true_score` the sum of their IoU over the number of true
    objects.
    Source: Kirillov et al. 2019, Panoptic Segmentation, equation 1; Weigert et al. 2020, Star-convex Polyhedra for 3D
    Object Detection and Segmentation in Microscopy (accuracy).
    """

    iou_threshold: float
    precision: float | None
    recall: float | None
    accuracy: float | None
    f1: float | None
    mean_true_score: float | None
    mean_matched_score: float | None
    panoptic_quality: float | None
    undefined: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON holds them."""
        return {column.name: _plain_value(getattr(self, column.name)) for column in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFigures(RateFigures):
    """The figures of one image, or of the pooled counts of a set; the intervals are there for a set only."""

    truth: int
    predicted: int
    tp: int
    fp: int
    fn: int
    accuracy_ci: Interval | None
    f1_ci: Interval | None
    panoptic_quality_ci: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanFigures(RateFigures):
    """The means over images of the figures; `left_out` counts the images without a value, for each figure that left any
    out.
    """

    images: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MaskMetrics:
    """The figures of a set of images: `pooled` and `by_image` have one row an IoU threshold, in the settings' order.

    `foreground` are the pixel scores of all objects as one class. `without_partner` names files that were left out.
    """

    settings: MaskSettings
    images: tuple[ImageMasks, ...]
    pooled: tuple[MaskFigures, ...]
    by_image: tuple[MeanFigures, ...]
    foreground: PixelFigures
    without_partner: tuple[str, ...] = ()

    def worst(self, iou_threshold: float = 0.5, most: int = 10) -> tuple[ImageMasks, ...]:
        """Return up to `most` images with errors at that IoU threshold, most errors first, then by name.

        Raises:
            ValueError: it is none of the settings' thresholds.
        """
        place = self.settings.iou_thresholds.index(iou_threshold)
        wrong = [image for image in self.images if image.errors[place]]
        return tuple(sorted(wrong, key=lambda image: (-image.errors[place], image.name))[:most])

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON holds them: plain, with stable keys, and without NaN."""
        return {
            "schema": SCHEMA,
            "kind": "masks",
            "iou_thresholds": list(self.settings.iou_thresholds),
            "resamples": self.settings.resamples,
            "seed": self.settings.seed,
            "images": len(self.images),
            "images_without_truth": sum(not image.truth for image in self.images),
            "pooled": [row.to_json() for row in self.pooled],
            "by_image": [row.to_json() for row in self.by_image],
            "foreground": self.foreground.to_json(),
            "per_image": [image.to_json() for image in self.images],
            "without_partner": list(self.without_partner),
        }


def _plain_value(value: object) -> object:
    if isinstance(value, Interval):
        return [value.low, value.high]
    return dict(value) if isinstance(value, Mapping) else value
