"""Where each number of a label image stands: the boxes around its pixels, found by runs and not by pixels."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError

MOST_VALUES = 100_000
"""Numbers in one label image, as many as shapes in one annotation file."""

_BAND = 4_000_000
"""Pixels looked at together, so that a picture of noise takes no more memory than its size."""


class Extents(NamedTuple):
    """The (K,) numbers of a label image but 0, ascending, and the (K, 4) xyxy pixel edges around each one's pixels."""

    values: NDArray[np.int64]
    xyxy: NDArray[np.int64]


def extents_of(labels: NDArray[Any]) -> Extents:
    """Return where the numbers of an (H, W) label image stand; the last column and row count in full.

    Raises:
        AnnotationError: they are more than MOST_VALUES.
    """
    height, width = labels.shape
    step = max(1, _BAND // max(width, 1))
    found = Extents(np.zeros(0, np.int64), np.zeros((0, 4), np.int64))
    for top in range(0, height, step):
        values, xyxy = _runs(labels[top : top + step], top)
        found = _merged(np.concatenate([found.values, values]), np.concatenate([found.xyxy, xyxy]))
        if len(found.values) > MOST_VALUES:
            raise AnnotationError(f"label image must hold at most {MOST_VALUES:,} objects, got more")
    return found


def _runs(band: NDArray[Any], top: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (R,) numbers and (R, 4) boxes of the rows' runs of equal pixels, without background."""
    changes = band[:, 1:] != band[:, :-1]
    edge = np.ones((len(band), 1), np.bool_)
    drawn = band != 0
    rows, first = np.nonzero(np.concatenate([edge, changes], axis=1) & drawn)
    last = np.nonzero(np.concatenate([changes, edge], axis=1) & drawn)[1]
    return band[rows, first].astype(np.int64), np.stack([first, rows + top, last + 1, rows + top + 1], axis=1)


def _merged(values: NDArray[np.int64], xyxy: NDArray[np.int64]) -> Extents:
    if not len(values):
        return Extents(values, xyxy)
    order = np.argsort(values, kind="stable")
    values, ordered = values[order], xyxy[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    least, most = np.minimum.reduceat(ordered[:, :2], starts), np.maximum.reduceat(ordered[:, 2:], starts)
    return Extents(values[starts], np.concatenate([least, most], axis=1))
