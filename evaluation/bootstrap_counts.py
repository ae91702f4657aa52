"""Counts of objects and detections under weights on the images, and the rates that are quotients of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import Weights
from evaluation.matching import MatchTable, grouped


@dataclass(frozen=True, slots=True, eq=False)
class UnitsByClass:
    """The units of some rows (objects or detections), (N,) class by class; `stops` (classes + 1,) bound the classes."""

    unit: NDArray[np.int64]
    stops: NDArray[np.int64]

    @classmethod
    def of(cls, unit: NDArray[np.int64], class_id: NDArray[np.int64], classes: int) -> Self:
        """Return the units (N,) of rows that have the class ids (N,)."""
        stops = np.zeros(classes + 1, np.int64)
        np.cumsum(np.bincount(class_id, minlength=classes), out=stops[1:])
        return cls(unit[grouped(class_id, classes)], stops)

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return len(self.stops) - 1

    @property
    def class_id(self) -> NDArray[np.int64]:
        """Return the (N,) class ids."""
        return np.repeat(np.arange(self.classes), np.diff(self.stops))

    def sums(self, weight: Weights) -> NDArray[np.int64]:
        """Return the (rows, classes) weighted numbers of rows of each class."""
        sums = np.zeros((len(weight), self.classes), np.int64)
        filled = np.flatnonzero(np.diff(self.stops))
        if len(filled):
            sums[:, filled] = np.add.reduceat(weight.take(self.unit, axis=1), self.stops[filled], axis=1)
        return sums

    def with_others(self, other: Self) -> Self:
        """Return the rows of both."""
        both = np.concatenate([self.unit, other.unit]), np.concatenate([self.class_id, other.class_id])
        return self.of(*both, self.classes)

    def bearing(self) -> NDArray[np.int64]:
        """Return the (classes + 1,) numbers of different units that have a row of each class, and of any at the end."""
        parts = [*np.split(self.unit, self.stops[1:-1])[: self.classes], self.unit]
        return np.array([np.count_nonzero(np.bincount(part)) for part in parts], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What precision, recall and F1 at the thresholds count: objects to find, hits and false positives."""

    truth: UnitsByClass
    hit: UnitsByClass
    false_positive: UnitsByClass

    @property
    def width(self) -> int:
        """Return how many numbers a row of weights needs at most in one table."""
        return max(1, *(len(part.unit) for part in (self.truth, self.hit, self.false_positive)))

    def rates(self, weight: Weights) -> dict[str, NDArray[np.float64]]:
        """Return `precision`, `recall` and `f1` under weights (rows, units), (rows, classes + 1) each.

        The last column is of all classes together; NaN where a quotient is 0/0.
        """
        truth, hit, false = (_with_total(part.sums(weight)) for part in (self.truth, self.hit, self.false_positive))
        return {
            "precision": _ratio(hit, hit + false),
            "recall": _ratio(hit, truth),
            "f1": _ratio(2 * hit, hit + false + truth),
        }

    def bearing(self) -> Mapping[str, NDArray[np.int64]]:
        """Return for each rate the (classes + 1,) numbers of different units that it depends on."""
        kept = self.hit.with_others(self.false_positive)
        return {
            "precision": kept.bearing(),
            "recall": self.truth.bearing(),
            "f1": self.truth.with_others(kept).bearing(),
        }


def counted(table: MatchTable, unit: NDArray[np.int64], thresholds: NDArray[np.float64], classes: int) -> Counted:
    """Return what counts in the images that have a number in `unit` (images,), at the thresholds (classes,)."""

    def chosen(image_row: NDArray[np.int64], class_id: NDArray[np.int64], rows: NDArray[np.bool_]) -> UnitsByClass:
        kept = rows & (unit[image_row] >= 0)
        return UnitsByClass.of(unit[image_row[kept]], class_id[kept], classes)

    kept = table.score >= thresholds[table.class_id]
    return Counted(
        truth=chosen(table.every_truth_image_row, table.every_truth_class_id, ~table.every_truth_ignored),
        hit=chosen(table.image_row, table.class_id, kept & table.hit),
        false_positive=chosen(table.image_row, table.class_id, kept & table.false_positive),
    )


def _with_total(sums: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)


def _ratio(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1), np.nan)
