"""Precision and recall along the ranked detections of one class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from evaluation.matching import MatchTable, grouped

IN_ORDER = "in-order"
TIES = (IN_ORDER, "hits-first", "misses-first")
"""How detections with the very same score are ranked: as they stand (by image, then by row, as pycocotools does), or
the best or the worst way there is. Where the last two differ, the figure depends on an order that means nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The ranked detections of one class, best score first: `score`, whether each is a `hit`, and its `image_row`.

    `truth` is the number of objects to find, `truth_image_row` (truth,) where they are.
    """

    score: NDArray[np.float64]
    hit: NDArray[np.bool_]
    image_row: NDArray[np.int64]
    truth_image_row: NDArray[np.int64]

    def __post_init__(self) -> None:
        rows = (len(self.score),)
        object.__setattr__(self, "score", column("Curve", "score", self.score, np.float64, rows))
        object.__setattr__(self, "hit", column("Curve", "hit", self.hit, np.bool_, rows))
        object.__setattr__(self, "image_row", column("Curve", "image_row", self.image_row, np.int64, rows))

    def __len__(self) -> int:
        return len(self.score)

    @property
    def truth(self) -> int:
        """Return the number of objects there are to find."""
        return len(self.truth_image_row)

    @property
    def true_positives(self) -> NDArray[np.int64]:
        """Return the (N,) number of hits among the first 1, 2, ... N detections."""
        return np.cumsum(self.hit)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Return the (N,) share of hits among the first 1, 2, ... N detections."""
        return np.asarray(self.true_positives / np.arange(1, len(self) + 1))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Return the (N,) share of the truth that the first 1, 2, ... N detections found.

        Raises:
            ValueError: there is no truth, so recall has no value.
        """
        if not self.truth:
            raise ValueError("truth must not be empty for a recall")
        return np.asarray(self.true_positives / self.truth)

    @property
    def last_of_score(self) -> NDArray[np.int64]:
        """Return the (K,) rows that end a run of equal scores: where a threshold can cut."""
        return np.flatnonzero(np.append(self.score[1:] != self.score[:-1], np.ones(min(1, len(self)), np.bool_)))


def class_curves(table: MatchTable, classes: int, ties: str = IN_ORDER) -> list[Curve]:
    """Return the curve of each class id from 0 to `classes` - 1, also of those without truth or detections.

    What is ignored, detections and truth, is in no curve. `ties` is one of TIES.
    """
    if ties != IN_ORDER:
        behind = ~table.hit if ties == "hits-first" else table.hit
        table = table.take(np.lexsort((behind, -table.score)))
    counted, wanted = np.flatnonzero(~table.ignored), np.flatnonzero(~table.every_truth_ignored)
    rows = _by_class(counted, table.class_id[counted], classes)
    truths = _by_class(wanted, table.every_truth_class_id[wanted], classes)
    hit = table.hit
    return [
        Curve(table.score[row], hit[row], table.image_row[row], table.every_truth_image_row[truth])
        for row, truth in zip(rows, truths, strict=True)
    ]


def _by_class(row: NDArray[np.int64], class_id: NDArray[np.int64], classes: int) -> list[NDArray[np.int64]]:
    """Return for each class those of the (N,) rows that have it, in their order; `class_id` (N,) is theirs."""
    if not classes:
        return []
    stops = np.cumsum(np.bincount(class_id, minlength=classes))[:-1]
    return np.split(row[grouped(class_id, classes)], stops)
