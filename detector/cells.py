"""The grid of predicting cells: centres, strides and prior boxes of every level of a pyramid (plain numpy)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

OBJECT_STRIDES: Final = (8, 16, 32, 64)
PART_STRIDES: Final = (4, 8, 16, 32)
OBJECT_PRIOR: Final = 4.0
PART_PRIOR: Final = 3.0
"""Side of the prior box of a cell in strides: 32 to 256 pixels for objects, 12 to 96 for parts.

Source: own measurement on QR codes; the published network's smallest priors (48 and 12 pixels on a stride of 16) could
match no object under 34 pixels.
"""

SIZE_RATIO: Final = 3.0
"""A level may answer for an object whose side is at most this many times larger or smaller than its prior box.

Source: own measurement: without it neighbouring levels fire twice on large objects.
"""

LARGEST_LOG: Final = 6.0
"""Bound of a raw box output before `exp`, so that a wild network gives a large box and not an infinite one."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The A cells of a pyramid, level after level, row after row; all in pixels of the network's input.

    `centre` is (A, 2) xy, `stride` and `prior` (side of the square prior box) are (A,).
    """

    centre: NDArray[np.float32]
    stride: NDArray[np.float32]
    prior: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.stride)


def grid_size(side: int, stride: int) -> int:
    """Return how many cells of a stride cover a side; the last one may reach over the edge."""
    return -(-side // stride)


def cells(canvas: tuple[int, int], strides: tuple[int, ...], prior: float) -> Cells:
    """Return the cells of a (height, width) input; `prior` is the side of the prior box in strides."""
    centres, all_strides = [], []
    for stride in strides:
        rows, columns = (grid_size(side, stride) for side in canvas)
        y, x = np.mgrid[0:rows, 0:columns]
        centres.append((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride)
        all_strides.append(np.full(rows * columns, stride))
    stride_column = np.concatenate(all_strides).astype(np.float32)
    return Cells(np.concatenate(centres).astype(np.float32), stride_column, stride_column * np.float32(prior))
