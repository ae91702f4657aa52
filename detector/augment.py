"""Random changes of a training image and its boxes, each a pure function of a seed (plain numpy and OpenCV)."""

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.augment_degrade import degraded
from detector.augment_warp import bends, corner_outlines, placed, random_bend, seen_boxes, turns, warped
from detector.letterbox import Placement, letterbox, place
from detector.settings import Settings

LEAST_VISIBLE: Final = 0.4
"""Share of a box's area that must stay in the canvas for it to be learnt; own choice, half a code is no code."""
LEAST_SIDE: Final = 2.0
"""Pixels; a box with a shorter side at the network's input carries nothing to see."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image as the network gets it: `picture` (H, W, 3) uint8; boxes (N, 4) xyxy input pixels, `class_id` (N,)."""

    picture: NDArray[np.uint8]
    xyxy: NDArray[np.float64]
    class_id: NDArray[np.int64]


def ignored_class(class_id: NDArray[np.int64], ignored: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the (N,) class ids as samples hold them: those of ignored boxes are below -1. It is its own inverse."""
    return np.where(ignored, -2 - class_id, class_id)


def plain_sample(
    picture: NDArray[np.uint8], xyxy: NDArray[np.float64], class_id: NDArray[np.int64], canvas: tuple[int, int]
) -> Sample:
    """Return the picture letterboxed into a (height, width) canvas with its (N, 4) xyxy pixel boxes, unchanged else."""
    placement = letterbox(picture.shape[1], picture.shape[0], canvas)
    return Sample(place(picture, placement, canvas), placement.forward(xyxy), class_id)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A picture (H, W, 3) with its truth before it is put into the input: boxes (N, 4) xyxy in its own pixels.

    `class_id` is (N,), as in `Sample`; `outline` (N, K, 2) are convex outlines of the objects, `outlined` tells that
    they are known. Without them the boxes' corners are taken.
    """

    picture: NDArray[np.uint8]
    xyxy: NDArray[np.float64]
    class_id: NDArray[np.int64]
    outline: NDArray[np.float64]
    outlined: bool

    @classmethod
    def of_boxes(cls, picture: NDArray[np.uint8], xyxy: NDArray[np.float64], class_id: NDArray[np.int64]) -> Self:
        """Return the picture with objects of which the boxes alone are known; without any nothing is unknown."""
        return cls(picture, xyxy, class_id, corner_outlines(xyxy), not len(xyxy))


def moved_sample(source: Source, canvas: tuple[int, int], settings: Settings, rng: np.random.Generator) -> Sample:
    """Return the picture turned, mirrored, resized, shifted and bent at random in a (height, width) canvas.

    Parts and objects move together; a box that the edge cuts below LEAST_VISIBLE of its area is left out.
    """
    quarters = int(rng.integers(4)) if settings.rotate else 0
    mirror = bool(rng.integers(2)) if settings.flip else False
    height, width = source.picture.shape[:2]
    turned_size = (height, width) if quarters % 2 else (width, height)
    placement = _random_placement(*turned_size, canvas, settings, rng)
    if bends(settings):
        onto = placed(placement) @ turns(width, height, quarters, mirror=mirror)
        onto = random_bend(placement, settings, rng, outlined=source.outlined) @ onto
        picture = warped(source.picture, onto, canvas)
        moved, share = seen_boxes(source.outline, onto, canvas)
        kept = enough_seen(moved, share)
    else:
        picture, xyxy = turned(source.picture, source.xyxy, quarters, mirror=mirror)
        picture = place(picture, placement, canvas)
        moved, kept = visible_boxes(placement.forward(xyxy), canvas)
    return Sample(picture, moved[kept], source.class_id[kept])


def finished(sample: Sample, settings: Settings, rng: np.random.Generator) -> Sample:
    """Return the sample with its picture degraded and recoloured at random."""
    picture = recoloured(degraded(sample.picture, settings, rng), settings.colour, rng)
    return Sample(picture, sample.xyxy, sample.class_id)


def turned(
    picture: NDArray[np.uint8], xyxy: NDArray[np.float64], quarters: int, *, mirror: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the picture (H, W, 3) and its (N, 4) boxes after quarter turns counter-clockwise, and then mirroring."""
    # OpenCV's own turns: to copy a turned view of numpy's takes ten times as long.
    for _ in range(quarters):
        xyxy = quarter_turn(xyxy, picture.shape[1])
        picture = np.asarray(cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE), np.uint8)
    if mirror:
        xyxy = mirrored(xyxy, picture.shape[1])
        picture = np.asarray(cv2.flip(picture, 1), np.uint8)
    return picture, xyxy


def quarter_turn(xyxy: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return (N, 4) xyxy boxes after the picture of this width was turned a quarter counter-clockwise (`np.rot90`)."""
    return np.stack([xyxy[:, 1], width - xyxy[:, 2], xyxy[:, 3], width - xyxy[:, 0]], axis=1)


def mirrored(xyxy: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return (N, 4) xyxy boxes after the picture of this width was mirrored left to right."""
    return np.stack([width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]], axis=1)


def _random_placement(
    width: int, height: int, canvas: tuple[int, int], settings: Settings, rng: np.random.Generator
) -> Placement:
    fitted = letterbox(width, height, canvas)
    # Even in the logarithm, so that halving is as likely as doubling.
    factor = float(np.exp(rng.uniform(*np.log(settings.scale))))
    new_width, new_height = (max(1, round(side * factor)) for side in (fitted.new_width, fitted.new_height))
    # Wherever the picture is smaller it lies inside the canvas, wherever larger the canvas lies inside it.
    slack_x, slack_y = canvas[1] - new_width, canvas[0] - new_height
    left, top = (int(rng.integers(min(slack, 0), max(slack, 0) + 1)) for slack in (slack_x, slack_y))
    return Placement(width, height, new_width, new_height, left, top)


def visible_boxes(xyxy: NDArray[np.float64], canvas: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the (N, 4) boxes cut at the (height, width) canvas, and (N,) whether enough of each is left to learn."""
    cut = np.clip(xyxy, 0.0, np.array([canvas[1], canvas[0]] * 2, np.float64))
    sides, whole = cut[:, 2:] - cut[:, :2], xyxy[:, 2:] - xyxy[:, :2]
    share = sides.prod(axis=1) / np.maximum(whole.prod(axis=1), 1e-9)
    return cut, enough_seen(cut, share)


def enough_seen(cut: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N,) whether boxes (N, 4) show enough to be learnt, of which a (N,) share of the area was not cut off."""
    shorter = (cut[:, 2:] - cut[:, :2]).min(axis=1, initial=np.inf)
    return np.asarray((share >= LEAST_VISIBLE) & (shorter >= LEAST_SIDE))


def recoloured(picture: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the (H, W, 3) picture with random gain, offset and gamma a channel, and sometimes grey or blurred."""
    if strength == 0:
        return picture
    gamma = float(np.exp(rng.normal(0.0, strength)))
    gain = float(np.exp(rng.normal(0.0, strength / 2))) * np.exp(rng.normal(0.0, strength / 4, 3))
    offset = rng.normal(0.0, 25.0 * strength)
    ramp = np.linspace(0.0, 1.0, 256) ** gamma * 255.0
    # One table a channel: a look-up costs a tenth of the arithmetic on every pixel.
    table = np.clip(ramp[:, None] * gain + offset, 0, 255).astype(np.uint8)
    changed = cv2.LUT(picture, table[None])
    grey, blur = rng.random(2)
    if grey < strength / 3:
        changed = cv2.cvtColor(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if blur < strength / 3:
        changed = cv2.GaussianBlur(changed, (0, 0), float(rng.uniform(0.4, 1.2)))
    return np.asarray(changed, np.uint8)
