"""Which detections overlap which truths: every pair of one image and class over a whole set, with no loop by image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.tables import Boxes
from evaluation.iou import iou_of_pairs

_AT_ONCE = 1 << 21
"""Pairs whose IoU is computed in one go: bounds the memory, whatever the size of the set."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of detection and truth of one image and class whose IoU is large enough, K in all.

    They stand in the order of the detections and, for each, best IoU first; the pairs of detection `d` are the rows
    `first[d]` to `first[d + 1]`. `first` is (N + 1,), the other columns are (K,).
    """

    first: NDArray[np.int64]
    detection: NDArray[np.int64]
    truth: NDArray[np.int64]
    iou: NDArray[np.float64]

    def end(self, iou_threshold: float) -> NDArray[np.int64]:
        """Return the (N,) ends of the rows of each detection that reach `iou_threshold`."""
        # Each detection's pairs descend, so those that reach it are the first ones.
        reaching = np.bincount(self.detection[self.iou >= iou_threshold], minlength=len(self.first) - 1)
        return np.asarray(self.first[:-1] + reaching)


def overlapping_pairs(
    detection_boxes: Boxes,
    detection_key: NDArray[np.int64],
    truth_boxes: Boxes,
    truth_key: NDArray[np.int64],
    *,
    lowest_iou: float,
    last_wins: bool,
) -> Pairs:
    """Return the pairs of equal key with an IoU of at least `lowest_iou`; no detections or no truth give none.

    Boxes are (N, 4) and (M, 4) xyxy pixels. `last_wins` says which of several truths with the very same IoU comes
    first: the last in the table (as pycocotools takes them) or the first (as the argmax of the VOC code).
    """
    by_key = np.argsort(truth_key, kind="stable")
    low, high = (np.searchsorted(truth_key[by_key], detection_key, side) for side in ("left", "right"))
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for start, stop in _blocks(high - low):
        detection, position = _expand(low[start:stop], high[start:stop])
        truth, detection = by_key[position], detection + start
        iou = iou_of_pairs(detection_boxes[detection], truth_boxes[truth])
        near = iou >= lowest_iou
        found.append((detection[near], truth[near], iou[near]))
    detection, truth, iou = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-truth if last_wins else truth, -iou, detection))
    counts = np.bincount(detection, minlength=len(detection_key))
    return Pairs(np.concatenate([[0], np.cumsum(counts)]), detection[order], truth[order], iou[order])


def _blocks(counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of consecutive detections that have about `_AT_ONCE` pairs together, at least one each."""
    ends, start = np.cumsum(counts), 0
    while start < len(counts):
        done = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, done + _AT_ONCE, "right")))
        yield start, stop
        start = stop


def _expand(low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (P,) owners and (P,) positions: for each row of `low` and `high`, every position from low to high - 1."""
    counts = high - low
    owner = np.repeat(np.arange(len(low)), counts)
    begin = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - begin[owner] + low[owner]
