"""Whether a score means what it says: of the detections with a score of 0.8, are 80 % hits?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from evaluation.emptiness import ratio

BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Detections by score in bins of equal width over [0, 1]: how many, how many hits, and the sum of their scores.

    A score on a border belongs to the bin below, 0 to the first. All columns are (bins,).
    """

    detections: NDArray[np.int64]
    hits: NDArray[np.int64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = self.detections.shape
        for name, dtype in (("detections", np.int64), ("hits", np.int64), ("scores", np.float64)):
            object.__setattr__(self, name, column("Calibration", name, getattr(self, name), dtype, shape))

    @property
    def gap(self) -> NDArray[np.float64]:
        """Return the (bins,) distances of the mean score from the share of hits; 0 where a bin is empty."""
        return np.asarray(np.abs(self.scores - self.hits) / np.maximum(self.detections, 1))

    @property
    def expected_error(self) -> float | None:
        """Return the mean gap, weighted by detections (ECE), or None without any.

        Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
        """
        return ratio(float(np.abs(self.scores - self.hits).sum()), int(self.detections.sum()))

    @property
    def largest_error(self) -> float | None:
        """Return the largest gap of a bin (MCE), or None without any detections.

        Source: Guo et al. 2017, equation 5.
        """
        return float(self.gap.max()) if self.detections.any() else None

    def to_json(self) -> dict[str, Any]:
        """Return the table; the mean score and the share of hits of an empty bin are None."""
        borders = np.linspace(0, 1, len(self.detections) + 1).tolist()
        counts = self.detections.tolist()
        return {
            "ece": self.expected_error,
            "mce": self.largest_error,
            "from": borders[:-1],
            "to": borders[1:],
            "detections": counts,
            "hits": self.hits.tolist(),
            "mean_score": [ratio(total, n) for total, n in zip(self.scores.tolist(), counts, strict=True)],
            "precision": [ratio(hits, n) for hits, n in zip(self.hits.tolist(), counts, strict=True)],
        }


def calibration(score: NDArray[np.float64], hit: NDArray[np.bool_], bins: int = BINS) -> Calibration | None:
    """Return the table of (N,) scores and whether each was a hit; None where a score is outside [0, 1].

    Such a score is no probability, so it cannot be held to one.

    Raises:
        ValueError: fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if ((score < 0) | (score > 1)).any():
        return None
    borders = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(borders, score, "left") - 1, 0, bins - 1)
    return Calibration(
        np.bincount(place, minlength=bins),
        np.bincount(place[hit], minlength=bins),
        np.asarray(np.bincount(place, weights=score, minlength=bins), np.float64),
    )
