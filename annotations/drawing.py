"""Boxes drawn on a picture, in colours that the colour-blind can tell apart."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.palette import COLOURS, Colour

__all__ = ["COLOURS", "draw_boxes", "draw_outline"]


def draw_boxes(
    picture: NDArray[np.uint8],
    xyxy: NDArray[np.float64],
    texts: Sequence[str],
    colours: Sequence[Colour],
    thin: Sequence[bool],
) -> NDArray[np.uint8]:
    """Return a copy of a (H, W, 3) RGB picture with (N, 4) xyxy pixel boxes and a text at each.

    `thin` boxes (parts, say) have half the line's width, and no text.
    """
    canvas = picture.copy()
    line = max(2, round(max(picture.shape[:2]) / 300))
    # Thin ones first, so that an object's text is not drawn over.
    for row in sorted(range(len(xyxy)), key=lambda row: not thin[row]):
        left, top, right, bottom = (int(value) for value in np.rint(xyxy[row]))
        width = max(1, line // 2) if thin[row] else line
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), colours[row], width, cv2.LINE_AA)
        if not thin[row]:
            _draw_text(canvas, texts[row], left, top, colours[row], line)
    return canvas


def draw_outline(picture: NDArray[np.uint8], corners: NDArray[np.float64], colour: Colour) -> None:
    """Draw a quadrilateral, corners (4, 2) in pixels, into a picture, its first side (the upper one, say) thicker."""
    line = max(1, round(max(picture.shape[:2]) / 400))
    # OpenCV takes 16 fractional bits less than 32: sixteenths of pixels, and nothing far outside.
    points = np.rint(np.clip(corners, -1e4, 1e5) * 16).astype(np.int32)
    cv2.polylines(picture, [points.reshape(-1, 1, 2)], True, colour, line, cv2.LINE_AA, 4)
    cv2.polylines(picture, [points[:2].reshape(-1, 1, 2)], False, colour, 3 * line, cv2.LINE_AA, 4)


def _draw_text(canvas: NDArray[Any], text: str, left: int, top: int, colour: Colour, line: int) -> None:
    scale = 0.22 * line
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, max(1, line // 2))
    # Inside the picture, also for a box at its upper or right edge.
    left = max(0, min(left, canvas.shape[1] - width))
    base = max(top - below, height + 1)
    cv2.rectangle(canvas, (left, base - height - 1), (left + width, base + below), colour, cv2.FILLED)
    white = (255, 255, 255)
    cv2.putText(canvas, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale, white, max(1, line // 2), cv2.LINE_AA)
