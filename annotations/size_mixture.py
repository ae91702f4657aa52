"""One population of sizes or two: a mixture of two normals on log sizes, believed only where there is a gap.

A wide or skewed distribution is fitted better by two normals than by one as well (a uniform one with Ashman's D of 3),
so that better fit alone says nothing; the data must also thin out between the two.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.robust import Numbers, ashman_d

LEAST_D = 2.0
"""Least separation. Source: Ashman, Bird & Zepf 1994: D > 2 is required for a clear separation of the two modes."""
LEAST_GAIN = 10.0
"""Least gain in BIC. Source: Kass & Raftery 1995, "Bayes factors", section 3.2: above 10 is very strong evidence."""
LEAST_SHARE = 0.1
"""Share of the smaller population: our choice; fewer are outliers."""
LEAST_FACTOR = 1.5
"""Least factor between the two typical sizes: our choice; random magnification in training covers what is below."""
FEWEST = 30
"""Independent observations below which nothing is said: of 20 from a skewed population, 6 % showed a gap by chance."""
_GAP = 0.65
"""Most that there may be between the two, as a share of what there is round the smaller peak, in bands of one width."""
_SIGNIFICANT = 3.0
"""Standard errors by which the gap must be emptier than the smaller peak."""
_BINS = 512
_LEAST_SPREAD = 0.03
"""Of log size; sizes that are all equal would make a population of no width."""
_STARTS = (0.15, 0.3, 0.5, 0.7, 0.85)
_ROUNDS = 200
_FARTHEST = 8.0
"""Log sizes further than this from the median (a factor of 3,000) are taken as if they lay there."""


class TwoPopulations(NamedTuple):
    """Two populations of log sizes: centres, spreads, share of the larger, what speaks for them, where they meet."""

    small: tuple[float, float]
    large: tuple[float, float]
    share_of_large: float
    separation: float
    gain: float
    border: float


def two_populations(log_size: Numbers, weight: Numbers) -> TwoPopulations | None:
    """Return the two populations in (N,) log sizes, or None where there is one.

    The (N,) weights say how many independent observations each stands for: the boxes of one image, which are alike,
    count as one together. A histogram is fitted, so that a million boxes cost no more than a hundred.
    """
    if weight.sum() < FEWEST or np.ptp(log_size) < math.log(LEAST_FACTOR):
        return None
    middle = np.median(log_size)
    values = np.clip(log_size, middle - _FARTHEST, middle + _FARTHEST)
    count, edges = np.histogram(values, _BINS, weights=weight)
    centre = (edges[1:] + edges[:-1]) / 2
    found = max((_fitted(centre, count, start) for start in _STARTS), key=lambda fit: fit.gain)
    plausible = (
        found.gain > LEAST_GAIN
        and found.separation > LEAST_D
        and LEAST_SHARE <= found.share_of_large <= 1 - LEAST_SHARE
        and found.large[0] - found.small[0] >= math.log(LEAST_FACTOR)
    )
    return found if plausible and _has_gap(values, weight, found) else None


def _fitted(x: Numbers, count: Numbers, start: float) -> TwoPopulations:
    """Return the mixture that expectation maximisation finds for a histogram, begun by a cut at a quantile."""
    total = count.sum()
    below = np.cumsum(count) <= start * total
    belongs = np.where(below, 0.99, 0.01)
    parameters = _estimated(x, count, belongs)
    log_likelihood = -math.inf
    for _ in range(_ROUNDS):
        (small, large, share) = parameters
        densities = (1 - share) * _normal(x, *small), share * _normal(x, *large)
        density = densities[0] + densities[1] + 1e-300
        before, log_likelihood = log_likelihood, float(count @ np.log(density))
        if log_likelihood - before < 1e-6 * total:
            break
        parameters = _estimated(x, count, densities[0] / density)
    (small, large, share) = parameters
    if small[0] > large[0]:
        small, large, share, densities = large, small, 1 - share, (densities[1], densities[0])
    one = float(count @ np.log(_normal(x, *_moments(x, count)) + 1e-300))
    # Five parameters against two. Source: Schwarz 1978.
    gain = 2 * (log_likelihood - one) - 3 * math.log(total)
    between = (x >= small[0]) & (x <= large[0])
    nearer = between & (densities[1] >= densities[0])
    border = float(x[np.argmax(nearer)]) if nearer.any() else (small[0] + large[0]) / 2
    return TwoPopulations(small, large, share, ashman_d(small, large), gain, border)


def _estimated(x: Numbers, count: Numbers, belongs: Numbers) -> tuple[tuple[float, float], tuple[float, float], float]:
    first, second = count * belongs, count * (1 - belongs)
    return _moments(x, first), _moments(x, second), float(second.sum() / count.sum())


def _moments(x: Numbers, weight: Numbers) -> tuple[float, float]:
    total = max(float(weight.sum()), 1e-300)
    mean = float(weight @ x) / total
    return mean, max(_LEAST_SPREAD, math.sqrt(float(weight @ (x - mean) ** 2) / total))


def _normal(x: Numbers, mean: float, spread: float) -> NDArray[np.float64]:
    z = (x - mean) / spread
    return np.asarray(np.exp(-z * z / 2) / (spread * math.sqrt(2 * math.pi)))


def _has_gap(values: Numbers, weight: Numbers, found: TwoPopulations) -> bool:
    """Return whether there is less between the two centres than round each, by more than chance.

    Three bands of one width are counted: round each centre, and at the emptiest place between them.
    """
    width = (found.large[0] - found.small[0]) / 4

    def inside(centre: float) -> float:
        return float(weight[np.abs(values - centre) < width / 2].sum())

    peak = min(inside(found.small[0]), inside(found.large[0]))
    places = np.linspace(found.small[0] + width, found.large[0] - width, 9)
    gap = min(inside(float(place)) for place in places)
    return gap <= _GAP * peak and peak - gap >= _SIGNIFICANT * math.sqrt(peak + gap)
