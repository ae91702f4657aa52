"""Labelme's mask shapes: a small picture, laid at the shape's first point, whose pixels are the object."""

import base64
import binascii

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError
from annotations.notes import FileRefused, shown
from annotations.pictures import displayed_and_stored_size

LARGEST_MASK = 100_000_000
"""Pixels of a mask or a label image that is worked on whole: one of 10,000 x 10,000; larger pictures are for tiling."""


def mask_extent(mask: object, x: float, y: float) -> tuple[float, float, float, float] | None:
    """Return the xyxy pixels around a mask's set pixels, whose patch begins at the point (x, y); None without any.

    The last column and row count in full: a patch of one pixel at (3, 5) gives [3, 5, 4, 6].

    Raises:
        FileRefused: the mask is no base64 picture, or larger than LARGEST_MASK.
    """
    rows = mask_pixels(mask)
    down, across = np.flatnonzero(rows.any(axis=1)), np.flatnonzero(rows.any(axis=0))
    if not len(down):
        return None
    left, top = map(float, mask_corner(x, y))
    xs, ys = across.tolist(), down.tolist()
    return left + xs[0], top + ys[0], left + xs[-1] + 1, top + ys[-1] + 1


def mask_corner(x: float, y: float) -> tuple[int, int]:
    """Return the column and row of a mask's first pixel, from its shape's first point.

    Source: labelme's `mask` is laid at the rounded first point, and its points are inclusive pixel indices.
    """
    return round(x), round(y)


def mask_pixels(mask: object) -> NDArray[np.bool_]:
    """Return the (h, w) pixels that a mask's picture sets.

    Raises:
        FileRefused: the mask is no base64 picture, or larger than LARGEST_MASK.
    """
    if not isinstance(mask, str) or not mask:
        raise FileRefused("bad-points", f"mask must be a base64 PNG, got {shown(mask)}")
    try:
        data = base64.b64decode(mask)
        (width, height), _ = displayed_and_stored_size(data)
    except (binascii.Error, ValueError, AnnotationError) as error:
        reason = str(error).removeprefix("imageData: ")
        raise FileRefused("bad-points", f"mask must be a base64 PNG, got {reason}") from error
    if width * height > LARGEST_MASK:
        raise FileRefused("bad-points", f"mask must be at most {LARGEST_MASK:,} pixels, got {width} x {height}")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise FileRefused("bad-points", "mask must be a base64 PNG, got a damaged one") from error
    if pixels is None:
        raise FileRefused("bad-points", "mask must be a base64 PNG, got a damaged one")
    # Of a coloured mask, the colours; its alpha channel is set everywhere.
    return np.asarray(pixels[..., :3].any(axis=2) if pixels.ndim == 3 else pixels != 0, np.bool_)
