"""Putting a picture of any size into the network's input and bringing boxes back, exactly."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = 114
"""Value of the padding, 0 to 255. Source: the middle grey that the YOLO family pads with."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in a canvas: `width` x `height` pixels become `new_width` x `new_height` at (left, top).

    The two scales are kept apart, for rounding the new size to whole pixels makes them differ a little.
    """

    width: int
    height: int
    new_width: int
    new_height: int
    left: int
    top: int

    def forward(self, xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, 4) canvas pixels of (N, 4) xyxy picture pixels."""
        return xyxy * self._scale + self._shift

    def inverse(self, xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, 4) picture pixels of (N, 4) xyxy canvas pixels; the inverse of `forward`."""
        return (xyxy - self._shift) / self._scale

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.tile([self.new_width / self.width, self.new_height / self.height], 2)

    @property
    def _shift(self) -> NDArray[np.float64]:
        return np.tile(np.array([self.left, self.top], np.float64), 2)


def letterbox(width: int, height: int, canvas: tuple[int, int]) -> Placement:
    """Return the placement of a picture, as large as it fits, in the middle of a (height, width) canvas."""
    scale = min(canvas[1] / width, canvas[0] / height)
    new_width, new_height = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (canvas[1] - new_width) // 2, (canvas[0] - new_height) // 2
    return Placement(width, height, new_width, new_height, left, top)


def reduced(picture: NDArray[np.uint8], canvas: tuple[int, int], most: float) -> NDArray[np.uint8]:
    """Return the (H, W, 3) picture at 1/1, 1/2, 1/3 ... of its size, the smallest that a magnification still fills.

    `most` is the largest magnification of a placement in the (height, width) canvas, of the picture as it stands or
    turned by a quarter. A photograph of twelve megapixels is turned and shrunk twenty times as fast so, and kept in
    little room; averaging whole blocks first changes what averaging to the final size gives by next to nothing.
    """
    height, width = picture.shape[:2]
    scale = most * max(min(canvas[1] / width, canvas[0] / height), min(canvas[1] / height, canvas[0] / width))
    factor = int(1 / scale)
    if factor < 2:
        return picture
    size = (-(-width // factor), -(-height // factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def place(picture: NDArray[np.uint8], placement: Placement, canvas: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the (height, width, 3) canvas with the picture at its placement, padded with GREY.

    A part of the placement outside the canvas is cut off.
    """
    new_width, new_height = placement.new_width, placement.new_height
    smaller = new_width < picture.shape[1] and new_height < picture.shape[0]
    # Averaging when shrinking: bilinear sampling would skip pixels and turn fine modules into noise.
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (new_width, new_height), interpolation=method)
    result = np.full((*canvas, 3), GREY, np.uint8)
    top, left = placement.top, placement.left
    bottom, right = min(top + new_height, canvas[0]), min(left + new_width, canvas[1])
    first_row, first_column = max(top, 0), max(left, 0)
    if first_row < bottom and first_column < right:
        result[first_row:bottom, first_column:right] = resized[
            first_row - top : bottom - top, first_column - left : right - left
        ]
    return result
