"""The anchors of the published network: six boxes of each cell of a six-level pyramid (plain numpy).

Source: the reference implementation of Blanger & Hirata, ICIP 2019 (Leonardo-Blanger/subparts_ppn_keras): its scales,
ratios and formulas, after SSD, Liu et al. 2016, section 2.2. Its rows were counted by the width of the feature map, so
that only square inputs worked; here they are counted by the height.
"""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detector.cells import grid_size

SCALES: Final = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
"""Sides of the objects' anchors as shares of the input, a level each; the last only ends the sixth level's range."""
PART_SHARE: Final = 0.25
"""Side of a part's anchors as a share of the objects' on the same level."""
RATIOS: Final = (1 / 3, 1 / 2, 1.0, 2.0, 3.0)
"""Width over height of a cell's anchors; a sixth, square one lies between its level's scale and the next."""
STRIDE: Final = 16
"""Pixels between the cells of the first level, in both branches."""

LEVELS: Final = len(SCALES) - 1
ANCHORS_A_CELL: Final = len(RATIOS) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """The A anchors of a branch, level after level, row after row: `centre` (A, 2) xy and `size` (A, 2) in pixels."""

    centre: NDArray[np.float64]
    size: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.centre.setflags(write=False)
        self.size.setflags(write=False)

    def __len__(self) -> int:
        return len(self.size)

    def of(self, rows: NDArray[np.int64]) -> "Anchors":
        """Return the anchors of these rows."""
        return Anchors(self.centre[rows], self.size[rows])

    @property
    def xyxy(self) -> NDArray[np.float64]:
        """Return the (A, 4) corners; they may lie outside of the picture."""
        return np.concatenate([self.centre - self.size / 2, self.centre + self.size / 2], axis=1)


def grids(canvas: tuple[int, int]) -> list[tuple[int, int]]:
    """Return rows and columns of every level of a (height, width) input: halved, rounded up, from level to level."""
    rows, columns = (grid_size(side, STRIDE) for side in canvas)
    found = [(rows, columns)]
    while len(found) < LEVELS:
        rows, columns = (grid_size(side, 2) for side in found[-1])
        found.append((rows, columns))
    return found


def _sizes(extent: NDArray[np.float64], scale: float, next_scale: float) -> NDArray[np.float64]:
    """Return the (6, 2) widths and heights of a cell's anchors on an input of `extent` (2,) pixels."""
    # In the reference's order of operations: boxes inside of several anchors are ties, which the last bit decides.
    root = np.sqrt(np.array(RATIOS))
    width, height = extent * scale
    return np.concatenate([np.stack([width * root, height / root], axis=1), [extent * np.sqrt(scale * next_scale)]])


@functools.lru_cache
def anchors(canvas: tuple[int, int], share: float = 1.0) -> Anchors:
    """Return the anchors of a (height, width) input; `share` is PART_SHARE for parts.

    Centres divide the input evenly, whatever the rounding of the feature maps; sizes are shares of its width and
    height, so that ratio 1 is square on a square input alone.
    """
    extent = np.array([canvas[1], canvas[0]], np.float64)
    centres, sizes = [], []
    for level, (rows, columns) in enumerate(grids(canvas)):
        y, x = np.mgrid[0:rows, 0:columns]
        cell = (np.stack([x, y], axis=-1).reshape(-1, 1, 2) + 0.5) * (extent / (columns, rows))
        both = np.broadcast_arrays(cell, _sizes(extent, SCALES[level] * share, SCALES[level + 1] * share))
        centres.append(both[0].reshape(-1, 2))
        sizes.append(both[1].reshape(-1, 2))
    return Anchors(np.concatenate(centres), np.concatenate(sizes))
