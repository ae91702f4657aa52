"""Flat things in space: how a plane stands before the camera, and how a drawing on it comes into the picture.

Coordinates are continuous: pixel (0, 0) covers 0..1 on both axes. A (3, 3) homography maps columns (x, y, 1).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Homography = NDArray[np.float64]
_OVERSAMPLED = 2
"""Drawings are brought into the picture at this many times its resolution and then averaged: no jagged edges."""


def pose(rng: np.random.Generator, side: float, tilt: float, turn: float, centre: NDArray[np.float64]) -> Homography:
    """Return the homography of the square -0.5..0.5 to a picture: `side` pixels wide at `centre`, seen in perspective.

    `turn` is its rotation in the picture, in radians; it leans away from the camera by up to `tilt` radians round a
    random axis. The lens is a pinhole at a distance of 2 to 5 sides.
    """
    lean, axis = rng.uniform(0, tilt), rng.uniform(0, 2 * np.pi)
    rotation, _ = cv2.Rodrigues(lean * np.array([np.cos(axis), np.sin(axis), 0.0]))
    turned, _ = cv2.Rodrigues(np.array([0.0, 0.0, turn]))
    columns = (rotation @ turned)[:, :2]
    distance = rng.uniform(2, 5)
    onto = np.column_stack([np.vstack([columns[:2] * side, columns[2] / distance]), [0.0, 0.0, 1.0]])
    shift = np.array([[1, 0, centre[0]], [0, 1, centre[1]], [0, 0, 1]], np.float64)
    return np.asarray(shift @ onto, np.float64)


def projected(homography: Homography, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, 2) images of `points` (N, 2)."""
    lifted = points @ homography[:, :2].T + homography[:, 2]
    return np.asarray(lifted[:, :2] / lifted[:, 2:], np.float64)


def envelope(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (4,) xyxy upright box round `points` (N, 2), N at least 1."""
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def rectangle(left: float, top: float, right: float, bottom: float) -> NDArray[np.float64]:
    """Return the (4, 2) corners, clockwise on the screen from the upper left."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def by_index(homography: Homography) -> Homography:
    """Return the homography between pixels' numbers, as OpenCV's warps take it."""
    # OpenCV counts from the centre of the first pixel, which is 0.5 in continuous coordinates.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    return np.asarray(np.linalg.inv(half) @ homography @ half, np.float64)


def _region(picture: NDArray[np.float32], outline: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Return the pixels (left, top, right, bottom), half-open, that the outline can touch; may be empty."""
    height, width = picture.shape[:2]
    left, top = np.maximum(np.floor(outline.min(axis=0)) - 1, 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(outline.max(axis=0)) + 1, (width, height)).astype(int).tolist()
    return left, top, right, bottom


def pasted(
    picture: NDArray[np.float32], drawing: NDArray[np.uint8], homography: Homography, opacity: float = 1.0
) -> NDArray[np.float32]:
    """Return `picture` (H, W, 3) with the `drawing` (h, w, 3) laid over it; what falls outside is cut off.

    `homography` maps the drawing's pixels to the picture's. The picture's own array is changed and returned.
    """
    height, width = drawing.shape[:2]
    left, top, right, bottom = _region(picture, projected(homography, rectangle(0, 0, width, height)))
    if left >= right or top >= bottom:
        return picture
    times = _OVERSAMPLED
    into = np.array([[times, 0, -times * left], [0, times, -times * top], [0, 0, 1]]) @ homography
    size = ((right - left) * times, (bottom - top) * times)
    layers = cv2.cvtColor(drawing, cv2.COLOR_RGB2RGBA)
    fine = cv2.warpPerspective(layers, by_index(into), size, flags=cv2.INTER_LINEAR)
    laid = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA).astype(np.float32)
    # The border's colours are already weighted by the coverage: the warp blends with black of coverage 0.
    seen_through = cv2.cvtColor(1 - np.float32(opacity / 255) * laid[..., 3], cv2.COLOR_GRAY2RGB)
    below = picture[top:bottom, left:right]
    below *= seen_through
    below += np.float32(opacity) * cv2.cvtColor(laid, cv2.COLOR_RGBA2RGB)
    return picture
