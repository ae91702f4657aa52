"""How far objects and their parts make each other surer: scores after the parts have been given to objects.

The log odds of a detection grow by `weight` times its evidence and by `support` times the logarithm of its support, and
move by `offset`, all of its class. An object's evidence is how much of what it should have was found: the sum of its
parts' scores over their usual number, at most 1. A part's is the score of its object, and 0 for an orphan. Support is
how many cells say the same (`Found.support`): the more do, the nearer is the box to the true one, which the score
itself hardly tells. Weights are 0 or more: what fits never makes less sure.

Offset and weights are fitted on the training images, and used for a class only where they raise its AP on the
validation images, whose scores they were not fitted on (`evidence_fitting`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from annotations.tables import NO_PARENT
from detector.learnt_file import raises_ap, read_learnt, worth, write_learnt
from detector.part_knowledge import PartKnowledge

if TYPE_CHECKING:
    from detector.decoding import Found

FILE: Final = "rescoring.json"
SCHEMA: Final = 1
_SUREST: Final = 1e-6
"""Scores nearer to 0 or 1 than this count as if they were not: log odds must be finite."""


class Gain(NamedTuple):
    """What evidence and support are worth for a class: on the log odds, and in AP on the validation images."""

    offset: float
    weight: float
    ap_before: float | None = None
    ap_after: float | None = None
    support: float = 0.0

    @property
    def helps(self) -> bool:
        """Return whether the AP rises."""
        return raises_ap(self)


@dataclass(frozen=True)
class Rescoring:
    """The gains by class; `step` is that of the weights that they were fitted with, `used` the classes they are for."""

    step: int = 0
    classes: Mapping[str, Gain] = field(default_factory=dict)

    @property
    def used(self) -> dict[str, Gain]:
        """Return the gains of the classes for which re-scoring is on."""
        return {name: gain for name, gain in self.classes.items() if gain.helps}

    def summary(self) -> str:
        """Return what it is worth, for people."""
        return worth(self.classes)

    def to_json(self) -> dict[str, Any]:
        """Return the gains as rescoring.json holds them."""
        return {
            "schema": SCHEMA,
            "step": self.step,
            "classes": {name: {**gain._asdict(), "on": gain.helps} for name, gain in self.classes.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the re-scoring that `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: `values` are others.
        """
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {values['schema']!r}")
        # Runs of earlier versions know no support.
        told = {str(name): {"support": 0.0, **gain} for name, gain in values["classes"].items()}
        gains = {name: Gain(*(_number(gain[f]) for f in Gain._fields)) for name, gain in told.items()}  # type: ignore[arg-type]
        for name, gain in gains.items():
            if gain.offset is None or any(weight is None or weight < 0 for weight in (gain.weight, gain.support)):
                raise ValueError(f"{name}: weights must be 0 or more, got {gain.weight} and {gain.support}")
        return cls(int(values["step"]), gains)


def _number(value: Any) -> float | None:  # noqa: ANN401
    number = None if value is None else float(value)
    if number is not None and not np.isfinite(number):
        raise ValueError(f"numbers must be finite, got {number}")
    return number


def log_odds(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) the log odds of scores (N,), those of 0 and 1 finite."""
    sure = np.clip(score, _SUREST, 1 - _SUREST)
    return np.asarray(np.log(sure / (1 - sure)))


def evidence(found: "Found", classes: Sequence[str], known: PartKnowledge) -> NDArray[np.float64]:
    """Return (N,) in [0, 1] what each detection's parts, or its object, say for it; 0 where it has and is none."""
    result = np.zeros(len(found.score))
    held = found.parent != NO_PARENT
    owner = found.parent[held]
    result[held] = found.score[owner]
    sums = np.zeros(len(found.score))
    np.add.at(sums, owner, found.score[held])
    for class_id, name in enumerate(classes):
        expected = sum(known.expected(name).values())
        if expected:
            mine = found.class_id == class_id
            result[mine] = np.minimum(sums[mine] / expected, 1.0)
    return result


def log_support(found: "Found") -> NDArray[np.float64]:
    """Return (N,) the logarithm of each detection's support, or of its score where the support is not known."""
    support = found.score if found.support is None else found.support
    return np.asarray(np.log(np.maximum(support, _SUREST)))


def rescored(found: "Found", classes: Sequence[str], known: PartKnowledge, rescoring: Rescoring) -> "Found":
    """Return the detections of a picture with their new scores; boxes, parents and order stay."""
    gains = rescoring.used
    if not gains or not len(found.score):
        return found
    offset, weight, support = (
        np.array([getattr(gains.get(name), field, 0.0) for name in classes])[found.class_id]
        for field in ("offset", "weight", "support")
    )
    grown = log_odds(found.score) + offset + weight * evidence(found, classes, known) + support * log_support(found)
    changed = np.isin(found.class_id, [row for row, name in enumerate(classes) if name in gains])
    return replace(found, score=np.where(changed, 1 / (1 + np.exp(-grown)), found.score))


def write_rescoring(run: Path, rescoring: Rescoring) -> None:
    """Write rescoring.json into a run's directory, whole.

    Raises:
        PpnlabError: it cannot be written.
    """
    write_learnt(run / FILE, rescoring.to_json())


def read_rescoring(run: Path) -> Rescoring:
    """Return a run's re-scoring; one that has none, for it is not finished, re-scores nothing.

    Raises:
        PpnlabError: the file is damaged, or of a newer version.
    """
    without = "scores stay as the network gives them"
    return read_learnt(run / FILE, Rescoring.from_json, "re-scoring", without) or Rescoring()
