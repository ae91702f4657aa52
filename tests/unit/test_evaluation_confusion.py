import numpy as np
import pytest
from evaluation_sets import Row, dataset, detections, images, marked

from evaluation.confusion import confusion_table
from evaluation.matching import candidates

BOX = (0, 0, 10, 10)
SHIFTED = (0, 0, 10, 8)  # IoU with BOX: 0.8
AWAY = (40, 40, 50, 50)


def counts(
    truth: list[Row], found: list[Row], *, crowd: list[bool] | None = None, least: float = 0.5, pictures: int = 2
) -> list[list[int]]:
    table = images(pictures)
    marks = marked(dataset(table, truth, classes=("cat", "dog")), crowd=crowd or [])
    ranked = candidates(marks, detections(table, found), lowest_iou=0.5)
    return confusion_table(ranked, np.full(2, least), 0.5).counts(2, np.ones(pictures, np.bool_)).tolist()


def test_a_wrong_name_on_a_right_box_is_off_the_diagonal() -> None:
    truth = [(0, 0, BOX), (0, 1, AWAY), (1, 1, BOX)]
    found = [(0, 1, BOX, 0.9), (0, 1, AWAY, 0.8), (1, 0, AWAY, 0.7)]
    # Rows: what is there; columns: cat, dog, background. A cat taken for a dog, a dog found, a dog missed, a stray cat.
    assert counts(truth, found) == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]


def test_the_better_score_takes_the_object_whatever_its_name() -> None:
    assert counts([(0, 0, BOX)], [(0, 1, SHIFTED, 0.9), (0, 0, BOX, 0.8)]) == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_names_on_one_box_each_takes_its_own(order: int) -> None:
    truth = [(0, 0, BOX), (0, 1, BOX)][::order]
    assert counts(truth, [(0, 0, BOX, 0.9), (0, 1, BOX, 0.8)]) == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_detections_below_the_threshold_are_not_there() -> None:
    assert counts([(0, 0, BOX)], [(0, 0, BOX, 0.4)]) == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert counts([(0, 0, BOX)], [(0, 0, BOX, 0.4)], least=0.4) == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_crowds_are_in_no_cell_and_neither_are_detections_on_them() -> None:
    truth, found = [(0, 0, BOX), (1, 1, BOX)], [(0, 1, BOX, 0.9), (0, 0, (2, 2, 4, 4), 0.8), (1, 1, BOX, 0.9)]
    assert counts(truth, found, crowd=[True, False]) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_nothing_at_all_is_a_matrix_of_zeros() -> None:
    assert counts([], []) == [[0] * 3] * 3
    assert counts([], [], pictures=0) == [[0] * 3] * 3


def test_every_truth_and_every_detection_is_in_one_cell() -> None:
    rng = np.random.default_rng(0)
    table = images(6)
    rows = [(int(rng.integers(6)), int(rng.integers(2)), (x, 0, x + 10, 10)) for x in rng.integers(0, 60, 40).tolist()]
    truth, found = rows[:20], [(*row, float(rng.random())) for row in rows[20:]]
    ranked = candidates(dataset(table, truth, classes=("cat", "dog")), detections(table, found), lowest_iou=0.5)
    whole = confusion_table(ranked, np.zeros(2), 0.5)
    some = np.arange(6) < 3
    matrix = whole.counts(2, np.ones(6, np.bool_))
    assert (matrix[:2].sum(), matrix[:, :2].sum(), matrix[2, 2]) == (20, 20, 0)
    np.testing.assert_array_equal(whole.counts(2, some) + whole.counts(2, ~some), matrix)
