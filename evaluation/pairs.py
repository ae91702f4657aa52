"""Which detections overlap which truths: every pair of one image and class over a whole set, with no loop by image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.tables import Boxes
from evaluation.iou import iou_of_pairs
from evaluation.order import order_of

_AT_ONCE = 1 << 17
"""Pairs whose IoU is computed in one go: what fits a processor's cache, whatever the size of the set."""
_DENSE = 8
"""Groups for each box up to which a table of all groups is made: it is quicker than a search, and then still small."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of detection and truth whose IoU is large enough, K in all.

    The pairs of one detection stand together, in the order in which it would take the truths.
    """

    detection: NDArray[np.int64]
    truth: NDArray[np.int64]
    iou: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.detection)

    @property
    def first(self) -> NDArray[np.int64]:
        """Return the (D,) rows at which the pairs of the next detection begin."""
        return np.flatnonzero(self._begins)

    @property
    def _begins(self) -> NDArray[np.bool_]:
        """Return the (K,) mask of the first pair of each detection."""
        begins = np.ones(len(self), np.bool_)
        np.not_equal(self.detection[1:], self.detection[:-1], out=begins[1:])
        return begins

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Pairs":
        """Return these rows alone, in that order."""
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Pairs(self.detection[rows], self.truth[rows], self.iou[rows])

    def preferring(self, last: NDArray[np.bool_]) -> "Pairs":
        """Return the pairs with those of truths that are true in `last` (truths,) behind each detection's others."""
        rows, asker = self._contested()
        held_back = last[self.truth[rows]]
        if not held_back.any():
            return self
        return self.take(_rearranged(len(self), rows, np.lexsort((held_back, asker))))

    def best_first(self, *, last_wins: bool, rival: NDArray[np.bool_] | None = None) -> "Pairs":
        """Return the pairs with the best IoU of each detection first; see `overlapping_pairs`.

        Of pairs with the very same IoU, those that are true in `rival` (K,) come behind.
        """
        rows, asker = self._contested()
        truth = self.truth[rows]
        keys = [-truth if last_wins else truth, -self.iou[rows], asker]
        if rival is not None:
            keys.insert(1, rival[rows].astype(np.int64))
        return self.take(_rearranged(len(self), rows, np.lexsort(keys)))

    def _contested(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of detections with several pairs, for the order of the others is plain, and their askers.

        Askers are the detections by number: in the order in which they stand.
        """
        begins = self._begins
        several = ~begins
        several[:-1] |= ~begins[1:]
        rows = np.flatnonzero(several)
        return rows, np.cumsum(begins, dtype=np.int64)[rows]


def _rearranged(count: int, rows: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0 to `count` - 1 with those of `rows` in another order among themselves."""
    arranged = np.arange(count)
    arranged[rows] = rows[order]
    return arranged


class TruthGroups:
    """Truths by key: for detections of a key, where its truths are."""

    def __init__(self, truth_key: NDArray[np.int64]) -> None:
        self.by_key = order_of(truth_key)
        self._keys = truth_key[self.by_key]
        groups = int(self._keys[-1]) + 1 if len(self._keys) else 0
        dense = groups <= _DENSE * len(truth_key)
        # One group more, for the keys beyond the last.
        self._counts = np.bincount(truth_key, minlength=groups + 1) if dense else None
        self._begin = None if self._counts is None else np.cumsum(self._counts) - self._counts

    def find(self, key: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the truths of each (N,) key begin in `by_key`, and how many they are."""
        if self._counts is not None and self._begin is not None:
            group = np.minimum(key, len(self._counts) - 1)
            return self._begin[group], self._counts[group]
        low, high = (np.searchsorted(self._keys, key, side) for side in ("left", "right"))
        return low, high - low


def overlapping_pairs(
    detection_boxes: Boxes,
    detection_key: NDArray[np.int64],
    truth_boxes: Boxes,
    truth_key: NDArray[np.int64],
    *,
    lowest_iou: float,
    crowd: NDArray[np.bool_] | None = None,
) -> Pairs:
    """Return the pairs of equal key with an IoU of at least `lowest_iou`; no detections or no truth give none.

    Boxes are (N, 4) and (M, 4) xyxy pixels, keys are not negative; with a truth that is true in `crowd` (M,), the IoU
    is the share of the detection that lies in it. The pairs of one detection stand in the order of the truth.
    """
    groups = TruthGroups(truth_key)
    return pairs_in_groups(detection_boxes, detection_key, truth_boxes, groups, lowest_iou=lowest_iou, crowd=crowd)


def pairs_in_groups(
    detection_boxes: Boxes,
    detection_key: NDArray[np.int64],
    truth_boxes: Boxes,
    groups: TruthGroups,
    *,
    lowest_iou: float,
    crowd: NDArray[np.bool_] | None = None,
) -> Pairs:
    """Return what `overlapping_pairs` does, given the groups of the truth."""
    low, counts = groups.find(detection_key)
    owners = np.flatnonzero(counts)
    regions = crowd if crowd is not None and crowd.any() else None
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for start, stop in _blocks(counts[owners]):
        block = owners[start:stop]
        owner, position = _expand(low[block], counts[block])
        detection, truth = block[owner], groups.by_key[position]
        marks = None if regions is None else regions[truth]
        iou = iou_of_pairs(detection_boxes[detection], truth_boxes[truth], marks)
        near = np.flatnonzero(iou >= lowest_iou)
        found.append((detection[near], truth[near], iou[near]))
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _blocks(counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of consecutive detections that have about `_AT_ONCE` pairs together, at least one each."""
    ends, start = np.cumsum(counts), 0
    while start < len(counts):
        done = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, done + _AT_ONCE, "right")))
        yield start, stop
        start = stop


def _expand(low: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (P,) owners and (P,) positions: for each row, `counts` positions from `low` on."""
    owner = np.repeat(np.arange(len(low)), counts)
    begin = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - begin[owner] + low[owner]
