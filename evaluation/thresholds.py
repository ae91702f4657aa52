"""Score thresholds: chosen for each class on val by the best F1, and never on the data that is then reported.

The rule, for each class: the given threshold, if one is given; else the best F1 on val; where val is absent, has no
truth of the class or nothing of it was found there, the best F1 on train; where neither serves and the data have one
split only, the best F1 on that one, which flatters it and is said in the report; else 0.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.curves import Curve

DEFAULT = 0.5
"""The threshold where no data can choose one: the middle of the scale of scores."""

GIVEN, BY_DEFAULT = "given", "default"
_CHOOSERS = ("val", "train")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A score threshold (detections with `score >= value` count) and where it is from.

    `chosen_on` is the name of a split, `given` or `default`.
    """

    value: float
    chosen_on: str


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


def choosing_splits(splits: tuple[str, ...]) -> tuple[str, ...]:
    """Return the splits that may choose thresholds, in their order: val, train, or the only split there is."""
    return tuple(name for name in _CHOOSERS if name in splits) or (splits if len(splits) == 1 else ())


def choose_threshold(curves: Mapping[str, Curve], given: float | None = None) -> Threshold:
    """Return the threshold of one class by the rule above; `curves` maps the name of each split to its curve."""
    if given is not None:
        return Threshold(given, GIVEN)
    for name in choosing_splits(tuple(curves)):
        best = best_f1_threshold(curves[name])
        if best is not None:
            return Threshold(best, name)
    return Threshold(DEFAULT, BY_DEFAULT)
