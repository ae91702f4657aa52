"""The intervals of AP@.5 of every split and class, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.average_precision import AT_50, IOU_THRESHOLDS
from evaluation.bootstrap import Interval, bias_corrected_interval, drawing_units, resampled_average_precision
from evaluation.curves import Curve, class_curves
from evaluation.emptiness import NOT_ASKED, TOO_FEW_IMAGES, why_no_recall
from evaluation.figures import ScoreSettings
from evaluation.matching import Candidates
from evaluation.slices import SplitPrecisions, mean_or_none


@dataclass(frozen=True, slots=True)
class Intervals:
    """The interval of ap50, or the word that says why there is none, for each class and for their mean."""

    classes: list[Interval | str]
    mean: Interval | str


def split_intervals(
    found: Candidates,
    splits: Mapping[str, NDArray[np.bool_]],
    precisions: Mapping[str, SplitPrecisions],
    settings: ScoreSettings,
) -> dict[str, Intervals]:
    """Return the intervals of every split; `precisions` are its APs."""
    classes, group = len(found.dataset.classes), found.dataset.images.group
    if not settings.resamples:
        return {split: Intervals([NOT_ASKED] * classes, NOT_ASKED) for split in splits}
    table = found.match(float(IOU_THRESHOLDS[AT_50]))
    return {
        split: _of_split(
            class_curves(table.of_images(inside), classes, ties=settings.ties),
            drawing_units(group, inside),
            precisions[split].whole.values[AT_50],
            settings,
        )
        for split, inside in splits.items()
    }


def _of_split(
    curves: list[Curve], unit: NDArray[np.int64], ap50: NDArray[np.float64], settings: ScoreSettings
) -> Intervals:
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
    return Intervals(classes, _interval(everywhere, mean_or_none(ap50), means))


def _interval(units: NDArray[np.int64], point: float | None, resampled: NDArray[np.float64]) -> Interval | str:
    """Return the interval, or why there is none; `units` (truth,) says where the truth is."""
    if not len(units) or point is None:
        return why_no_recall(images=1)
    found = bias_corrected_interval(point, resampled) if len(np.unique(units)) > 1 else None
    return TOO_FEW_IMAGES if found is None else found
