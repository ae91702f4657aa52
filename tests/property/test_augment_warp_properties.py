"""Turned, sheared and tilted pictures: boxes go where their pixels go, at any angle and cut at any edge."""

import cv2
import numpy as np
from detector_samples import quarter_boxes
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.augment import Sample, Source, mirrored, moved_sample, quarter_turn, visible_boxes
from detector.augment_warp import corner_outlines, placed, round_outlines, seen_boxes, turns, warped
from detector.letterbox import letterbox, place
from detector.settings import Settings

CANVAS = (96, 128)
BENT = Settings(input=CANVAS, angle=180.0, box_angle=180.0, shear=15.0, perspective=0.3, scale=(0.7, 1.4), colour=0.0)
seeds = st.integers(0, 2**32)


def extent(mask: NDArray[np.bool_]) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def moved(picture: NDArray[np.uint8], boxes: list[list[float]], seed: int, settings: Settings = BENT) -> Sample:
    source = Source.of_boxes(picture, np.array(boxes, np.float64).reshape(-1, 4), np.arange(len(boxes)))
    return moved_sample(source, settings.input, settings, np.random.default_rng(seed))


@given(seeds, st.integers(0, 100), st.integers(0, 80))
def test_a_bent_box_is_the_box_of_its_bent_pixels(seed: int, left: int, top: int) -> None:
    # Four times the input's size: whole pixels here are quarters there.
    picture = np.zeros((4 * 90, 4 * 120, 3), np.uint8)
    box = [160 + left, 120 + top, 300 + left, 240 + top]
    picture[box[1] : box[3], box[0] : box[2], 0] = 255
    sample = moved(picture, [box], seed)
    # Red on black in grey padding. A quarter of the red marks its edge: of a corner's last pixel less is covered.
    seen = sample.picture[..., 0].astype(int) - sample.picture[..., 1] > 64
    if len(sample.xyxy):
        # A pixel, and a little more where blur hides the tip of a pointed corner: once in some thousand draws.
        assert np.abs(sample.xyxy[0] - extent(seen)).max() <= 1.1


@given(seeds)
def test_parts_stay_inside_their_bent_objects(seed: int) -> None:
    boxes = [[40.0, 30.0, 80.0, 70.0], [42.25, 32.0, 54.0, 44.5], [68.0, 57.75, 80.0, 70.0]]
    sample = moved(np.zeros((90, 120, 3), np.uint8), boxes, seed)
    if 0 in sample.class_id:
        whole = sample.xyxy[sample.class_id == 0][0]
        assert (sample.xyxy[:, :2] >= whole[:2] - 1e-6).all()
        assert (sample.xyxy[:, 2:] <= whole[2:] + 1e-6).all()


@given(seeds)
def test_bent_samples_are_a_function_of_the_generator(seed: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    first, again = (moved(picture, [[10, 10, 40, 30]], seed) for _ in range(2))
    np.testing.assert_array_equal(first.picture, again.picture)
    np.testing.assert_array_equal(first.xyxy, again.xyxy)


@given(quarter_boxes(70, 50), st.integers(0, 3), st.booleans())
def test_turns_as_a_matrix_are_the_turns_of_boxes(boxes: NDArray[np.float64], quarters: int, mirror: bool) -> None:
    expected, width, height = boxes, 70, 50
    for _ in range(quarters):
        expected, width, height = quarter_turn(expected, width), height, width
    expected = mirrored(expected, width) if mirror else expected
    found, share = seen_boxes(corner_outlines(boxes), turns(70, 50, quarters, mirror=mirror), (200, 200))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(share, np.ones(len(boxes)))


@given(quarter_boxes(100, 100))
def test_without_a_bend_boxes_are_cut_as_upright_ones(boxes: NDArray[np.float64]) -> None:
    shift = np.array([[1.0, 0.0, -20.0], [0.0, 1.0, -20.0], [0.0, 0.0, 1.0]])
    found, share = seen_boxes(corner_outlines(boxes), shift, (50, 60))
    cut, _ = visible_boxes(boxes - 20, (50, 60))
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    np.testing.assert_allclose(share, (cut[:, 2:] - cut[:, :2]).prod(axis=1) / area, atol=1e-9)
    inside = share > 0
    np.testing.assert_allclose(found[inside], cut[inside], atol=1e-9)


@given(seeds)
def test_the_share_that_is_seen_is_that_of_the_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle, half, angle = rng.uniform(-10, 90, 2), rng.uniform(10, 40, 2), rng.uniform(0, np.pi)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = middle + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ turned.T
    boxes, share = seen_boxes(corners[None], np.eye(3), (64, 80))
    # Sixteen samples a pixel, by the sign of their distance to each edge.
    y, x = (np.mgrid[0 : 4 * 64, 0 : 4 * 80] + 0.5) / 4
    inside = (np.abs((np.stack([x, y], axis=-1) - middle) @ turned) <= half).all(axis=-1)
    assert abs(share[0] - inside.sum() / 16 / (4 * half.prod())) <= 0.01
    if inside.any() and share[0] > 0.05:
        sampled = np.array(extent(inside)) / 4
        assert (boxes[0, :2] <= sampled[:2] + 0.25).all() and (boxes[0, 2:] >= sampled[2:] - 0.25).all()
        # Samples pass over a pointed tip: what is seen must reach each side of its box.
        for side, (axis, inward) in enumerate([(0, 1), (1, 1), (0, -1), (1, -1)]):
            low, high = along(axis, boxes[0, side] + inward * 1e-6, middle, half, turned)
            assert max(low, 0.0) <= min(high, (64.0, 80.0)[axis]) + 1e-3


def along(
    axis: int, at: float, middle: NDArray[np.float64], half: NDArray[np.float64], turned: NDArray[np.float64]
) -> tuple[float, float]:
    """Return from where to where a turned rectangle lies on the line on which one coordinate is `at`."""
    low, high = -np.inf, np.inf
    for direction, most in zip(turned.T, half, strict=True):
        # |direction . (p - middle)| <= most
        ends = (np.array([-most, most]) - direction[axis] * (at - middle[axis])) / direction[1 - axis]
        low, high = max(low, ends.min() + middle[1 - axis]), min(high, ends.max() + middle[1 - axis])
    return float(low), float(high)


def test_a_picture_that_is_only_placed_is_that_of_the_placement() -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (75, 100, 3), np.uint8), (0, 0), 2)
    at = letterbox(100, 75, CANVAS)
    one, other = warped(np.asarray(picture), placed(at), CANVAS), place(np.asarray(picture), at, CANVAS)
    # The edges blend with the padding; the interpolation counts in 32nds of a pixel.
    assert np.abs(one[3:-3, 3:-3].astype(int) - other[3:-3, 3:-3]).max() <= 2


def test_shrinking_averages_fine_patterns() -> None:
    lines = np.zeros((400, 400, 3), np.uint8)
    lines[:, ::2] = 255
    small = warped(lines, np.diag([0.13, 0.13, 1.0]), (52, 52))
    assert np.abs(small[1:-1, 1:-1].astype(int) - 127).max() <= 12


@given(st.floats(0, 180), quarter_boxes(60, 60, 3))
def test_a_round_outline_does_not_grow_as_it_turns(angle: float, boxes: NDArray[np.float64]) -> None:
    width = boxes[:, 2] - boxes[:, 0]
    boxes = np.stack([boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 1] + width], axis=1)
    radians = np.deg2rad(angle)
    onto = np.eye(3)
    onto[:2, :2] = [[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]]
    onto[:2, 2] = 200
    found, _ = seen_boxes(round_outlines(boxes), onto, (500, 500))
    sides = found[:, 2:] - found[:, :2]
    assert (np.abs(sides / width[:, None] - 1) <= 0.006).all()


@given(seeds)
def test_pictures_with_unknown_outlines_turn_no_further_than_allowed(seed: int) -> None:
    settings = Settings(
        input=(64, 64), angle=180.0, box_angle=10.0, rotate=False, flip=False, scale=(0.5, 0.5), colour=0.0
    )
    sample = moved(np.zeros((60, 60, 3), np.uint8), [[20, 20, 40, 40]], seed, settings)
    # cos 10 + sin 10 degrees = 1.158
    side = 20 * 0.5 * 64 / 60
    assert (sample.xyxy[0, 2:] - sample.xyxy[0, :2] <= 1.16 * side).all()


def test_tiny_and_empty_pictures_are_bent() -> None:
    for size in ((1, 1), (1, 500), (2, 3)):
        sample = moved(np.full((*size, 3), 9, np.uint8), [], 3)
        assert sample.picture.shape == (*CANVAS, 3)
        assert sample.xyxy.shape == (0, 4)
