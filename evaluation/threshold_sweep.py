"""Which threshold turns probabilities into a mask: every figure at every threshold, and the trap in the L1 error.

Where a class is rare, an empty picture has a small L1 error, and raising the threshold lowers the error while it takes
the objects away. So the threshold is chosen by Dice (on val, by the caller), and where the L1 error would have chosen
otherwise, the sweep says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotations.errors import UsageError
from evaluation.pixel_curves import PixelCurve
from evaluation.pixel_scores import PixelFigures, pixel_figures

THRESHOLDS = tuple(i / 20 for i in range(1, 20))
"""0.05 to 0.95."""

L1_PREFERS_EMPTY = "l1-prefers-empty"
L1_PREFERS_LESS = "l1-prefers-less"

TRAPS = {
    L1_PREFERS_EMPTY: "by its L1 error, a picture of background alone is as good as the best mask, or better",
    L1_PREFERS_LESS: "the threshold with the least L1 error finds less of the class than the best Dice does",
}
"""Every word of `Sweep.trap`, with what it means."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The pixel figures at each of `thresholds`, ascending.

    `best_dice` and `least_l1_error` are the thresholds that each figure would choose (of equals the highest), None
    where the figure has no value anywhere; `trap` is a word of TRAPS, or None where both lead to the same mask.
    """

    thresholds: tuple[float, ...]
    figures: tuple[PixelFigures, ...]
    best_dice: float | None
    least_l1_error: float | None
    trap: str | None

    @property
    def remark(self) -> str | None:
        """Return the trap in a sentence with its figures, or None without one."""
        if self.trap is None or self.best_dice is None or self.least_l1_error is None:
            return None
        best, least = self.at(self.best_dice), self.at(self.least_l1_error)
        return (
            f"{TRAPS[self.trap]}: threshold {self.best_dice:g} has the best Dice ({_shown(best.dice)}) and an L1 error "
            f"of {_shown(best.l1_error)}, threshold {self.least_l1_error:g} the least L1 error "
            f"({_shown(least.l1_error)}) and a Dice of {_shown(least.dice)}, an all-background picture an L1 error of "
            f"{_shown(best.l1_error_of_background)}; choose the threshold by Dice"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the sweep as JSON holds it: one row a threshold."""
        rows = zip(self.thresholds, self.figures, strict=True)
        return {
            "best_dice": self.best_dice,
            "least_l1_error": self.least_l1_error,
            "trap": self.trap,
            "remark": self.remark,
            "thresholds": [{"threshold": threshold, **figures.to_json()} for threshold, figures in rows],
        }

    def at(self, threshold: float) -> PixelFigures:
        """Return the figures at one of the thresholds.

        Raises:
            ValueError: it is none of them.
        """
        return self.figures[self.thresholds.index(threshold)]


def threshold_sweep(curve: PixelCurve, thresholds: Sequence[float] = THRESHOLDS, *, images: int = 1) -> Sweep:
    """Return the figures of a curve of `images` pictures at each threshold.

    Raises:
        UsageError: the thresholds do not rise, or there are none.
    """
    if not thresholds or not (np.diff(thresholds) > 0).all():
        raise UsageError(f"thresholds must rise, got {tuple(thresholds)}")
    figures = tuple(pixel_figures(counts, images) for counts in curve.counts_at(thresholds))
    dice = [-1.0 if row.dice is None else row.dice for row in figures]
    error = [np.inf if row.l1_error is None else row.l1_error for row in figures]
    best, least = _last(dice, max(dice)), _last(error, min(error))
    some_truth = bool(curve.truth.any())
    return Sweep(
        thresholds=tuple(float(threshold) for threshold in thresholds),
        figures=figures,
        best_dice=float(thresholds[best]) if some_truth and dice[best] > 0 else None,
        least_l1_error=float(thresholds[least]) if np.isfinite(error[least]) else None,
        trap=_trap(figures[best], figures[least]) if some_truth and dice[best] > 0 else None,
    )


def _last(values: list[float], value: float) -> int:
    return len(values) - 1 - values[::-1].index(value)


def _trap(best: PixelFigures, least: PixelFigures) -> str | None:
    # Compared in pixels, which are exact: wrong against those an empty picture gets wrong.
    if best.truth + best.predicted - 2 * best.hit >= best.truth:
        return L1_PREFERS_EMPTY
    # 1 - Dice is wrong / (truth + predicted): with no more wrong and yet less Dice, less must be predicted.
    return L1_PREFERS_LESS if (least.dice or 0.0) < (best.dice or 0.0) else None


def _shown(value: float | None) -> str:
    return "no value" if value is None else f"{value:.4g}"
