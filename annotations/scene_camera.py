"""What a camera does to a scene: light and shadow, blur, sensor noise, JPEG. Nothing here moves a point."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]


def _lit(picture: Picture, rng: np.random.Generator, difficulty: float) -> Picture:
    height, width = picture.shape[:2]
    coarse = np.ones((4, 4), np.float32) * np.float32(rng.uniform(0.75, 1.1))
    slope = rng.uniform(-1, 1, 2) * 0.4 * difficulty
    coarse += (np.linspace(-1, 1, 4)[:, None] * slope[0] + np.linspace(-1, 1, 4) * slope[1]).astype(np.float32)
    light = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    if rng.random() < 0.5 * difficulty:
        light *= shadow(rng, width, height)
    cast = (1 + rng.normal(0, 0.05, 3)).astype(np.float32)
    light = np.maximum(light, np.float32(0.3))
    return np.asarray(picture * cv2.merge([light * channel for channel in cast]), np.float32)


def shadow(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Return (H, W) factors: 1 in the light, less on one side of a soft edge."""
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(np.sin(angle))
    side = (y[:, None] + x + np.float32(rng.uniform(-0.6, 0.6))) * np.float32(rng.uniform(4, 30))
    return np.asarray(1 - np.float32(rng.uniform(0.15, 0.5)) * np.clip(side + 0.5, 0, 1), np.float32)


def _blurred(picture: Picture, rng: np.random.Generator, unit: float, difficulty: float) -> Picture:
    sigma = unit * rng.uniform(0.1, 0.4 + 1.4 * difficulty * rng.random())
    if sigma > 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    if rng.random() < 0.25 * difficulty:
        picture = np.asarray(cv2.filter2D(picture, -1, motion_kernel(rng, unit)), np.float32)
    return picture


def motion_kernel(rng: np.random.Generator, unit: float) -> NDArray[np.float32]:
    """Return a kernel of a straight movement, symmetric: it moves nothing."""
    reach = max(1, round(rng.uniform(1, 3) * unit))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    angle = rng.uniform(0, np.pi)
    x, y = round(reach * np.cos(angle)), round(reach * np.sin(angle))
    cv2.line(kernel, (reach - x, reach - y), (reach + x, reach + y), 1)
    both = (kernel + kernel[::-1, ::-1]).astype(np.float32)
    return np.asarray(both / both.sum(), np.float32)


def with_grain(picture: Picture, strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the (H, W, 3) picture 0..255 with noise of this standard deviation, alike in all channels."""
    # Grey noise: cameras smooth the colours' away.
    grain = np.float32(strength) * rng.standard_normal(picture.shape[:2], np.float32)
    return np.asarray(np.clip(picture + cv2.cvtColor(grain, cv2.COLOR_GRAY2RGB), 0, 255), np.uint8)


def through_jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB picture as a JPEG file of this quality, 1 to 100, gives it back."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


def photographed(picture: Picture, rng: np.random.Generator, unit: float, difficulty: float) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB photograph of a scene (H, W, 3) 0..255; `difficulty` in 0..1 makes it worse."""
    picture = _blurred(_lit(picture, rng, difficulty), rng, unit, difficulty)
    sensed = with_grain(picture, rng.uniform(0, 2 + 12 * difficulty * rng.random()), rng)
    return through_jpeg(sensed, int(rng.uniform(95 - 60 * difficulty, 96)))
