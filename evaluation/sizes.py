"""Objects by size: the area ranges of COCO, in pixels of the displayed image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Boxes with an area from `least` to `most` square pixels, both included."""

    least: float
    most: float

    def outside(self, area: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the (N,) mask of the areas that are not in the range."""
        return np.asarray((area < self.least) | (area > self.most))


ALL = "all"
SIZES = {"small": SizeRange(0, 32**2), "medium": SizeRange(32**2, 96**2), "large": SizeRange(96**2, np.inf)}
"""The ranges by name. An area on a border is in both, as in pycocotools. It is the area of the box, where COCO's own
files give that of the outline. Source: pycocotools `Params.setDetParams`."""

EVERY_SIZE = SizeRange(0, np.inf)


def size_range(name: str) -> SizeRange:
    """Return the range of this name, `all` among them.

    Raises:
        ValueError: there is none.
    """
    if name != ALL and name not in SIZES:
        raise ValueError(f"size must be one of {(ALL, *SIZES)}, got {name!r}")
    return SIZES.get(name, EVERY_SIZE)
