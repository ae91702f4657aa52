"""Where the sides of a box are, by all boxes that show the same object: worked by hand."""

from dataclasses import replace

import numpy as np

from annotations.box_overlaps import paired_iou
from detector.cells import cells
from detector.decoding import LEAST_ERROR, Branch, decode_boxes, decode_image, side_errors
from detector.letterbox import letterbox
from detector.settings import CLASSIC, Settings
from detector.suppression import agreeing, suppressed, voted

GRID = cells((64, 64), (8,), 4.0)
SETTINGS = Settings(input=(64, 64), score_floor=0.1, nms_iou=0.5, vote_iou=0.6)
WHOLE = letterbox(64, 64, (64, 64))

TWINS = np.array([[0.0, 0, 10, 10], [0, 0, 12, 10], [30, 0, 40, 10], [0, 0, 17, 10]])


def test_each_box_shows_what_the_surest_kept_one_that_drops_it_shows() -> None:
    kept, shows = suppressed(TWINS, np.array([0.9, 0.8, 0.95, 0.7]), 0.5, 9)
    assert kept.tolist() == [2, 0]
    assert shows.tolist() == [1, 1, 0, 1]


def test_a_box_that_two_kept_ones_overlap_shows_the_surer() -> None:
    # The IoU of the last with each of the others is 7/13, and theirs 4/16.
    boxes = np.array([[0.0, 0, 10, 10], [6, 0, 16, 10], [3, 0, 13, 10]])
    for score, expected in (([0.9, 0.8, 0.7], [0, 1, 0]), ([0.8, 0.9, 0.7], [1, 0, 0])):
        assert suppressed(boxes, np.array(score), 0.5, 9)[1].tolist() == expected


def test_boxes_beyond_the_most_show_nothing() -> None:
    kept, shows = suppressed(TWINS, np.array([0.9, 0.8, 0.95, 0.7]), 0.5, 1)
    assert kept.tolist() == [2]
    assert shows.tolist() == [-1, -1, 0, -1]


def test_a_side_is_at_the_mean_of_what_is_said_of_it() -> None:
    # IoUs with the first are 10/12 and 10/17: the last has no say.
    weight = np.array([3.0, 1, 1, 5])[:, None].repeat(4, axis=1)
    kept = np.array([0, 2])
    agree = agreeing(TWINS, kept, np.array([0, 0, 1, 0]), 0.6)
    assert agree.tolist() == [0, 0, 1, -1]
    boxes = voted(TWINS, weight, kept, agree)
    np.testing.assert_allclose(boxes, [[0, 0, (3 * 10 + 12) / 4, 10], [30, 0, 40, 10]])


def test_each_side_has_weights_of_its_own() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 1, 11, 11]])
    weight = np.array([[1.0, 3, 1, 1], [1, 1, 3, 0]])
    told = voted(boxes, weight, np.array([0]), np.array([0, 0]))
    np.testing.assert_allclose(told, [[0.5, 0.25, 10.75, 10]])


def test_a_box_alone_stays_to_the_last_bit() -> None:
    boxes = np.array([[0.1, 0.2, 0.7, 1 / 3]])
    assert voted(boxes, np.full((1, 4), 0.1), np.array([0]), np.array([0])).tolist() == boxes.tolist()
    assert voted(boxes[:0], boxes[:0], np.zeros(0, np.int64), np.zeros(0, np.int64)).shape == (0, 4)


def test_weights_too_small_for_a_number_leave_the_box_where_it_is() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 11, 10]])
    assert voted(boxes, np.zeros((2, 4)), np.array([0]), np.array([0, 0])).tolist() == [[0, 0, 10, 10]]


def test_the_iou_of_each_row_is_that_of_its_two_boxes() -> None:
    others = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 40, 10], [5, 5, 5, 5]])
    assert paired_iou(TWINS, others).tolist() == [1, 100 / 120, 100 / 400, 0]


def branch(boxes: dict[int, tuple[list[float], float]]) -> Branch:
    logits, raw = np.full((len(GRID), 1), -20.0, np.float32), np.zeros((len(GRID), 4), np.float32)
    for cell, (xyxy, logit) in boxes.items():
        distance = np.concatenate([GRID.centre[cell] - xyxy[:2], xyxy[2:] - GRID.centre[cell]])
        raw[cell] = np.log(distance / (GRID.prior[cell] / 2))
        logits[cell] = logit
    return Branch(np.arange(1), logits, decode_boxes(raw, GRID), side_errors(raw, GRID))


TWO = {9: ([6.0, 6, 30, 30], 3.0), 11: ([8.0, 6, 32, 30], 2.0)}
"""Cells 9 and 11 have their centres at (12, 12) and (28, 12)."""


def test_a_side_errs_in_proportion_to_its_distance_and_a_little_at_any() -> None:
    raw = branch(TWO)
    assert raw.errors is not None
    np.testing.assert_allclose(raw.errors[9], np.array([6, 6, 18, 18]) + LEAST_ERROR * 8, rtol=1e-5)
    np.testing.assert_allclose(raw.errors[11], np.array([20, 6, 4, 18]) + LEAST_ERROR * 8, rtol=1e-5)


def test_a_cell_near_a_side_has_more_say_in_it() -> None:
    found = decode_image([branch(TWO)], WHOLE, {}, SETTINGS)
    sure, less = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-2))
    least = LEAST_ERROR * 8
    a, b = sure / (6 + least) ** 2, less / (20 + least) ** 2
    left = (a * 6 + b * 8) / (a + b)
    a, b = sure / (18 + least) ** 2, less / (4 + least) ** 2
    right = (a * 30 + b * 32) / (a + b)
    np.testing.assert_allclose(found.xyxy, [[left, 6, right, 30]], rtol=1e-5)
    assert left < 6.5
    assert right > 31.5
    np.testing.assert_allclose(found.score, [sure], rtol=1e-6)
    assert found.support is not None
    np.testing.assert_allclose(found.support, [sure + less], rtol=1e-6)


def test_boxes_that_are_dropped_have_no_say_where_it_is_off_or_their_errors_are_unknown() -> None:
    for raw, settings in (
        (branch(TWO), replace(SETTINGS, vote_iou=1.0)),
        (replace(branch(TWO), errors=None), SETTINGS),
    ):
        np.testing.assert_allclose(decode_image([raw], WHOLE, {}, settings).xyxy, [[6, 6, 30, 30]], rtol=1e-5)
    assert CLASSIC.vote_iou == 1
