"""Backgrounds of the drawn scenes: (H, W, 3) float32 RGB 0..255 pictures of what codes lie on, made of noise and lines.

Lengths scale with the picture: `unit` is the pixels that one pixel of a 256 pixel scene becomes.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.scene_planes import pasted, pose

Picture = NDArray[np.float32]
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
_LETTERS = np.array(list("ABCDEFGHIKLMNOPRSTUVWabcdefghiklmnoprstuvwxyz0123456789.,:-/"))


def colour(
    rng: np.random.Generator, darkest: float = 20, lightest: float = 235, tint: float = 14
) -> NDArray[np.float32]:
    """Return a (3,) RGB colour whose grey lies between the two bounds; its channels differ by about `tint`."""
    channels = rng.uniform(darkest, lightest) + rng.normal(0, tint, 3)
    return np.asarray(np.clip(channels, 0, 255), np.float32)


def words(rng: np.random.Generator, length: int) -> str:
    """Return about `length` random letters, digits and spaces."""
    letters = rng.choice(_LETTERS, length)
    letters[rng.random(length) < 0.16] = " "
    return "".join(letters)


def write_line(
    canvas: NDArray[np.uint8], text: str, corner: tuple[int, int], height: float, ink: Sequence[float], font: int
) -> None:
    """Draw `text` on an (H, W, 3) canvas in place; `corner` is its lower left, `height` that of capitals in pixels."""
    # Capitals of OpenCV's fonts are 21 to 22 pixels high at scale 1.
    thickness = max(1, round(height / 8))
    cv2.putText(canvas, text, corner, font, height / 21, ink, thickness, cv2.LINE_AA)


def _mixed(t: NDArray[np.float32], first: NDArray[np.float32], second: NDArray[np.float32]) -> Picture:
    # One channel after the other: numpy is slow along an axis of three.
    channels = [start + t * step for start, step in zip(first, second - first, strict=True)]
    return np.asarray(cv2.merge(channels), np.float32)


def _two_colours(rng: np.random.Generator, spread: float = 90) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    first = colour(rng)
    second = np.clip(first + rng.uniform(-spread, spread) + rng.normal(0, 14, 3), 0, 255)
    return first, second.astype(np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Return (H, W) smooth noise around 0, with about `cells` bumps across."""
    coarse = rng.standard_normal((cells, cells), np.float32)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _clouds(rng: np.random.Generator, size: tuple[int, int], roughness: float) -> NDArray[np.float32]:
    """Return (H, W) noise of several scales in 0..1; `roughness` is the weight of each finer scale."""
    total = np.zeros(size[::-1], np.float32)
    for octave, cells in enumerate((4, 10, 26, 70)):
        total += np.float32(roughness**octave) * _noise(rng, size, cells)
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6), np.float32)


def _ramp(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return (H, W) values in 0..1 that rise in a random direction."""
    width, height = size
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(np.cos(angle))
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(np.sin(angle))
    return np.asarray((y[:, None] + x) / np.sqrt(2) + 0.5, np.float32)


def _gradient(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    return _mixed(_ramp(rng, size), *_two_colours(rng))


def _cloudy(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    return _mixed(_clouds(rng, size, rng.uniform(0.3, 0.9)), *_two_colours(rng, 120))


def _wood(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    rings = rng.uniform(5, 22) * _ramp(rng, size) + rng.uniform(0.2, 1.0) * _noise(rng, size, 5)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * rings) + 0.3 * _noise(rng, size, 64)
    return _mixed(grain.astype(np.float32), *_two_colours(rng, 50))


def _cloth(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    waves = [np.sin(2 * np.pi * rng.uniform(6, 40) * _ramp(rng, size)) for _ in range(rng.integers(1, 3))]
    threads = sum(waves) / len(waves)
    if rng.random() < 0.5:
        threads = np.sign(threads)
    return _mixed((0.5 + 0.5 * threads).astype(np.float32), *_two_colours(rng, 70))


def _blobs(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    canvas = _cloudy(rng, size, unit)
    for _ in range(rng.integers(6, 30)):
        centre = rng.uniform((0, 0), size).astype(int).tolist()
        axes = np.maximum(1, rng.uniform(3, 40, 2) * unit).astype(int).tolist()
        cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, colour(rng).tolist(), -1, cv2.LINE_8)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), max(0.3, rng.uniform(0.5, 8) * unit)), np.float32)


def _packages(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    canvas = _gradient(rng, size, unit)
    for _ in range(rng.integers(4, 14)):
        face = np.empty((24, 40, 3), np.uint8)
        face[:] = colour(rng)
        cv2.rectangle(face, (2, 3), (int(rng.integers(6, 38)), int(rng.integers(6, 22))), colour(rng).tolist(), -1)
        write_line(face, words(rng, 6), (3, 20), rng.uniform(5, 12), colour(rng).tolist(), int(rng.choice(_FONTS)))
        to_picture = pose(rng, rng.uniform(30, 130) * unit, 0.5, rng.normal(0, 0.3), rng.uniform((0, 0), size))
        canvas = pasted(canvas, face, to_picture @ np.array([[1 / 40, 0, -0.5], [0, 1 / 40, -0.3], [0, 0, 1]]))
    return canvas


def _tiles(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    cells = int(rng.integers(4, 12))
    first, second = _two_colours(rng)
    floor = np.empty((cells * 32, cells * 32, 3), np.float32)
    floor[:] = first
    alternate = rng.random() < 0.3
    for row, column in np.ndindex(cells, cells):
        shade = second - first if alternate and (row + column) % 2 else rng.normal(0, 6, 3)
        floor[row * 32 : row * 32 + 30, column * 32 : column * 32 + 30] += shade.astype(np.float32) + 15
    far = max(size) * 2.2
    to_picture = pose(rng, far, 0.7, rng.uniform(0, 6.3), np.array(size) / 2)
    scaled = np.array([[1 / len(floor), 0, -0.5], [0, 1 / len(floor), -0.5], [0, 0, 1]])
    return pasted(_gradient(rng, size, unit), np.clip(floor, 0, 255).astype(np.uint8), to_picture @ scaled)


def _page(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    page = np.empty((360, 360, 3), np.uint8)
    page[:] = colour(rng, 190, 250)
    ink, font = colour(rng, 10, 90).tolist(), int(rng.choice(_FONTS))
    height, y = rng.uniform(5, 10), 20.0
    while y < 350:
        tall = height * (2 if rng.random() < 0.1 else 1)
        y += tall * rng.choice([1.7, 1.7, 1.7, 3.5])
        write_line(page, words(rng, int(rng.integers(10, 60))), (int(rng.integers(10, 30)), int(y)), tall, ink, font)
    to_picture = pose(rng, max(size) * rng.uniform(0.9, 1.6), 0.5, rng.normal(0, 0.4), np.array(size) / 2)
    return pasted(
        _cloudy(rng, size, unit), page, to_picture @ np.array([[1 / 360, 0, -0.5], [0, 1 / 360, -0.5], [0, 0, 1]])
    )


def _desk(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    canvas = _wood(rng, size, unit)
    edge = int(size[1] * rng.uniform(0.15, 0.5))
    canvas[:edge] = _gradient(rng, (size[0], edge), unit)
    for _ in range(rng.integers(1, 6)):
        corners = rng.uniform((0, 0), size) + rng.uniform(-35, 35, (int(rng.integers(3, 6)), 2)) * unit
        hull = cv2.convexHull(corners.astype(np.int32))
        shadow = np.asarray(hull + round(3 * unit), np.int32)
        cv2.fillConvexPoly(canvas, shadow, (canvas.mean(axis=(0, 1)) * 0.5).tolist(), cv2.LINE_8)
        cv2.fillConvexPoly(canvas, hull, colour(rng).tolist(), cv2.LINE_8)
    return canvas


_KINDS: tuple[Callable[[np.random.Generator, tuple[int, int], float], Picture], ...] = (
    _gradient,
    _cloudy,
    _wood,
    _cloth,
    _blobs,
    _packages,
    _tiles,
    _page,
    _desk,
)


def surface(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Picture:
    """Return an (H, W, 3) background of a random kind for a picture of `size` (width, height)."""
    canvas = _KINDS[rng.integers(len(_KINDS))](rng, size, unit)
    # Nothing that a camera sees is wholly smooth.
    fine = _noise(rng, size, max(8, min(size) // 3)) * np.float32(rng.uniform(0, 7))
    return np.asarray(canvas + cv2.cvtColor(fine, cv2.COLOR_GRAY2RGB), np.float32)
