"""Location, spread and difference of samples that a few wild values cannot spoil."""

import math

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_NORMAL = 1.4826
"""Median absolute deviation to standard deviation, for normal data: 1 / Phi^-1(3/4)."""


def centre_and_spread(values: Numbers) -> tuple[float, float]:
    """Return the median of (N,) values, N > 0, and their median absolute deviation, scaled as a standard deviation."""
    centre = float(np.median(values))
    return centre, _NORMAL * float(np.median(np.abs(values - centre)))


def ashman_d(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return how far apart two populations of (centre, spread) are; above 2 they are clearly separated.

    Source: Ashman, Bird & Zepf 1994, "Detecting bimodality in astronomical datasets", AJ 108, 2348.
    """
    return math.sqrt(2) * abs(first[0] - second[0]) / math.hypot(first[1], second[1])


def kolmogorov_smirnov(first: Numbers, second: Numbers) -> tuple[float, float]:
    """Return the largest distance between the distributions of (N,) and (M,) values, and its p-value.

    Source: Stephens 1970, "Use of the Kolmogorov-Smirnov ... statistics without extensive tables", for the p-value
    from the asymptotic series.
    """
    both = np.concatenate([first, second])
    below = [np.searchsorted(np.sort(values), both, side="right") / len(values) for values in (first, second)]
    distance = float(np.abs(below[0] - below[1]).max())
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.3:
        return distance, 1.0  # where the series converges slowly, p is 1 to five digits
    p = 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return distance, min(1.0, max(0.0, p))
