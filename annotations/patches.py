"""The pixels of objects: cut to a frame, united, made of boxes, and drawn one at a time."""

import math
from collections.abc import Callable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from annotations.drawn import Patch

_DIGITS = 6
"""Digits of a pixel: 10.5 that was divided by the image's size and multiplied again is to be 10.5."""


def empty_patch() -> Patch:
    """Return the patch without a pixel, of 0 x 0."""
    return Patch(0, 0, np.zeros((0, 0), np.bool_))


def within(patch: Patch, width: int, height: int) -> Patch:
    """Return what of a patch lies in the frame of `width` x `height` pixels; of 0 x 0 where nothing does."""
    rows, columns = patch.pixels.shape
    left, top = max(patch.left, 0), max(patch.top, 0)
    right, bottom = min(patch.left + columns, width), min(patch.top + rows, height)
    if right <= left or bottom <= top:
        return empty_patch()
    pixels = patch.pixels[top - patch.top : bottom - patch.top, left - patch.left : right - patch.left]
    return Patch(left, top, pixels)


def united(patches: Sequence[Patch]) -> Patch:
    """Return the pixels of any of these patches as one patch; of 0 x 0 where none has a pixel."""
    whole = [patch for patch in patches if patch.pixels.size]
    if len(whole) == 1:
        return whole[0]
    if not whole:
        return empty_patch()
    left, top = min(patch.left for patch in whole), min(patch.top for patch in whole)
    right = max(patch.left + patch.pixels.shape[1] for patch in whole)
    bottom = max(patch.top + patch.pixels.shape[0] for patch in whole)
    pixels = np.zeros((bottom - top, right - left), np.bool_)
    for patch in whole:
        rows, columns = patch.pixels.shape
        y, x = patch.top - top, patch.left - left
        pixels[y : y + rows, x : x + columns] |= patch.pixels
    return Patch(left, top, pixels)


def pixel_window(xyxy: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the pixels whose centres lie in a box of pixel edges, cut to the frame.

    right and bottom are not in it, as in a slice. A box between two centres gets the one pixel that its own centre
    lies in.
    """
    left, right = _span(xyxy[0], xyxy[2], width)
    top, bottom = _span(xyxy[1], xyxy[3], height)
    return left, top, right, bottom


def box_patch(xyxy: Sequence[float], width: int, height: int) -> Patch:
    """Return the pixels of a box, as `pixel_window` has them."""
    left, top, right, bottom = pixel_window(xyxy, width, height)
    return Patch(left, top, np.ones((bottom - top, right - left), np.bool_))


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    first, past = (math.ceil(round(min(max(edge, -1.0), size + 1.0) - 0.5, _DIGITS)) for edge in (low, high))
    first, past = min(max(first, 0), size), min(max(past, 0), size)
    if first < past:
        return first, past
    middle = min(max(math.floor((low + high) / 2), 0), size - 1)
    return middle, middle + 1


class DrawnPatches(Sequence[Patch]):
    """The patches of one image, each drawn when it is asked for: all together could be far larger than the image."""

    def __init__(self, draw: Callable[[int], Patch], count: int) -> None:
        self._draw, self._count = draw, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Patch: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Patch]: ...
    def __getitem__(self, place: int | slice) -> Patch | Sequence[Patch]:
        if isinstance(place, slice):
            return [self._draw(each) for each in range(self._count)[place]]
        return self._draw(range(self._count)[place])


def tight(pixels: NDArray[np.bool_], left: int = 0, top: int = 0) -> Patch:
    """Return the set pixels of (h, w) `pixels`, whose first is at (left, top), as a patch just around them."""
    down, across = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(down):
        return empty_patch()
    x, y = int(across[0]), int(down[0])
    return Patch(left + x, top + y, np.ascontiguousarray(pixels[y : down[-1] + 1, x : across[-1] + 1]))
