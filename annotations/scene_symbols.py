"""QR codes for the drawn scenes: real symbols on a label, with the outlines of the symbol and its finder patterns."""

from dataclasses import dataclass

import cv2
import numpy as np
import segno
from numpy.typing import NDArray

from annotations.scene_planes import rectangle
from annotations.scene_surfaces import colour, words, write_line

FINDER = 7
"""Modules along a finder pattern. Source: ISO/IEC 18004, 6.3.3."""

# Characters that fit a symbol of version 1 to 4 at the weakest and the strongest error correction, in byte mode.
# Source: ISO/IEC 18004, table 7.
_CAPACITY = {"l": (17, 32, 53, 78), "h": (7, 14, 24, 34)}


@dataclass(frozen=True, slots=True)
class Label:
    """What a QR code is printed on, in modules; the symbol itself covers 0..`modules` on both axes.

    `quiet` is the margin on every side, a multiple of 0.5, and `caption` the room for a line of text below.
    """

    version: int
    quiet: float
    caption: int

    @property
    def modules(self) -> int:
        """Return the symbol's width in modules. Source: ISO/IEC 18004, 6.3.2 (21 for version 1, 4 more for each)."""
        return 17 + 4 * self.version

    @property
    def sheet(self) -> NDArray[np.float64]:
        """Return the (4, 2) corners of the label."""
        far = self.modules + self.quiet
        return rectangle(-self.quiet, -self.quiet, far, far + self.caption)

    @property
    def outline(self) -> NDArray[np.float64]:
        """Return the (4, 2) corners of the symbol without its quiet zone."""
        return rectangle(0, 0, self.modules, self.modules)

    @property
    def finders(self) -> NDArray[np.float64]:
        """Return the (3, 4, 2) corners of the finder patterns."""
        far = self.modules - FINDER
        corners = [(0, 0), (far, 0), (0, far)]
        return np.array([rectangle(x, y, x + FINDER, y + FINDER) for x, y in corners])


def label(rng: np.random.Generator) -> Label:
    """Return a label for a code of version 1 to 4."""
    # Four modules of quiet zone are the rule; many printed codes have less.
    return Label(int(rng.integers(1, 5)), float(rng.integers(3, 10)) / 2, int(rng.choice([0, 0, 4, 6])))


def symbol(rng: np.random.Generator, version: int) -> NDArray[np.bool_]:
    """Return the (N, N) dark modules of a code of version 1 to 4 with random text."""
    level = str(rng.choice(["l", "h"]))
    most = _CAPACITY[level][version - 1]
    text = words(rng, int(rng.integers(max(1, most // 2), most + 1)))
    # A mask chosen here saves the trial of all eight, most of segno's time.
    code = segno.make(
        text, version=version, error=level, mode="byte", mask=int(rng.integers(8)), micro=False, boost_error=False
    )
    return np.array([np.frombuffer(row, np.uint8) for row in code.matrix]) > 0


def _inks(rng: np.random.Generator, difficulty: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the colours of dark and light modules; the harder, the closer."""
    # Most codes are black on white; the tint of the others goes up to a full colour.
    tint = 4 if rng.random() < 0.65 else 25
    dark = colour(rng, 0, 25 + 50 * difficulty, tint)
    light = colour(rng, 215 - 60 * difficulty, 255, tint)
    return (light, dark) if rng.random() < 0.06 else (dark, light)


def _decorate(rng: np.random.Generator, drawing: NDArray[np.uint8], quiet: int, ink: NDArray[np.float32]) -> None:
    """Draw a frame or a line of text on the label, outside the quiet zone."""
    height, width = drawing.shape[:2]
    if rng.random() < 0.3:
        cv2.rectangle(drawing, (1, 1), (width - 2, height - 2), ink.tolist(), max(1, quiet // 6))
    if height > width:
        text = words(rng, int(rng.integers(4, 14)))
        lower = height - (height - width) // 3
        write_line(drawing, text, (quiet, lower), (height - width) / 2.5, ink.tolist(), cv2.FONT_HERSHEY_SIMPLEX)


def printed(rng: np.random.Generator, label: Label, scale: int, difficulty: float) -> NDArray[np.uint8]:
    """Return the (h, w, 3) RGB drawing of a label with a code, in random colours, at `scale` pixels a module (even).

    Pixel (x, y) of it is `x / scale - label.quiet` and `y / scale - label.quiet` in modules.
    """
    dark, light = _inks(rng, difficulty)
    width, height = (round(extent * scale) for extent in np.ptp(label.sheet, axis=0).tolist())
    near, far = round(label.quiet * scale), round((label.quiet + label.modules) * scale)
    drawing = np.empty((height, width, 3), np.uint8)
    drawing[:] = light
    cells = np.array([light, dark]).astype(np.uint8)[symbol(rng, label.version).astype(np.intp)]
    drawing[near:far, near:far] = cv2.resize(cells, (far - near, far - near), interpolation=cv2.INTER_NEAREST)
    _decorate(rng, drawing, near, dark)
    return drawing
