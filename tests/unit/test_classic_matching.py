"""Matching of boxes and anchors in the published network, on hand-made anchors and on its own."""

import numpy as np
import pytest

from detector.classic_anchors import Anchors, anchors
from detector.classic_matching import BACKGROUND, UNCOUNTED, match, one_anchor_each, overlaps, targets


def squares(*centres: float, side: float = 10.0) -> Anchors:
    """Square anchors in a row, with these x of their centres."""
    centre = np.array([[x, 5.0] for x in centres]).reshape(-1, 2)
    return Anchors(centre, np.full_like(centre, side))


def boxes(*rows: tuple[float, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Boxes from x to x, all from y 0 to 10."""
    return np.array([[left, 0.0, right, 10.0] for left, right in rows], np.float64).reshape(-1, 4)


def test_overlaps_have_their_hand_worked_values() -> None:
    found = overlaps(boxes((0, 10), (3, 3)), boxes((0, 10), (5, 15), (10, 20), (3, 3)))
    assert found.tolist() == [[1.0, 50 / 150, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]


def test_an_anchor_is_positive_from_a_half_and_negative_below_three_tenths() -> None:
    # One box from 0 to 10; the anchor at 5 is it, and is its own. Anchors shifted by s overlap it (10 - s) / (10 + s):
    # 10/3 gives 0.5, 70/13 gives 0.3 (a little more in binary), 6 gives 0.25.
    shifts = [0.0, 10 / 3 - 1e-9, 10 / 3 + 1e-9, 70 / 13 - 1e-9, 70 / 13 + 1e-9, 6.0]
    answers = match(boxes((0, 10)), squares(*[5.0 + shift for shift in shifts]))
    assert answers.tolist() == [0, 0, -2, -2, -1, -1]


def test_just_a_half_is_positive_and_just_three_tenths_is_neither() -> None:
    # 20 of 40, and 30 of 100: exact in binary, and 0.3 is the float nearest to 30 / 100.
    half = Anchors(np.array([[10.0, 5.0], [5.0, 5.0]]), np.array([[20.0, 10.0], [10.0, 10.0]]))
    assert match(boxes((0, 10)), half).tolist() == [0, 0]
    third = Anchors(np.array([[50.0, 5.0], [15.0, 5.0]]), np.array([[100.0, 10.0], [30.0, 10.0]]))
    assert match(boxes((0, 30)), third).tolist() == [-2, 0]


def test_every_box_gets_one_anchor_however_little_they_overlap() -> None:
    # The IoU of 1 x 10 in 10 x 10 is 0.1: below 0.3, and yet the best there is.
    assert match(boxes((0, 1)), squares(5.0, 15.0)).tolist() == [0, -1]


def test_the_best_pair_is_settled_first() -> None:
    # Both boxes like anchor 0 best; box 1 fits it better, so that box 0 takes the other one.
    iou = np.array([[0.6, 0.2, 0.0], [0.9, 0.8, 0.0]])
    assert one_anchor_each(iou).tolist() == [1, 0]
    iou = np.array([[0.9, 0.2, 0.0], [0.6, 0.1, 0.05]])
    assert one_anchor_each(iou).tolist() == [0, 1]


def test_equal_pairs_go_by_box_and_then_by_anchor() -> None:
    assert one_anchor_each(np.full((2, 3), 0.5)).tolist() == [0, 1]
    # Overlapping nothing, they take the first free anchors, as in the reference.
    assert one_anchor_each(np.array([[0.0, 0.4, 0.0], [0.0, 0.0, 0.0]])).tolist() == [1, 0]


def test_boxes_beyond_the_number_of_anchors_go_without() -> None:
    assert one_anchor_each(np.array([[0.1], [0.9], [0.5]])).tolist() == [-1, 0, -1]
    assert match(boxes((0, 1), (0, 10), (0, 5)), squares(5.0)).tolist() == [1]


def test_an_anchor_taken_by_one_box_does_not_also_answer_for_a_better_one() -> None:
    # Box 0 is anchor 0; box 1, which overlaps anchor 0 at 0.5 and 1 at 0.1, must take anchor 1.
    answers = match(boxes((0, 10), (0, 5)), squares(5.0, 13.0))
    assert answers.tolist() == [0, 1]


def test_targets_count_classes_from_one_and_hold_the_offsets() -> None:
    said, offsets = targets(boxes((0, 10), (40, 60)), np.array([0, 2]), squares(5.0, 25.0, 50.0))
    assert said.tolist() == [1, BACKGROUND, 3]
    np.testing.assert_allclose(offsets, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, np.log(2), 0]], atol=1e-7)
    assert (said.dtype, offsets.dtype) == (np.int32, np.float32)


def test_an_image_without_boxes_is_all_background() -> None:
    said, offsets = targets(boxes(), np.zeros(0, np.int64), anchors((64, 96)))
    assert (said == BACKGROUND).all()
    assert not offsets.any()


@pytest.mark.parametrize(("width", "parts", "expected"), [(0.9, False, -1), (1.0, False, 1), (0.9, True, 1)])
def test_anchors_of_boxes_under_a_pixel_are_left_out_of_the_loss(width: float, parts: bool, expected: int) -> None:
    # An object by its shorter side, a part by its area of 0.9 x 10.
    said, offsets = targets(boxes((0, width)), np.array([0]), squares(5.0, 25.0), parts=parts)
    assert said.tolist() == [expected, BACKGROUND]
    assert bool(offsets.any()) == (expected == 1)


def test_a_part_of_less_than_a_square_pixel_is_left_out() -> None:
    said, _ = targets(boxes((0, 0.09)), np.array([0]), squares(5.0), parts=True)
    assert said.tolist() == [UNCOUNTED]


def test_an_ignored_box_is_nobody_s_target_and_nobody_s_fault() -> None:
    said, _ = targets(boxes((0, 10), (40, 60)), np.array([0, -2]), squares(5.0, 25.0, 50.0, 60.0, 61.0))
    assert said.tolist() == [1, BACKGROUND, UNCOUNTED, UNCOUNTED, BACKGROUND]


def test_the_reference_s_example_at_480_pixels() -> None:
    # A code of 48 x 48 on the anchor at cell (5, 3): centre (88, 56). The same anchor one cell on, 16 pixels away,
    # overlaps it (48 - 16) / (48 + 16) = 0.5; the ones across the corner 32^2 / (2 x 48^2 - 32^2) = 0.2857.
    known = anchors((480, 480))
    box = np.array([[64.0, 32.0, 112.0, 80.0]])
    said, offsets = targets(box, np.array([0]), known)
    cell = 3 * 30 + 5
    by_cell = said[: 900 * 6].reshape(30, 30, 6)
    assert by_cell[3, 5, 2] == 1
    assert by_cell[3, 4, 2] == by_cell[3, 6, 2] == by_cell[2, 5, 2] == by_cell[4, 5, 2] == 1
    assert by_cell[2, 4, 2] == by_cell[4, 6, 2] == BACKGROUND
    np.testing.assert_allclose(offsets[6 * cell + 2], 0, atol=1e-7)
    np.testing.assert_allclose(offsets[6 * (cell + 1) + 2], [-1 / 3, 0, 0, 0], atol=1e-7)
    # Ratio 2 on the same centre: 67.88 x 33.94. Shared 48 x 33.94 = 1629.17 of 2304 + 2304 - 1629.17: 0.5469.
    np.testing.assert_allclose(offsets[6 * cell + 3], [0, 0, -np.log(2) / 2, np.log(2) / 2], atol=1e-6)
    # The square between the scales: 2304 of 4608, a half, is next to its rounding; it is not below.
    assert by_cell[3, 5, 5] in (1, UNCOUNTED)
