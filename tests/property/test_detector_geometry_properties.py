"""Boxes and pixels move together: letterbox, turns, mirrors and the random changes of training."""

import numpy as np
from detector_samples import cells_boxes, quarter_boxes
from hypothesis import given
from hypothesis import strategies as st

from annotations.tables import Boxes
from detector.augment import Sample, Source, finished, mirrored, moved_sample, plain_sample, quarter_turn, visible_boxes
from detector.cells import PART_PRIOR, PART_STRIDES, cells
from detector.decoding import decode_boxes
from detector.letterbox import letterbox
from detector.settings import Settings

sides = st.integers(1, 3000)
canvases = st.tuples(st.sampled_from([64, 96, 416]), st.sampled_from([64, 160, 416]))


@given(sides, sides, canvases)
def test_letterbox_stays_in_the_canvas_and_touches_two_of_its_edges(
    width: int, height: int, canvas: tuple[int, int]
) -> None:
    at = letterbox(width, height, canvas)
    assert at.left >= 0
    assert at.top >= 0
    assert at.left + at.new_width <= canvas[1]
    assert at.top + at.new_height <= canvas[0]
    assert at.new_width == canvas[1] or at.new_height == canvas[0]


@given(sides, sides, canvases, quarter_boxes(3000, 3000))
def test_inverse_undoes_forward(width: int, height: int, canvas: tuple[int, int], boxes: Boxes) -> None:
    at = letterbox(width, height, canvas)
    np.testing.assert_allclose(at.inverse(at.forward(boxes)), boxes, rtol=1e-12, atol=1e-9)


@given(quarter_boxes(200, 120))
def test_quarter_turns_are_exact_and_four_of_them_change_nothing(boxes: Boxes) -> None:
    turned, width, height = boxes, 200, 120
    for _ in range(4):
        turned = quarter_turn(turned, width)
        width, height = height, width
        assert (turned[:, :2] < turned[:, 2:]).all()
        assert (turned >= 0).all()
        assert (turned <= [width, height, width, height]).all()
    np.testing.assert_array_equal(turned, boxes)


@given(quarter_boxes(200, 120))
def test_two_mirrorings_change_nothing(boxes: Boxes) -> None:
    once = mirrored(boxes, 200)
    assert (once[:, :2] < once[:, 2:]).all()
    np.testing.assert_array_equal(mirrored(once, 200), boxes)


@given(st.integers(0, 2**32))
def test_turns_and_mirrors_follow_the_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = np.zeros((12, 20), np.uint8)
    left, top = int(rng.integers(19)), int(rng.integers(11))
    right, bottom = int(rng.integers(left + 1, 21)), int(rng.integers(top + 1, 13))
    picture[top:bottom, left:right] = 1
    box = np.array([[left, top, right, bottom]], np.float64)
    assert quarter_turn(box, 20)[0].tolist() == extent(np.rot90(picture) > 0)
    assert mirrored(box, 20)[0].tolist() == extent(picture[:, ::-1] > 0)


def extent(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def random_sample(source: Source, settings: Settings, rng: np.random.Generator) -> Sample:
    return finished(moved_sample(source, settings.input, settings, rng), settings, rng)


def augmented(seed: int, box: list[float], *, width: int = 120, height: int = 90) -> Sample:
    picture = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = (int(value) for value in box)
    picture[top:bottom, left:right] = 255
    settings = Settings(input=(96, 128), colour=0.0)
    boxes = np.array([box], np.float64)
    return random_sample(Source.of_boxes(picture, boxes, np.zeros(1, np.int64)), settings, np.random.default_rng(seed))


@given(st.integers(0, 2**32))
def test_random_changes_move_the_box_with_its_pixels(seed: int) -> None:
    sample = augmented(seed, [40, 30, 75, 60])
    # White on black in grey padding: the white is above the padding's value, and half of it marks the edge.
    seen = sample.picture[..., 0] > 127
    if not len(sample.xyxy):
        # Nearly all of it is outside.
        assert seen.sum() <= 0.4 * 35 * 30 * 1.6**2 * (128 / 120) ** 2
        return
    assert np.abs(sample.xyxy[0] - extent(seen)).max() <= 1.0


@given(st.integers(0, 2**32))
def test_random_changes_are_a_function_of_the_generator(seed: int) -> None:
    first, second = (augmented(seed, [40, 30, 75, 60]) for _ in range(2))
    np.testing.assert_array_equal(first.picture, second.picture)
    np.testing.assert_array_equal(first.xyxy, second.xyxy)


@given(st.integers(0, 2**32))
def test_parts_stay_inside_their_objects(seed: int) -> None:
    whole, part = [40.0, 30.0, 80.0, 70.0], [42.0, 32.0, 54.0, 44.0]
    boxes = np.array([whole, part])
    picture = np.zeros((90, 120, 3), np.uint8)
    rng = np.random.default_rng(seed)
    sample = random_sample(Source.of_boxes(picture, boxes, np.array([0, 1])), Settings(input=(96, 128)), rng)
    kept = dict(zip(sample.class_id.tolist(), sample.xyxy, strict=True))
    if len(kept) == 2:
        assert (kept[0][:2] <= kept[1][:2]).all()
        assert (kept[1][2:] <= kept[0][2:]).all()


@given(quarter_boxes(100, 100))
def test_visible_boxes_lie_in_the_canvas_and_are_kept_by_their_share(boxes: Boxes) -> None:
    cut, kept = visible_boxes(boxes - 20, (50, 60))
    assert (cut >= 0).all()
    assert (cut <= [60, 50, 60, 50]).all()
    for before, after, is_kept in zip(boxes, cut, kept, strict=True):
        area, left = ((box[2:] - box[:2]).prod() for box in (before, after))
        assert is_kept == (left >= 0.4 * area and (after[2:] - after[:2]).min() >= 2)


@given(sides, sides, canvases)
def test_plain_samples_keep_every_box(width: int, height: int, canvas: tuple[int, int]) -> None:
    picture = np.zeros((min(height, 300), min(width, 300), 3), np.uint8)
    boxes = np.array([[0.0, 0.0, picture.shape[1], picture.shape[0]]])
    sample = plain_sample(picture, boxes, np.zeros(1, np.int64), canvas)
    at = letterbox(picture.shape[1], picture.shape[0], canvas)
    expected = [at.left, at.top, at.left + at.new_width, at.top + at.new_height]
    np.testing.assert_allclose(sample.xyxy, [expected], atol=1e-9)


@given(st.integers(0, 2**32))
def test_decoded_boxes_are_those_that_were_encoded(seed: int) -> None:
    grid = cells((64, 96), PART_STRIDES, PART_PRIOR)
    boxes = cells_boxes(np.random.default_rng(seed), grid)
    half = (grid.prior / 2)[:, None]
    raw = np.log(np.concatenate([grid.centre - boxes[:, :2], boxes[:, 2:] - grid.centre], axis=1) / half)
    np.testing.assert_allclose(decode_boxes(raw.astype(np.float64), grid), boxes, rtol=1e-9, atol=1e-9)
