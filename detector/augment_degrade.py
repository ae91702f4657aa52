"""What a poor camera does to a training picture: light, blur, motion, noise, JPEG. Nothing here moves a point.

Each has a probability and a strength from 0 to 1. Numpy and OpenCV, and no library of augmentations: Albumentations
draws from a generator of its own for a whole pipeline, so that one more change would change all the others' draws, and
the boxes, parts and outlines would have to be carried through it and back.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.scene_camera import motion_kernel, shadow, through_jpeg, with_grain
from detector.settings import Settings

Picture = NDArray[np.uint8]


def lit(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Return the (H, W, 3) picture with light that falls off to one side, and sometimes a shadow across it."""
    height, width = picture.shape[:2]
    slope = rng.uniform(-0.4, 0.4, 2) * strength
    corners = 1 + np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) @ slope
    light = cv2.resize(corners.reshape(2, 2).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        dark = shadow(rng, width, height)
        light = light * (1 - np.float32(strength) * (1 - dark))
    field = cv2.cvtColor(np.asarray(light, np.float32), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.multiply(picture, field, dtype=cv2.CV_8U), np.uint8)


def blurred(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Return the (H, W, 3) picture out of focus: a Gaussian of up to 3 pixels at strength 1."""
    sigma = float(rng.uniform(0.3, max(0.3, 3 * strength)))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def shaken(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Return the (H, W, 3) picture as if the camera had moved: by up to 13 pixels at strength 1."""
    return np.asarray(cv2.filter2D(picture, -1, motion_kernel(rng, 2 * strength)), np.uint8)


def noisy(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Return the (H, W, 3) picture with grey noise of a standard deviation up to 40 at strength 1."""
    return with_grain(picture.astype(np.float32), float(rng.uniform(0, 40 * strength)), rng)


def compressed(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Return the (H, W, 3) picture through JPEG of quality 95 down to 10 at strength 1."""
    return through_jpeg(picture, round(rng.uniform(95 - 85 * strength, 95)))


_CHANGES: Final[tuple[tuple[str, Callable[[Picture, float, np.random.Generator], Picture]], ...]] = (
    ("light", lit),
    ("blur", blurred),
    ("motion_blur", shaken),
    ("noise", noisy),
    ("jpeg", compressed),
)
"""The settings, each (probability, strength), in the order in which light, lens, sensor and file change a picture."""


def degraded(picture: Picture, settings: Settings, rng: np.random.Generator) -> Picture:
    """Return the (H, W, 3) picture changed by each kind that the settings ask for, each with its probability."""
    for name, change in _CHANGES:
        probability, strength = getattr(settings, name)
        # Nothing is drawn for what is off, so that the others' draws stay.
        if probability and rng.random() < probability and strength:
            picture = change(picture, strength, rng)
    return picture
