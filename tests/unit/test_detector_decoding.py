"""From raw outputs to detections, by hand-made outputs."""

from dataclasses import replace

import numpy as np
import pytest

from annotations.tables import NO_PARENT
from detector.cells import cells
from detector.decoding import Branch, Found, decode_boxes, decode_image, detections_table
from detector.letterbox import letterbox
from detector.parents import parents
from detector.settings import Settings

GRID = cells((64, 64), (8, 16), 4.0)
SETTINGS = Settings(input=(64, 64), score_floor=0.1, nms_iou=0.5)
WHOLE = letterbox(64, 64, (64, 64))


def branch(boxes: dict[int, tuple[list[float], list[float]]], classes: int = 1) -> Branch:
    """A branch whose cells say nothing but for {cell: (xyxy, logits)}."""
    logits = np.full((len(GRID), classes), -20.0, np.float32)
    raw = np.zeros((len(GRID), 4), np.float32)
    for cell, (xyxy, values) in boxes.items():
        distance = np.concatenate([GRID.centre[cell] - xyxy[:2], xyxy[2:] - GRID.centre[cell]])
        raw[cell] = np.log(distance / (GRID.prior[cell] / 2))
        logits[cell] = values
    return Branch(np.arange(classes), logits, decode_boxes(raw, GRID))


def test_zero_gives_the_prior_box() -> None:
    boxes = decode_boxes(np.zeros((len(GRID), 4), np.float32), GRID)
    assert boxes[0].tolist() == [4 - 16, 4 - 16, 4 + 16, 4 + 16]
    assert boxes[-1].tolist() == [56 - 32, 56 - 32, 56 + 32, 56 + 32]


def test_wild_outputs_give_large_boxes_that_are_finite() -> None:
    boxes = decode_boxes(np.full((len(GRID), 4), 1e30, np.float32), GRID)
    assert np.isfinite(boxes).all()


def test_a_network_that_sees_nothing_gives_no_rows() -> None:
    found = decode_image([branch({})], WHOLE, {}, SETTINGS)
    assert found.xyxy.shape == (0, 4)
    assert found.class_id.dtype == np.int64
    assert found.parent.shape == found.score.shape == (0,)


def test_scores_are_the_sigmoid_of_the_logits() -> None:
    found = decode_image([branch({0: ([0, 0, 8, 8], [0.0])})], WHOLE, {}, SETTINGS)
    assert found.score.tolist() == [0.5]
    np.testing.assert_allclose(found.xyxy, [[0, 0, 8, 8]], atol=1e-5)


def test_boxes_are_in_the_pixels_of_the_picture_and_cut_at_its_edges() -> None:
    # 128 x 64 pixels lie at half the size in rows 16 to 48 of the canvas.
    at = letterbox(128, 64, (64, 64))
    found = decode_image([branch({27: ([10, 10, 40, 50], [5.0])})], at, {}, SETTINGS)
    np.testing.assert_allclose(found.xyxy, [[20, 0, 80, 64]], atol=1e-4)


def test_a_box_in_the_padding_is_no_detection() -> None:
    at = letterbox(128, 64, (64, 64))
    assert len(decode_image([branch({0: ([0, 0, 8, 8], [5.0])})], at, {}, SETTINGS).score) == 0


def test_boxes_in_the_padding_take_no_place_among_the_most_detections() -> None:
    at = letterbox(128, 64, (64, 64))
    raw = branch({0: ([0, 0, 8, 8], [9.0]), 1: ([8, 0, 16, 8], [8.0]), 27: ([20, 20, 36, 36], [5.0])})
    found = decode_image([raw], at, {}, replace(SETTINGS, max_detections=1))
    np.testing.assert_allclose(found.xyxy, [[40, 8, 72, 40]], atol=1e-4)


def test_the_surer_of_two_boxes_of_a_class_stays_even_where_both_scores_round_to_one() -> None:
    # float64 tells sigmoid(40) from sigmoid(41) no more: the logits decide.
    raw = branch({0: ([0, 0, 20, 20], [40.0]), 1: ([0, 0, 21, 21], [41.0])})
    found = decode_image([raw], WHOLE, {}, SETTINGS)
    np.testing.assert_allclose(found.xyxy, [[0, 0, 21, 21]], atol=1e-4)


def test_classes_do_not_suppress_each_other() -> None:
    raw = branch({0: ([0, 0, 20, 20], [4.0, -9.0]), 1: ([0, 0, 20, 20], [-9.0, 3.0])}, classes=2)
    assert decode_image([raw], WHOLE, {}, SETTINGS).class_id.tolist() == [0, 1]


def test_the_score_floor_and_the_most_detections_bound_the_rows() -> None:
    raw = branch({0: ([0, 0, 8, 8], [3.0]), 7: ([56, 0, 64, 8], [2.0]), 56: ([0, 56, 8, 64], [-5.0])})
    assert len(decode_image([raw], WHOLE, {}, SETTINGS).score) == 2
    assert len(decode_image([raw], WHOLE, {}, replace(SETTINGS, max_detections=1)).score) == 1
    everything = decode_image([raw], WHOLE, {}, replace(SETTINGS, score_floor=0.001))
    assert everything.score[2] == pytest.approx(1 / (1 + np.exp(5)))


def test_an_output_that_is_not_a_number_is_no_detection() -> None:
    raw = branch({0: ([0, 0, 8, 8], [3.0])})
    raw.logits[0] = np.nan
    assert len(decode_image([raw], WHOLE, {}, SETTINGS).score) == 0


def part_parents(rows: list[tuple[int, float, list[float]]]) -> list[int]:
    class_id, score, xyxy = zip(*rows, strict=True)
    return parents(np.array(class_id), np.array(score), np.array(xyxy, np.float64), {1: 0}).tolist()


def test_a_part_belongs_to_the_surest_object_around_its_centre() -> None:
    rows = [(0, 0.6, [0, 0, 40, 40]), (0, 0.9, [0, 0, 30, 30]), (1, 0.5, [2, 2, 8, 8]), (0, 0.99, [50, 50, 60, 60])]
    assert part_parents(rows) == [NO_PARENT, NO_PARENT, 1, NO_PARENT]


def test_of_equally_sure_objects_the_smallest_owns_the_part() -> None:
    rows = [(0, 0.9, [0, 0, 40, 40]), (0, 0.9, [0, 0, 30, 30]), (1, 0.5, [2, 2, 8, 8])]
    assert part_parents(rows)[2] == 1


def test_a_part_outside_of_every_object_or_of_another_class_is_an_orphan() -> None:
    assert part_parents([(0, 0.9, [0, 0, 10, 10]), (1, 0.5, [9, 9, 20, 20]), (2, 0.9, [0, 0, 64, 64])])[1] == -1
    assert parents(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)), {1: 0}).shape == (0,)


def found(count: int, parent: list[int]) -> Found:
    xyxy = np.tile([10.0, 20.0, 30.0, 40.0], (count, 1))
    return Found(np.zeros(count, np.int64), np.full(count, 0.5), xyxy, np.array(parent, np.int64))


def test_the_table_numbers_objects_through_and_moves_parents_along() -> None:
    table = detections_table([found(2, [-1, 0]), found(0, []), found(2, [1, -1])], np.full((3, 2), [100, 200]))
    assert table.image_row.tolist() == [0, 0, 2, 2]
    assert table.object_id.tolist() == [0, 1, 2, 3]
    assert table.parent_id.tolist() == [NO_PARENT, 0, 3, NO_PARENT]
    assert table.xyxy_rel[3].tolist() == [0.1, 0.1, 0.3, 0.2]


@pytest.mark.parametrize("images", [0, 3])
def test_the_table_of_no_detections_is_empty(images: int) -> None:
    table = detections_table([found(0, [])] * images, np.full((images, 2), 64))
    assert len(table) == 0
    assert table.xyxy_rel.shape == (0, 4)
