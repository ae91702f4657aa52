"""Intersection over union of upright boxes, in float64."""

import numpy as np
from numpy.typing import NDArray

from annotations.tables import Boxes, Images, pixels

_GRID = 2.0**32
"""Steps a pixel. Pixels that come out of normalised coordinates carry rounding of about 1e-13; put back on this grid,
coordinates drawn on whole, half or quarter pixels are exact again, so an IoU of exactly one half stays one half."""


def pixel_boxes(images: Images, image_row: NDArray[np.int64], xyxy_rel: Boxes) -> Boxes:
    """Return the (N, 4) xyxy boxes in pixels of their own image, free of the rounding that normalising left."""
    return np.rint(pixels(images, image_row, xyxy_rel) * _GRID) / _GRID


def area(xyxy: Boxes) -> NDArray[np.float64]:
    """Return the (N,) areas of (N, 4) xyxy boxes; an inverted box has none."""
    return np.asarray(np.clip(xyxy[..., 2:] - xyxy[..., :2], 0, None).prod(axis=-1))


def iou_of_pairs(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Return the (..., ) IoU of boxes `a` (..., 4) with boxes `b` (..., 4), broadcast; 0 where a box has no area."""
    overlap = area(np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1))
    union = area(a) + area(b) - overlap
    # Without area there is no overlap either, so the stand-in divisor gives 0 and never 0/0.
    return np.asarray(overlap / np.where(union > 0, union, 1.0))


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Return the (N, M) IoU of boxes `a` (N, 4) with boxes `b` (M, 4), xyxy; 0 where a box has no area.

    Memory is O(N M): for the boxes of one image. `pairs.overlapping_pairs` does a whole set.
    """
    rows, columns = np.broadcast_arrays(a[:, None, :], b[None, :, :])
    return iou_of_pairs(rows, columns)
