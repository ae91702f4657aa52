"""Planes in space: what is pasted lies where `projected` says, to a fraction of a pixel."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotations.scene_planes import envelope, pasted, pose, projected, rectangle

SIZE = 200


def white_plane(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the coverage (H, W) in 0..1 of a white 360 x 360 drawing, 90 pixels wide, and its projected corners."""
    rng = np.random.default_rng(seed)
    onto = pose(rng, 90, 0.9, rng.uniform(0, 6.3), np.array([100.0, 103.0]))
    onto = onto @ np.array([[1 / 360, 0, -0.5], [0, 1 / 360, -0.5], [0, 0, 1]])
    canvas = pasted(np.zeros((SIZE, SIZE, 3), np.float32), np.full((360, 360, 3), 255, np.uint8), onto)
    return canvas[..., 0] / 255, projected(onto, rectangle(0, 0, 360, 360))


@pytest.mark.parametrize("seed", range(12))
def test_pasted_plane_fills_the_projected_outline(seed: int) -> None:
    coverage, corners = white_plane(seed)
    moments = cv2.moments(corners.astype(np.float32))
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    y, x = np.indices(coverage.shape) + 0.5
    found = np.array([(x * coverage).sum(), (y * coverage).sum()]) / coverage.sum()
    # Half a pixel off, the usual mistake with warps, would show here tenfold.
    np.testing.assert_allclose(found, centre, atol=0.05)
    assert coverage.sum() == pytest.approx(moments["m00"], rel=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_envelope_of_projected_corners_is_tight(seed: int) -> None:
    coverage, corners = white_plane(seed)
    rows, columns = np.flatnonzero(coverage.max(axis=1) > 0), np.flatnonzero(coverage.max(axis=0) > 0)
    drawn = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    np.testing.assert_allclose(drawn, envelope(corners), atol=1.0)


def test_pasted_outside_the_picture_changes_nothing() -> None:
    canvas = np.full((20, 30, 3), 7, np.float32)
    away = np.array([[1, 0, 500], [0, 1, 500], [0, 0, 1]], np.float64)
    np.testing.assert_array_equal(pasted(canvas.copy(), np.zeros((5, 5, 3), np.uint8), away), canvas)


def test_pasted_across_the_border_is_cut_off() -> None:
    across = np.array([[1, 0, -3], [0, 1, -2], [0, 0, 1]], np.float64)
    canvas = pasted(np.zeros((20, 30, 3), np.float32), np.full((5, 5, 3), 200, np.uint8), across)
    # 2 x 3 pixels are inside; the outermost are blended with the ground.
    assert canvas[:2, 0].min() > 199
    assert canvas[4:].max() == 0
    assert canvas[:, 3:].max() == 0


def test_opacity_lets_the_ground_shine_through() -> None:
    canvas = pasted(np.full((9, 9, 3), 100, np.float32), np.full((9, 9, 3), 200, np.uint8), np.eye(3), opacity=0.25)
    np.testing.assert_allclose(canvas[4, 4], 125, atol=0.01)
