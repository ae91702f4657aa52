"""Intersection over union of upright boxes, in float64."""

import numpy as np
from numpy.typing import NDArray

from annotations.tables import Boxes, Images, pixels

_GRID = 1e9
"""Steps a pixel. Pixels that come out of normalised coordinates carry rounding of about 1e-13; put back on this grid,
coordinates with up to nine decimals, and so also half, quarter and 1/512 pixels, are again the very numbers that they
were, and an IoU of exactly one half stays one half."""


def pixel_boxes(images: Images, image_row: NDArray[np.int64], xyxy_rel: Boxes) -> Boxes:
    """Return the (N, 4) xyxy boxes in pixels of their own image, free of the rounding that normalising left."""
    xyxy = pixels(images, image_row, xyxy_rel)
    xyxy *= _GRID
    np.rint(xyxy, out=xyxy)
    xyxy /= _GRID
    return xyxy


def area(xyxy: Boxes) -> NDArray[np.float64]:
    """Return the (N,) areas of (N, 4) xyxy boxes; an inverted box has none."""
    return np.asarray(
        np.maximum(xyxy[..., 2] - xyxy[..., 0], 0.0) * np.maximum(xyxy[..., 3] - xyxy[..., 1], 0.0), np.float64
    )


def iou_of_pairs(a: Boxes, b: Boxes, crowd: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the (..., ) IoU of boxes `a` (..., 4) with boxes `b` (..., 4), broadcast; 0 where a box has no area.

    Where `crowd` (..., ) is true, `b` is a region of many objects, and it is the share of `a` that lies in it.
    Source: pycocotools `bbIou` in maskApi.c, for the crowds.
    """
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    overlap = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    union = area(a) + area(b) - overlap
    if crowd is not None:
        union = np.where(crowd, area(a), union)
    # Without area there is no overlap either, so the stand-in divisor gives 0 and never 0/0.
    return np.asarray(overlap / np.where(union > 0, union, 1.0))


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Return the (N, M) IoU of boxes `a` (N, 4) with boxes `b` (M, 4), xyxy; 0 where a box has no area.

    Memory is O(N M): for the boxes of one image. `pairs.overlapping_pairs` does a whole set.
    """
    return iou_of_pairs(a[:, None, :], b[None, :, :])
