"""How sure AP is: the image bootstrap, by weights on the fixed ranking.

A resample draws as many images as there are, with replacement. An image drawn twice counts twice, so a resample is a
weight for each image; the ranking and the matching never change, which makes a resample one weighted cumulative sum.
Images of one group (several photographs of one thing) are drawn together, for they are not independent.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from evaluation.average_precision import area_under
from evaluation.curves import Curve

LEVEL = 0.95
"""The share of intervals, over many such data sets, that hold the true value."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of confidence `LEVEL`."""

    low: float
    high: float


def weighted_average_precision(curve: Curve, weight: NDArray[np.int64], reading: str = "coco-101") -> float | None:
    """Return the AP when each image counts `weight` (images,) times, or None where no truth is left.

    Equal to the AP of a data set in which each image really stands that many times.
    """
    truth = int(weight[curve.truth_image_row].sum())
    if not truth:
        return None
    counted = weight[curve.image_row]
    hits = np.flatnonzero(curve.hit & (counted > 0))
    return area_under(np.cumsum(counted[hits]), np.cumsum(counted)[hits], truth, reading)


def resampled_average_precision(
    curves: list[Curve], unit: NDArray[np.int64], *, resamples: int, seed: int, reading: str = "coco-101"
) -> NDArray[np.float64]:
    """Return the (resamples, classes) APs of resampled images; NaN where a resample has no truth of a class.

    `unit` (images,) numbers what is drawn together: images of one group have one number, from 0; -1 marks an image
    that does not take part.
    """
    rng, units = np.random.default_rng(seed), int(unit.max(initial=-1)) + 1
    result = np.full((resamples, len(curves)), np.nan)
    for values in result if units else ():
        drawn = np.bincount(rng.integers(0, units, units), minlength=units)
        weight = np.where(unit >= 0, drawn[unit], 0)
        for column, curve in enumerate(curves):
            value = weighted_average_precision(curve, weight, reading)
            values[column] = np.nan if value is None else value
    return result


def bias_corrected_interval(point: float, resampled: NDArray[np.float64]) -> Interval | None:
    """Return the bias-corrected percentile interval of a figure, from its value and (K,) resampled values.

    NaN among the resampled values (no truth was drawn) is left out; None where nothing is left.
    Source: Efron 1981, Nonparametric standard errors and confidence intervals, section 7 ("BC").
    """
    values = resampled[~np.isnan(resampled)]
    if not len(values):
        return None
    # Half of the ties count as below, so that a figure that never varies has no bias. The share is kept off 0 and 1,
    # where its normal quantile would be infinite.
    share = ((values < point).sum() + 0.5 * (values == point).sum()) / len(values)
    normal, edge = NormalDist(), 0.5 / len(values)
    bias = normal.inv_cdf(min(max(float(share), edge), 1 - edge))
    reach = normal.inv_cdf(0.5 + LEVEL / 2)
    low, high = np.quantile(values, [normal.cdf(2 * bias - reach), normal.cdf(2 * bias + reach)])
    return Interval(float(low), float(high))


def drawing_units(group: NDArray[np.str_], inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the (images,) unit numbers for `resampled_average_precision`: one for each group, and for each image
    without a group; -1 for images that are not `inside`."""
    rows = np.flatnonzero(inside)
    alone = group[rows] == ""
    unit = np.full(len(group), -1)
    names, number = np.unique(group[rows[~alone]], return_inverse=True)
    unit[rows[~alone]] = number
    unit[rows[alone]] = len(names) + np.arange(alone.sum())
    return unit
