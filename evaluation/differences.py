"""Differences of figures with their intervals: of one split from another, of one detector from another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.bootstrap_figures import PRECISIONS, Resampled
from evaluation.emptiness import NO_COMMON_CLASS, NOT_ASKED, TOO_FEW_IMAGES


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one figure is than another, and the interval of that; None has its reason beside it."""

    difference: float | None
    ci: Interval | None

    @property
    def told_apart(self) -> bool:
        """Return whether the interval leaves out 0."""
        return self.ci is not None and not self.ci.low <= 0 <= self.ci.high

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return {"difference": self.difference, "ci": None if self.ci is None else [self.ci.low, self.ci.high]}


@dataclass(frozen=True, slots=True)
class Differences:
    """The difference of each figure by name; the reason for what is None in `undefined`, as in all figures."""

    figures: Mapping[str, Difference]
    undefined: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return {**{name: one.to_json() for name, one in self.figures.items()}, "undefined": dict(self.undefined)}


@dataclass(frozen=True, slots=True)
class Gap:
    """The differences over all classes and of each class.

    The APs' mean difference is over the classes that have truth on both sides; `classes_left_out` says how many have
    truth on one side only.
    """

    together: Differences
    classes: Mapping[str, Differences]
    classes_left_out: int

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return {
            **self.together.to_json(),
            "classes_left_out": self.classes_left_out,
            "classes": {name: one.to_json() for name, one in self.classes.items()},
        }


class Figures(Protocol):
    """What says why its figures have no value."""

    @property
    def undefined(self) -> Mapping[str, str]:
        """Return the reason of each figure without a value, by its name."""


class SplitOfClasses(Figures, Protocol):
    """The figures of a split and of its classes."""

    @property
    def classes(self) -> Mapping[str, Figures]:
        """Return the figures of each class by name."""


def split_gaps(resampled: Mapping[str, Resampled], splits: Mapping[str, SplitOfClasses]) -> dict[str, Gap]:
    """Return the gap of each split to the next, such as `train-val`: how much better the first is.

    Each split is resampled on its own, so the interval holds what both vary.
    """
    return {
        f"{one}-{other}": gap(resampled[one], resampled[other], splits[one], splits[other])
        for one, other in pairwise(splits)
    }


def gap(one: Resampled, other: Resampled, figures: SplitOfClasses, other_figures: SplitOfClasses) -> Gap:
    """Return how much more the figures of one are than those of the other, resample by resample."""
    change = one.minus(other)
    names = list(figures.classes)
    truth = [~np.isnan(side.classes[PRECISIONS[0]][0]) for side in (one, other)]
    return Gap(
        together=differences(change, (figures, other_figures)),
        classes={
            name: differences(change, (figures.classes[name], other_figures.classes[name]), class_id)
            for class_id, name in enumerate(names)
        },
        classes_left_out=int((truth[0] != truth[1]).sum()),
    )


def differences(change: Resampled, sides: Sequence[Figures], class_id: int | None = None) -> Differences:
    """Return the differences of all classes together, or of one, from the figures of one side less those of the other.

    `sides` are the figures of both, which say why one has no value.
    """
    figures, undefined = {}, {}
    for name in change.classes:
        values = change.overall(name) if class_id is None else change.classes[name][:, class_id]
        point = None if np.isnan(values[0]) else float(values[0])
        interval = change.interval(name) if class_id is None else change.interval_of_class(name, class_id)
        figures[name] = Difference(point, interval)
        reasons = [side.undefined[name] for side in sides if name in side.undefined]
        if point is None:
            undefined[name] = reasons[0] if reasons else NO_COMMON_CLASS
        if interval is None:
            undefined[f"{name}_ci"] = undefined.get(name, NOT_ASKED if len(values) == 1 else TOO_FEW_IMAGES)
    return Differences(figures, undefined)
