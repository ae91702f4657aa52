"""Score thresholds: chosen for each class on val by a rule, and never on the data that is then reported.

The rule is the best F1 (`best-f1`), the best recall at a precision floor (`precision>=0.95`), or the best precision at
a recall floor (`recall>=0.9`); a number is a threshold for all classes. For each class: the given number, if there is
one; else the rule on val; where val is absent, has no truth of the class or nothing of it was found there, the rule on
train; where neither serves and the data have one split only, the rule on that one, which flatters it and is said in
the report; else 0.5. A floor that no threshold reaches gives the nearest there is, and the figures say so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.errors import UsageError
from evaluation.curves import Curve

DEFAULT = 0.5
"""The threshold where no data can choose one: the middle of the scale of scores."""

GIVEN, BY_DEFAULT = "given", "default"
BEST_F1 = "best-f1"
FLOORS = ("precision", "recall")
_CHOOSERS = ("val", "train")
_FLOOR = re.compile(rf"({'|'.join(FLOORS)})>=(\d*\.?\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """How a threshold is chosen: the best F1, or the best of the other figure where `floor_of` is at least `floor`.

    Raises:
        UsageError: the floor is not above 0 and at most 1.
    """

    floor_of: str | None = None
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.floor_of is not None and self.floor_of not in FLOORS:
            raise ValueError(f"floor_of must be one of {FLOORS}, got {self.floor_of!r}")
        if self.floor_of is not None and not 0 < self.floor <= 1:
            raise UsageError(f"threshold must have a {self.floor_of} above 0 and at most 1, got {self.floor}")

    def __str__(self) -> str:
        return BEST_F1 if self.floor_of is None else f"{self.floor_of}>={self.floor}"


def parse_threshold(text: str) -> float | ThresholdRule:
    """Return the threshold or the rule that a text says: `0.5`, `best-f1`, `precision>=0.95` or `recall>=0.9`.

    Raises:
        UsageError: it says none of these.
    """
    plain = "".join(text.split())
    floor = _FLOOR.fullmatch(plain)
    if floor:
        return ThresholdRule(floor.group(1), float(floor.group(2)))
    if plain == BEST_F1:
        return ThresholdRule()
    try:
        value = float(plain)
    except ValueError as error:
        raise UsageError(
            f"threshold must be a number, {BEST_F1}, precision>=NUMBER or recall>=NUMBER, got {text!r}"
        ) from error
    if not np.isfinite(value):
        raise UsageError(f"threshold must be a finite number, got {text}")
    return value


@dataclass(frozen=True, slots=True)
class Threshold:
    """A score threshold (detections with `score >= value` count) and where it is from.

    `chosen_on` is the name of a split, `given` or `default`; `reached` is false where no threshold reached the floor of
    the rule there, and this one came nearest.
    """

    value: float
    chosen_on: str
    reached: bool = True


def best_f1_threshold(curve: Curve) -> float | None:
    """Return the score at which F1 is best, or None where F1 is 0 or has no value at every score.

    Of several scores with the same best F1 the highest is taken: as good, with fewer detections.
    """
    cuts = curve.last_of_score
    if not curve.truth or not len(cuts):
        return None
    # F1 = 2 TP / (2 TP + FP + FN), and TP + FP is the number seen, TP + FN the number of truth.
    f1 = 2 * curve.true_positives[cuts] / (cuts + 1 + curve.truth)
    best = int(np.argmax(f1))
    return float(curve.score[cuts[best]]) if f1[best] > 0 else None


def floor_threshold(curve: Curve, rule: ThresholdRule) -> tuple[float, bool] | None:
    """Return the score that is best by a rule with a floor, and whether it reaches the floor; None without any hit.

    Among those that reach it: the best other figure, then the best of the figure with the floor, then the highest
    score. Where none does: the one that comes nearest, then by the other figure.
    """
    cuts = curve.last_of_score
    found = curve.true_positives[cuts]
    if not curve.truth or not len(cuts) or not found[-1]:
        return None
    precision, recall = found / (cuts + 1), found / curve.truth
    held, wished = (precision, recall) if rule.floor_of == "precision" else (recall, precision)
    reaching = held >= rule.floor
    best = _best(wished, held, reaching) if reaching.any() else _best(held, wished, np.ones(len(cuts), np.bool_))
    return float(curve.score[cuts[best]]), bool(reaching.any())


def _best(first: NDArray[np.float64], second: NDArray[np.float64], allowed: NDArray[np.bool_]) -> int:
    """Return the first allowed place with the best `first`, and among those the best `second`."""
    rows = np.flatnonzero(allowed)
    return int(rows[np.lexsort((rows, -second[rows], -first[rows]))[0]])


def choosing_splits(splits: tuple[str, ...]) -> tuple[str, ...]:
    """Return the splits that may choose thresholds, in their order: val, train, or the only split there is."""
    return tuple(name for name in _CHOOSERS if name in splits) or (splits if len(splits) == 1 else ())


def choose_threshold(curves: Mapping[str, Curve], given: float | ThresholdRule | None = None) -> Threshold:
    """Return the threshold of one class by the rule above; `curves` maps the name of each split to its curve."""
    rule = ThresholdRule() if given is None else given
    if not isinstance(rule, ThresholdRule):
        return Threshold(rule, GIVEN)
    for name in choosing_splits(tuple(curves)):
        if rule.floor_of is None:
            best = best_f1_threshold(curves[name])
            found = None if best is None else (best, True)
        else:
            found = floor_threshold(curves[name], rule)
        if found is not None:
            return Threshold(found[0], name, found[1])
    return Threshold(DEFAULT, BY_DEFAULT)
