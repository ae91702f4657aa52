"""Pairs of boxes that overlap, among many boxes at once and without comparing each with each."""

import numpy as np
from numpy.typing import NDArray

from annotations.tables import Boxes


def overlapping_pairs(
    key: NDArray[np.int64], xyxy: Boxes, least_iou: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the (P, 2) rows of the pairs of (N, 4) boxes of one `key` with an IoU of at least `least_iou`, and (P,).

    `key` is (N,): boxes are compared within their image and class alone, say. Of the pairs of a box with those that
    follow it from left to right, the one with the highest IoU is given, so there are fewer pairs than boxes. Both rows
    of a pair are ascending, and so are the pairs. The cost grows with the number of pairs that overlap horizontally.
    """
    order = np.lexsort((xyxy[:, 0], key))
    sorted_key, boxes = key[order], xyxy[order]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    best, partner = np.zeros(len(order)), np.zeros(len(order), np.int64)
    open_rows = np.arange(len(order))
    step = 0
    while len(open_rows):
        step += 1
        # Sorted by their left edge: a box that the next one does not reach is reached by none after it.
        open_rows = open_rows[open_rows + step < len(order)]
        after = open_rows + step
        meets = (sorted_key[after] == sorted_key[open_rows]) & (boxes[after, 0] < boxes[open_rows, 2])
        open_rows, after = open_rows[meets], after[meets]
        overlap = _intersection(boxes[open_rows], boxes[after])
        iou = overlap / (area[open_rows] + area[after] - overlap)
        better = iou > best[open_rows]
        best[open_rows[better]], partner[open_rows[better]] = iou[better], after[better]
    found = np.flatnonzero(best >= least_iou)
    pairs = np.sort(np.stack([order[found], order[partner[found]]], axis=1), axis=1)
    sequence = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[sequence], best[found][sequence]


def share_inside(inner: Boxes, outer: Boxes) -> NDArray[np.float64]:
    """Return for each of (N, 4) boxes the share of its area that lies in the (N, 4) `outer` box of its row."""
    area = (inner[:, 2] - inner[:, 0]) * (inner[:, 3] - inner[:, 1])
    return np.asarray(_intersection(inner, outer) / area)


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Return the (N, M) IoU of boxes (N, 4) and (M, 4); boxes without area, or inside out, overlap with nothing."""
    sides_a, sides_b = (np.maximum(boxes[:, 2:] - boxes[:, :2], 0) for boxes in (a, b))
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.maximum(high - low, 0).prod(axis=2)
    union = sides_a.prod(axis=1)[:, None] + sides_b.prod(axis=1) - overlap
    return np.asarray(overlap / np.where(overlap > 0, union, 1.0))


def paired_iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Return the (N,) IoU of the boxes (N, 4) of each row of a and b; boxes without area overlap with nothing."""
    overlap = _intersection(a, b)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - overlap
    return np.asarray(overlap / np.where(overlap > 0, union, 1.0))


def _intersection(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    return np.asarray(np.clip(width, 0, None) * np.clip(height, 0, None))
