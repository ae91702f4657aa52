"""How sure a figure is: the image bootstrap, by weights on the fixed ranking.

A resample draws as many images as there are, with replacement. An image drawn twice counts twice, so a resample is a
weight for each image; the ranking and the matching never change, which makes a resample a few weighted sums. Images of
one group (several photographs of one thing) are drawn together, for they are not independent.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""The share of intervals, over many such data sets, that hold the true value."""

Weights = NDArray[np.int64]
"""(rows, units): how often each unit counts. A unit is what is drawn together: an image, or a group of images."""

_AT_ONCE = 1 << 18
"""Numbers in the largest table of a pass: what fits a processor's cache, where a set is not larger by itself."""
_KEPT_BYTES = 1 << 24
"""Well above the bytes of all tables of a pass together; glibc takes no notice of blocks of more than 32 MB."""
_DRAWN_AT_ONCE = 1 << 16
"""Units drawn in one call. The resamples of a seed depend on it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of confidence `LEVEL`."""

    low: float
    high: float


def resampled_weights(units: int, resamples: int, seed: int, split: str, *, at_once: int) -> Iterator[Weights]:
    """Yield the weights of 1 + `resamples` rows, at most `at_once` rows at a time; in row 0 each unit counts once.

    The resamples of two splits are independent, for the split's name goes into the seed; they are the same for
    everything that is scored on one split, which pairs two detectors there.
    """
    rng = np.random.default_rng((seed, zlib.crc32(split.encode())))
    rows = chain(np.ones((1, units), np.int64), _drawn(rng, units, resamples))
    while part := list(islice(rows, at_once)):
        yield np.stack(part)


def _drawn(rng: np.random.Generator, units: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each unit is drawn, (units,), for each resample."""
    block = max(1, _DRAWN_AT_ONCE // max(units, 1))
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        numbers = rng.integers(0, max(units, 1), (count, units)) + units * np.arange(count)[:, None]
        yield from np.bincount(numbers.ravel(), minlength=count * units).reshape(count, units)


def over_resamples(
    figures: Callable[[Weights], Mapping[str, NDArray[np.float64]]],
    units: int,
    width: int,
    *,
    resamples: int,
    seed: int,
    split: str,
) -> dict[str, NDArray[np.float64]]:
    """Return what `figures` makes of 1 + `resamples` rows of weights, by name, all rows together.

    `width` is how many numbers a row needs at most in one table; it decides how many rows are made at once, which
    bounds the memory.
    """
    _keep_freed_memory()
    at_once = max(1, _AT_ONCE // max(units, width, 1))
    parts = [figures(weight) for weight in resampled_weights(units, resamples, seed, split, at_once=at_once)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _keep_freed_memory() -> None:
    """Let the tables of a pass come to lie where those of the one before lay.

    Glibc gives a freed block back to the system if it is larger than any that was freed before. Each table was then
    made of new pages, which took a third of the time that intervals of a small set cost. Freeing one block that nobody
    touched, and that so never was in memory, ends it; other systems take no notice.
    """
    np.empty(_KEPT_BYTES, np.uint8)


def drawing_units(group: NDArray[np.str_], inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the (images,) numbers of what is drawn together, from 0: one for each group, and for each image without a
    group; -1 for images that are not `inside`."""
    rows = np.flatnonzero(inside)
    alone = group[rows] == ""
    unit = np.full(len(group), -1)
    names, number = np.unique(group[rows[~alone]], return_inverse=True)
    unit[rows[~alone]] = number
    unit[rows[alone]] = len(names) + np.arange(alone.sum())
    return unit


def bias_corrected_interval(point: float, resampled: NDArray[np.float64]) -> Interval | None:
    """Return the bias-corrected percentile interval of a figure, from its value and (K,) resampled values.

    NaN among the resampled values (no truth was drawn) is left out; None where nothing is left.
    Source: Efron 1981, Nonparametric standard errors and confidence intervals, section 7 ("BC").
    """
    values = np.sort(resampled[~np.isnan(resampled)])
    if not len(values):
        return None
    # Half of the ties count as below, so that a figure that never varies has no bias. The share is kept off 0 and 1,
    # where its normal quantile would be infinite.
    share = sum(values.searchsorted(point, side) for side in ("left", "right")) / (2 * len(values))
    normal, edge = NormalDist(), 0.5 / len(values)
    bias = normal.inv_cdf(min(max(float(share), edge), 1 - edge))
    reach = normal.inv_cdf(0.5 + LEVEL / 2)
    return Interval(*(_quantile(values, normal.cdf(2 * bias + side * reach)) for side in (-1, 1)))


def _quantile(ascending: NDArray[np.float64], share: float) -> float:
    """Return the value below which this share of (K,) values lies, between two of them on the straight line."""
    place = share * (len(ascending) - 1)
    low, high = ascending[int(place)], ascending[min(int(place) + 1, len(ascending) - 1)]
    return float(low + (high - low) * (place - int(place)))
