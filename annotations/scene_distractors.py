"""Things that look a little like QR codes and are none: (h, w, 3) RGB drawings to teach a detector what not to find."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.scene_surfaces import colour, words, write_line

Drawing = NDArray[np.uint8]


def _sheet(rng: np.random.Generator, height: int, width: int) -> tuple[Drawing, list[float]]:
    """Return an empty sheet and the ink to draw on it with."""
    light, dark = colour(rng, 150, 250), colour(rng, 5, 90)
    if rng.random() < 0.15:
        light, dark = dark, light
    sheet = np.empty((height, width, 3), np.uint8)
    sheet[:] = light
    return sheet, dark.tolist()


def _inked(sheet: Drawing, ink: list[float], dark: NDArray[np.bool_], margin: int) -> Drawing:
    """Draw the (n, m) dark cells on the inside of the sheet."""
    height, width = sheet.shape[:2]
    size = (width - 2 * margin, height - 2 * margin)
    cells = np.array([sheet[0, 0], ink]).astype(np.uint8)[dark.astype(np.intp)]
    sheet[margin : height - margin, margin : width - margin] = cv2.resize(cells, size, interpolation=cv2.INTER_NEAREST)
    return sheet


def _bar_code(rng: np.random.Generator) -> Drawing:
    sheet, ink = _sheet(rng, 70, 120)
    bars = np.repeat(rng.random(60) < 0.5, rng.integers(1, 4, 60))[:90]
    _inked(sheet, ink, bars[None, :], 8)
    if rng.random() < 0.6:
        sheet[52:] = sheet[0, 0]
        write_line(sheet, words(rng, 10), (12, 64), 8, ink, cv2.FONT_HERSHEY_SIMPLEX)
    return sheet


def _random_modules(rng: np.random.Generator) -> Drawing:
    sheet, ink = _sheet(rng, 112, 112)
    cells = int(rng.integers(10, 28))
    return _inked(sheet, ink, rng.random((cells, cells)) < 0.5, 8)


def _data_matrix(rng: np.random.Generator) -> Drawing:
    sheet, ink = _sheet(rng, 112, 112)
    cells = 2 * int(rng.integers(5, 12))
    dark = rng.random((cells, cells)) < 0.5
    dark[0], dark[:, -1] = np.arange(cells) % 2 == 0, np.arange(cells) % 2 == 1
    dark[:, 0] = dark[-1] = True
    return _inked(sheet, ink, dark, 8)


def _checkerboard(rng: np.random.Generator) -> Drawing:
    sheet, ink = _sheet(rng, 112, 112)
    cells = int(rng.integers(4, 14))
    return _inked(sheet, ink, np.indices((cells, cells)).sum(axis=0) % 2 == 0, int(rng.integers(0, 12)))


def _nested_squares(rng: np.random.Generator) -> Drawing:
    # Rings of one width: a finder pattern's are 1:1:3:1:1, and one of those alone would be no distractor.
    sheet, ink = _sheet(rng, 96, 96)
    rings, line = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    for ring in range(rings):
        near = 6 + ring * 42 // rings
        cv2.rectangle(sheet, (near, near), (95 - near, 95 - near), ink, line)
    return sheet


def _circles(rng: np.random.Generator) -> Drawing:
    sheet, ink = _sheet(rng, 96, 96)
    for radius in range(int(rng.integers(4, 12)), 44, int(rng.integers(7, 16))):
        cv2.circle(sheet, (48, 48), radius, ink, int(rng.choice([2, 4, -1])), cv2.LINE_AA)
    return sheet


def _text(rng: np.random.Generator) -> Drawing:
    sheet, ink = _sheet(rng, 80, 140)
    height = int(rng.integers(8, 26))
    for bottom in range(height + 6, 78, height + int(rng.integers(5, 12))):
        write_line(sheet, words(rng, 14), (6, bottom), height, ink, int(rng.integers(0, 5)))
    return sheet


def _keys(rng: np.random.Generator) -> Drawing:
    sheet, ink = _sheet(rng, 96, 96)
    count = int(rng.integers(3, 6))
    step = 96 // count
    for row, column in np.ndindex(count, count):
        left, top = column * step + 3, row * step + 3
        cv2.rectangle(sheet, (left, top), (left + step - 6, top + step - 6), ink, int(rng.choice([-1, 2])))
    return sheet


_KINDS: tuple[Callable[[np.random.Generator], Drawing], ...] = (
    _bar_code,
    _random_modules,
    _data_matrix,
    _checkerboard,
    _nested_squares,
    _circles,
    _text,
    _keys,
)


def distractor(rng: np.random.Generator) -> Drawing:
    """Return a drawing, about 100 pixels wide, of something that is no QR code and holds no finder pattern."""
    return _KINDS[rng.integers(len(_KINDS))](rng)
