"""Turning by any angle, shear and perspective of a picture with its boxes, in one interpolation (numpy and OpenCV).

A box stands for an outline: what is drawn round the moved outline is the moved box. Where the outline is not known the
box's corners are it, and boxes grow: a square's by 16 % at 10 degrees, by 41 % at 45, and only half of the area of that
is the object. So `box_angle` bounds the turn of a picture with such boxes.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.scene_planes import by_index, envelope, projected
from detector.letterbox import GREY, Placement
from detector.settings import Settings

Homography = NDArray[np.float64]
_ROUND: Final = 32
"""Points of a circle's outline; its box is too small by at most 0.5 % of it in between."""


def corner_outlines(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (N, 4, 2) corners of (N, 4) boxes."""
    return xyxy[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]


def round_outlines(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 32, 2) points of the ellipses that fill (N, 4) boxes."""
    angle = np.arange(_ROUND) * (2 * np.pi / _ROUND)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle, half = (xyxy[:, None, :2] + xyxy[:, None, 2:]) / 2, (xyxy[:, None, 2:] - xyxy[:, None, :2]) / 2
    return np.asarray(middle + half * circle)


def turns(width: int, height: int, quarters: int, *, mirror: bool) -> Homography:
    """Return what quarter turns counter-clockwise, and then mirroring, make of points of a picture of this size."""
    total = np.eye(3)
    for _ in range(quarters):
        total = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width], [0.0, 0.0, 1.0]]) @ total
        width, height = height, width
    return np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ total if mirror else total


def placed(placement: Placement) -> Homography:
    """Return what a placement does, as a homography."""
    x, y = placement.new_width / placement.width, placement.new_height / placement.height
    return np.array([[x, 0.0, placement.left], [0.0, y, placement.top], [0.0, 0.0, 1.0]])


def bends(settings: Settings) -> bool:
    """Return whether the settings ask for more than quarter turns, mirroring, scale and shift."""
    return max(settings.angle, settings.shear, settings.perspective) > 0


def random_bend(placement: Placement, settings: Settings, rng: np.random.Generator, *, outlined: bool) -> Homography:
    """Return a random turn, shear and perspective round the middle of a placed picture.

    `outlined` tells that all its boxes' outlines are known. Perspective makes one side of the picture at most
    (1 + p) / (1 - p) times as large as the other along each axis together; the horizon stays outside it.
    """
    most = settings.angle if outlined else min(settings.angle, settings.box_angle)
    angle = np.deg2rad(rng.uniform(-most, most))
    shear_x, shear_y = np.tan(np.deg2rad(rng.uniform(-settings.shear, settings.shear, 2)))
    lean = rng.uniform(-settings.perspective, settings.perspective, 2) / (placement.new_width, placement.new_height)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bend = np.eye(3)
    bend[:2, :2] = turned @ np.array([[1.0, shear_x], [shear_y, 1.0]])
    bend[2, :2] = lean
    middle = np.array([placement.left + placement.new_width / 2, placement.top + placement.new_height / 2])
    return _shift(middle) @ bend @ _shift(-middle)


def _shift(by: NDArray[np.float64]) -> Homography:
    return np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]], [0.0, 0.0, 1.0]])


def warped(picture: NDArray[np.uint8], homography: Homography, canvas: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the (height, width, 3) canvas with the picture seen through a homography, padded with GREY."""
    height, width = picture.shape[:2]
    shrink = min(1.0, _magnification(homography, width / 2, height / 2))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    if size != (width, height):
        # Averaging when shrinking: bilinear sampling would skip pixels and turn fine modules into noise.
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        homography = homography @ np.diag([width / size[0], height / size[1], 1.0])
    by_number, border = by_index(homography), (GREY, GREY, GREY)
    if homography[2, 0] == homography[2, 1] == 0:
        affine = by_number[:2] / by_number[2, 2]
        return np.asarray(cv2.warpAffine(picture, affine, canvas[::-1], borderValue=border), np.uint8)
    return np.asarray(cv2.warpPerspective(picture, by_number, canvas[::-1], borderValue=border), np.uint8)


def _magnification(homography: Homography, x: float, y: float) -> float:
    """Return by how much lengths grow on average at (x, y)."""
    point = homography @ (x, y, 1.0)
    derivative = (homography[:2, :2] * point[2] - np.outer(point[:2], homography[2, :2])) / point[2] ** 2
    return float(np.sqrt(abs(np.linalg.det(derivative))))


def seen_boxes(
    outlines: NDArray[np.float64], homography: Homography, canvas: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (N, 4) boxes of convex outlines (N, K, 2) through a homography, cut at the (height, width) canvas.

    And (N,) the share of the area of each that lies in the canvas; where that is 0 the box is (0, 0, 0, 0).
    """
    moved = projected(homography, outlines.reshape(-1, 2)).reshape(outlines.shape)
    low, high = moved.min(axis=1, initial=np.inf), moved.max(axis=1, initial=-np.inf)
    boxes, share = np.concatenate([low, high], axis=1), np.ones(len(moved))
    inside = (low >= 0).all(axis=1) & (high <= (canvas[1], canvas[0])).all(axis=1)
    for row in np.flatnonzero(~inside).tolist():
        left = _within(moved[row], canvas)
        share[row] = _area(left) / max(_area(moved[row]), 1e-9)
        boxes[row] = envelope(left) if len(left) else 0.0
    return boxes, share


def _area(outline: NDArray[np.float64]) -> float:
    """Return the area inside an outline (K, 2), K from 0."""
    x, y = outline.T - outline.mean(axis=0)[:, None] if len(outline) else np.zeros((2, 0))
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _within(outline: NDArray[np.float64], canvas: tuple[int, int]) -> NDArray[np.float64]:
    """Return the part (M, 2) of a convex outline (K, 2) in the canvas; M may be 0.

    Source: Sutherland & Hodgman 1974, "Reentrant polygon clipping".
    """
    for axis, sign, edge in ((0, 1, 0.0), (1, 1, 0.0), (0, -1, -canvas[1]), (1, -1, -canvas[0])):
        depth = sign * outline[:, axis] - edge
        after = np.roll(depth, -1)
        crossing = (depth < 0) != (after < 0)
        # The shares of the way to the next point at which the edge lies; of use only where there is a crossing.
        share = np.where(crossing, depth / np.where(crossing, depth - after, 1.0), 0.0)[:, None]
        cut = outline + share * (np.roll(outline, -1, axis=0) - outline)
        kept = np.stack([depth >= 0, crossing], axis=1).ravel()
        outline = np.stack([outline, cut], axis=1).reshape(-1, 2)[kept]
    return outline
