"""The figures of some images over resamples, and the differences of two such tables."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import Interval, bias_corrected_interval, over_resamples
from evaluation.bootstrap_counts import Counted
from evaluation.bootstrap_precision import Ranking

PRECISIONS = ("ap50", "ap75", "ap")
RATES = ("precision", "recall", "f1")
FIGURES = (*PRECISIONS, *RATES)
"""The figures that have intervals."""

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """Figures over 1 + K sets of images: row 0 the images as they are, then K resamples of them; NaN without a value.

    `classes` (1 + K, classes) are those of each class; `together` (1 + K,) of all classes, for figures that are sums
    over classes and no means. `bearing` (classes + 1,) counts the different units that a figure depends on, all classes
    together at the end.
    """

    classes: Mapping[str, Column]
    together: Mapping[str, Column]
    bearing: Mapping[str, NDArray[np.int64]]

    def overall(self, name: str) -> Column:
        """Return the (1 + K,) values of a figure over all classes."""
        return self.together[name] if name in self.together else mean_over_classes(self.classes[name])

    def minus(self, other: "Resampled") -> "Resampled":
        """Return the figures less those of the other, row by row; a mean is over what both have a value of."""
        return Resampled(
            {name: values - other.classes[name] for name, values in self.classes.items()},
            {name: values - other.together[name] for name, values in self.together.items()},
            {name: np.minimum(values, other.bearing[name]) for name, values in self.bearing.items()},
        )

    def interval_of_class(self, name: str, class_id: int) -> Interval | None:
        """Return the interval of a class's figure, or None where fewer than two units bear on it."""
        return _interval(self.classes[name][:, class_id], int(self.bearing[name][class_id]))

    def interval(self, name: str) -> Interval | None:
        """Return the interval of a figure over all classes, or None where fewer than two units bear on it."""
        return _interval(self.overall(name), int(self.bearing[name][-1]))


def _interval(values: Column, bearing: int) -> Interval | None:
    point = float(values[0])
    # One unit drawn again and again cannot vary.
    return None if np.isnan(point) or bearing < 2 else bias_corrected_interval(point, values[1:])


def mean_over_classes(values: Column) -> Column:
    """Return the (rows,) means over the classes that have a value in row 0, from (rows, classes) values.

    A class that lost its value in a row (no truth of it was drawn) is left out of both sides there: the mean is that of
    row 0 plus the mean change of the classes that are left. NaN where none is left.
    """
    known = values[:, ~np.isnan(values[0])]
    if not known.shape[1]:
        return np.full(len(values), np.nan)
    change = known - known[0]
    left = ~np.isnan(change)
    count = left.sum(axis=1)
    mean = np.where(left, change, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.where(count > 0, known[0].mean() + mean, np.nan)


def resampled_precisions(
    ranked: Ranking, units: int, reading: str, *, resamples: int, seed: int, split: str
) -> Resampled:
    """Return the PRECISIONS of some images, which have so many `units`, over the resamples of a split."""
    values = over_resamples(
        lambda weight: ranked.figures(weight, reading),
        units,
        ranked.width,
        resamples=resamples,
        seed=seed,
        split=split,
    )
    return Resampled(values, {}, dict.fromkeys(PRECISIONS, ranked.truth.bearing()))


def resampled_figures(
    ranked: Ranking, counts: Counted, units: int, reading: str, *, resamples: int, seed: int, split: str
) -> Resampled:
    """Return all FIGURES of some images, which have so many `units`, over the resamples of a split."""
    values = over_resamples(
        lambda weight: {**ranked.figures(weight, reading), **counts.rates(weight)},
        units,
        max(ranked.width, counts.width),
        resamples=resamples,
        seed=seed,
        split=split,
    )
    return Resampled(
        classes={name: values[name] if name in PRECISIONS else values[name][:, :-1] for name in FIGURES},
        together={name: values[name][:, -1] for name in RATES},
        bearing={**dict.fromkeys(PRECISIONS, counts.truth.bearing()), **counts.bearing()},
    )
