"""Pixel scores of probabilities: one table of counts by score, from which every threshold and the PR area are read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from annotations.errors import UsageError
from evaluation.label_overlaps import check_same_size
from evaluation.pixel_scores import PixelCounts

Probabilities = NDArray[np.floating] | NDArray[np.unsignedinteger]
"""Probabilities 0 to 1, or whole numbers that stand for them: of 8 bits in 255ths, of 16 bits in 65,535ths."""

_BLOCK = 1 << 22
"""Pixels that are looked at at once."""

_COUNTS = ("truth", "other")


@dataclass(frozen=True, slots=True, eq=False)
class PixelCurve:
    """How many pixels have each score: (K,) distinct `score`, highest first, and with each how many pixels are of the
    class (`truth`) and how many are not (`other`).

    The score keeps its own type, so that a threshold of 0.7 means the same number that the network wrote as 0.7.
    """

    score: NDArray[np.floating]
    truth: NDArray[np.int64]
    other: NDArray[np.int64]

    def __post_init__(self) -> None:
        rows = (len(self.score),)
        object.__setattr__(self, "score", column("PixelCurve", "score", self.score, self.score.dtype, rows))
        for name in _COUNTS:
            object.__setattr__(self, name, column("PixelCurve", name, getattr(self, name), np.int64, rows))

    def __len__(self) -> int:
        return len(self.score)

    @property
    def average_precision(self) -> float | None:
        """Return the PR-AUC: the mean of the precisions at the score of each pixel of the class; None without any.

        Steps are not smoothed: this is the pixels' own AP, not the boxes', which takes the envelope of the curve.
        Source: scikit-learn's `average_precision_score`.
        """
        total = int(self.truth.sum())
        if not total:
            return None
        precision = np.cumsum(self.truth) / np.cumsum(self.truth + self.other)
        return float(self.truth @ precision / total)

    @property
    def mean_l1_error(self) -> float | None:
        """Return the mean distance of the probabilities from 1 in the class and from 0 elsewhere; None of no pixels."""
        pixels = int(self.truth.sum() + self.other.sum())
        score = self.score.astype(np.float64)
        return float((self.truth @ (1 - score) + self.other @ score) / pixels) if pixels else None

    def counts_at(self, thresholds: Sequence[float]) -> list[PixelCounts]:
        """Return the pixel counts when a pixel is predicted where its score is at least each threshold."""
        number = np.searchsorted(-self.score, -np.asarray(thresholds, self.score.dtype), "right")
        hit = np.append(0, np.cumsum(self.truth))
        predicted = np.append(0, np.cumsum(self.truth + self.other))
        rows = zip(predicted[number].tolist(), hit[number].tolist(), strict=True)
        return [PixelCounts(int(predicted[-1]), int(hit[-1]), seen, found) for seen, found in rows]


def full_scale(probability: Probabilities) -> int:
    """Return the number that stands for a probability of 1."""
    return 2 ** (8 * probability.itemsize) - 1 if probability.dtype.kind == "u" else 1


def reaches(probability: Probabilities, threshold: float) -> NDArray[np.bool_]:
    """Return where a map's probability is at least a threshold, as `PixelCurve.counts_at` counts it."""
    if probability.dtype.kind == "u":
        return np.asarray(probability / np.float64(full_scale(probability)) >= threshold)
    return np.asarray(probability >= probability.dtype.type(threshold))


def pixel_curve(truth: NDArray[np.bool_], probability: Probabilities, *, levels: int | None = None) -> PixelCurve:
    """Return the curve of one class: `truth` (H, W) or (D, H, W) says where it is, `probability` how likely that is.

    Exact, and of whole numbers always small. Floats are mostly all different, and then the curve takes 24 bytes a
    pixel; `levels` (65536, say) rounds them to so many steps between 0 and 1, which bounds memory: every threshold then
    moves by at most half a step.

    Raises:
        AnnotationError: the sizes differ.
        ValueError: the truth is no mask, or a probability is none.
        UsageError: fewer than 2 levels.
    """
    if truth.dtype != np.bool_:
        raise ValueError(f"truth must be a mask, got {truth.dtype}")
    if levels is not None and levels < 2:
        raise UsageError(f"levels must be at least 2, got {levels}")
    check_same_size(truth.shape, probability.shape)
    flat, mask = probability.reshape(-1), truth.reshape(-1)
    if levels is None and flat.dtype.kind == "f":
        return _exact_curve(mask, _checked(flat))
    starts = range(0, max(1, len(flat)), _BLOCK)
    blocks = (slice(start, start + _BLOCK) for start in starts)
    return merged_curves(_curve_of_steps(mask[block], *_steps(flat[block], levels)) for block in blocks)


def class_curves(
    truth: NDArray[np.integer], probabilities: Probabilities, values: Sequence[int], *, levels: int | None = None
) -> list[PixelCurve]:
    """Return the curve of each channel: `probabilities` (H, W, C) or (D, H, W, C), and channel c stands for the pixels
    whose truth is `values[c]`.

    Raises:
        AnnotationError: the sizes differ.
        ValueError: there are not as many values as channels, or a probability is none.
    """
    if probabilities.shape[-1] != len(values):
        raise ValueError(f"values must be {probabilities.shape[-1]}, one a channel, got {len(values)}")
    return [
        pixel_curve(np.asarray(truth == value), probabilities[..., channel], levels=levels)
        for channel, value in enumerate(values)
    ]


def merged_curves(curves: Iterable[PixelCurve]) -> PixelCurve:
    """Return the curve of all the pixels of several curves together; of none, an empty one."""
    waiting: list[PixelCurve] = []
    for curve in curves:
        waiting.append(curve)
        # Merged when as much again has come in, so that each score is sorted a few times and not once a curve.
        if sum(map(len, waiting)) > max(_BLOCK, 2 * len(waiting[0])):
            waiting = [_merged(waiting)]
    return _merged(waiting)


def _merged(curves: Sequence[PixelCurve]) -> PixelCurve:
    if len(curves) == 1:
        return curves[0]
    score = np.concatenate([np.zeros(0, np.float16), *(curve.score for curve in curves)])
    order = np.argsort(score)[::-1]
    ordered = score[order]
    first = np.flatnonzero(np.append(ordered[:1] >= 0, ordered[1:] != ordered[:-1]))
    counts = (np.concatenate([np.zeros(0, np.int64), *(getattr(curve, name) for curve in curves)]) for name in _COUNTS)
    return PixelCurve(ordered[first], *(np.add.reduceat(part[order], first) if len(first) else part for part in counts))


def _checked(score: NDArray[Any]) -> NDArray[Any]:
    # NaN is neither at least 0 nor at most 1.
    fine = np.asarray((score >= 0) & (score <= 1))
    if not fine.all():
        raise ValueError(f"probability must be 0 to 1, got {score[~fine][0]}")
    return score


def _exact_curve(mask: NDArray[np.bool_], score: NDArray[Any]) -> PixelCurve:
    distinct, every = np.unique(score, return_counts=True)
    of_truth, number = np.unique(score[mask], return_counts=True)
    truth = np.zeros(len(distinct), np.int64)
    truth[np.searchsorted(distinct, of_truth)] = number
    return PixelCurve(distinct[::-1], truth[::-1], (every - truth)[::-1])


def _steps(score: NDArray[Any], levels: int | None) -> tuple[NDArray[np.int64], int]:
    """Return the step, from 0, of each score, and the step that stands for 1."""
    if score.dtype in (np.uint8, np.uint16):
        return score.astype(np.int64), full_scale(score)
    if score.dtype.kind != "f" or levels is None:
        raise ValueError(f"probability must be floats, or whole numbers of 8 or 16 bits, got {score.dtype}")
    return np.rint(_checked(score) * np.float64(levels - 1)).astype(np.int64), levels - 1


def _curve_of_steps(mask: NDArray[np.bool_], step: NDArray[np.int64], steps: int) -> PixelCurve:
    every = np.bincount(step, minlength=steps + 1)
    truth = np.bincount(step[mask], minlength=steps + 1)
    present = np.flatnonzero(every)[::-1]
    return PixelCurve(np.asarray(present / steps, np.float64), truth[present], (every - truth)[present])
