"""Codes in a picture: a printed label with a QR code, how it stands before the camera, and where its corners come."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from annotations.scene_planes import Homography, envelope, pasted, pose, projected
from annotations.scene_symbols import Label, printed


def turn(rng: np.random.Generator) -> float:
    """Return a turn in the picture, in radians, as photographs have them."""
    # Half of all codes are photographed about upright (or lying on a side), the others anyhow.
    quarter = rng.integers(4) * np.pi / 2
    return float(quarter + rng.normal(0, 0.15) if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi))


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCode:
    """A label, and the homography of its modules to the picture's pixels; `side` is the symbol's, untilted."""

    label: Label
    to_scene: Homography
    side: float

    @classmethod
    def at(cls, rng: np.random.Generator, label: Label, side: float, tilt: float, centre: NDArray[np.float64]) -> Self:
        """Return the label with its symbol's middle at `centre` (2,), leaning by up to `tilt` radians and turned."""
        onto = pose(rng, side, tilt, turn(rng), centre)
        one = 1 / label.modules
        return cls(label, onto @ np.array([[one, 0, -0.5], [0, one, -0.5], [0, 0, 1]]), side)

    @property
    def outline(self) -> NDArray[np.float64]:
        """Return the (4, 2) corners of the symbol in the picture."""
        return projected(self.to_scene, self.label.outline)

    @property
    def finders(self) -> NDArray[np.float64]:
        """Return the (3, 4, 2) corners of the finder patterns in the picture."""
        return projected(self.to_scene, self.label.finders.reshape(-1, 2)).reshape(-1, 4, 2)

    @property
    def sheet_xyxy(self) -> NDArray[np.float64]:
        """Return the (4,) box in the picture of all that it is printed on."""
        return envelope(projected(self.to_scene, self.label.sheet))


def pasted_code(
    rng: np.random.Generator, canvas: NDArray[np.float32], code: PlacedCode, difficulty: float
) -> NDArray[np.float32]:
    """Return `canvas` (H, W, 3), itself changed, with the code printed in random colours and laid over it."""
    # About as fine as `pasted` samples it: coarser is blurred, finer would lose thin modules. Even, so that half a
    # module is whole pixels.
    scale = 2 * int(np.clip(round(code.side / code.label.modules), 2, 24))
    drawing = printed(rng, code.label, scale, difficulty)
    quiet = code.label.quiet
    to_modules = np.array([[1 / scale, 0, -quiet], [0, 1 / scale, -quiet], [0, 0, 1]])
    return pasted(canvas, drawing, code.to_scene @ to_modules, opacity=rng.uniform(0.85, 1.0))
