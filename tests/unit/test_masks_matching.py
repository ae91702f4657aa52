import numpy as np
import pytest

from annotations.best_assignment import best_assignment
from annotations.errors import AnnotationError
from evaluation.label_matching import IOU_THRESHOLDS, match_labels
from evaluation.label_overlaps import label_overlaps


def test_overlaps_count_the_pixels_of_objects_and_of_pairs() -> None:
    truth = np.array([[7, 7, 0, 2], [7, 7, 0, 2]], np.uint8)
    predicted = np.array([[0, 5, 5, 5], [0, 5, 0, 9]], np.int32)
    found = label_overlaps(truth, predicted)
    assert found.pixels == 8
    assert (found.truth_label.tolist(), found.truth_size.tolist()) == ([2, 7], [2, 4])
    assert (found.predicted_label.tolist(), found.predicted_size.tolist()) == ([5, 9], [4, 1])
    pairs = zip(found.truth_row.tolist(), found.predicted_row.tolist(), found.shared.tolist(), strict=True)
    assert sorted(pairs) == [(0, 0, 1), (0, 1, 1), (1, 0, 2)]
    # 2 and 5 share 1 of 2 + 4 - 1, 2 and 9 share 1 of 2 + 1 - 1, 7 and 5 share 2 of 4 + 4 - 2.
    np.testing.assert_allclose(found.iou_matrix, [[1 / 5, 1 / 2], [2 / 6, 0]], rtol=0, atol=1e-15)


@pytest.mark.parametrize("shape", [(0,), (0, 5), (4, 4), (2, 3, 4)], ids=str)
def test_overlaps_of_empty_pictures_are_empty(shape: tuple[int, ...]) -> None:
    found = label_overlaps(np.zeros(shape, np.uint16), np.zeros(shape, np.bool_))
    assert found.pixels == np.prod(shape)
    assert found.iou_matrix.shape == (0, 0)
    assert len(match_labels(found)) == 0


def test_overlaps_take_any_integers_and_any_layout() -> None:
    truth = np.arange(60).reshape(3, 4, 5) // 7
    for dtype in (np.uint8, np.int16, np.uint32, np.uint64):
        found = label_overlaps(truth.astype(dtype)[::-1], np.asfortranarray(truth)[::-1])
        assert found.iou.tolist() == [1.0] * 8


def test_overlaps_of_huge_labels_need_no_huge_table() -> None:
    truth = np.array([[0, 2**62, 2**62, 1]])
    found = label_overlaps(truth, truth.astype(np.uint64))
    assert found.truth_label.tolist() == [1, 2**62]
    assert found.iou.tolist() == [1.0, 1.0]


def test_overlaps_of_many_blocks_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, 9, (2, 31, 17)) * (rng.random((31, 17)) < 0.8)
    whole = label_overlaps(truth, predicted)
    monkeypatch.setattr("evaluation.label_overlaps._BLOCK", 10)
    parts = label_overlaps(truth, predicted)
    np.testing.assert_array_equal(parts.iou_matrix, whole.iou_matrix)
    np.testing.assert_array_equal(parts.truth_size, whole.truth_size)


def test_unequal_sizes_are_refused_and_both_are_named() -> None:
    with pytest.raises(AnnotationError, match="512 x 500 as of truth, got 472 x 460"):
        label_overlaps(np.zeros((500, 512), np.uint8), np.zeros((460, 472), np.uint8))
    with pytest.raises(AnnotationError, match="4 x 3 x 2 as of truth, got 4 x 3"):
        label_overlaps(np.zeros((2, 3, 4), np.uint8), np.zeros((3, 4), np.uint8))


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.zeros((2, 2), np.float32), "float32"),
        (np.array([[0, -3]]), "from 0, got -3"),
        (np.array([[2**63]], np.uint64), "below 2"),
        (np.array(3), "shape"),
    ],
)
def test_what_is_no_label_image_is_refused(labels: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        label_overlaps(labels, labels)


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01, float("nan")])
def test_an_iou_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="iou_threshold must be"):
        match_labels(label_overlaps(np.eye(2, dtype=np.uint8), np.eye(2, dtype=np.uint8)), threshold)


def test_an_iou_that_equals_its_threshold_matches() -> None:
    # A true row of 10 pixels; its first i are predicted: IoU i / 10.
    for i, threshold in enumerate(IOU_THRESHOLDS, start=1):
        predicted = (np.arange(10) < i).astype(np.uint8)
        found = label_overlaps(np.ones(10, np.uint8), predicted)
        assert len(match_labels(found, threshold)) == 1
        assert len(match_labels(found, threshold + 1e-12)) == 0


def test_more_matches_go_before_better_ones() -> None:
    # Rows are truths: pixels shared by truth 1 and 2 with predictions 1 and 2.
    # Truth 1 (12 pixels): 6 in prediction 1, 3 in prediction 2. Truth 2 (6 pixels): 5 in prediction 1, none in 2.
    truth = np.repeat([1, 1, 1, 2, 2], [6, 3, 3, 5, 1])
    predicted = np.repeat([1, 2, 0, 1, 0], [6, 3, 3, 5, 1])
    found = label_overlaps(truth, predicted)
    # IoU 1-1: 6 / (12 + 11 - 6) = .35; 1-2: 3 / 12 = .25; 2-1: 5 / (6 + 11 - 5) = .42
    np.testing.assert_allclose(found.iou_matrix, [[6 / 17, 3 / 12], [5 / 12, 0]], rtol=0, atol=1e-15)
    low, middle, high = (match_labels(found, threshold) for threshold in (0.2, 0.3, 0.4))
    # At 0.2 both can have a partner, with 1-2 and 2-1; at 0.3 one match is left, and the better is taken.
    assert sorted(zip(low.truth_row.tolist(), low.predicted_row.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert (middle.truth_row.tolist(), middle.predicted_row.tolist()) == ([1], [0])
    assert (high.truth_row.tolist(), high.predicted_row.tolist()) == ([1], [0])


def test_pairs_below_the_threshold_decide_between_matchings_as_good() -> None:
    # Truth 1 (10 pixels): 5 in prediction 1, 4 in prediction 2. Truth 2 (8 pixels): 3 in prediction 1.
    truth = np.repeat([1, 1, 1, 0, 2, 2], [5, 4, 1, 1, 3, 5])
    predicted = np.repeat([1, 2, 0, 2, 1, 0], [5, 4, 1, 1, 3, 5])
    found = label_overlaps(truth, predicted)
    np.testing.assert_allclose(found.iou_matrix, [[5 / 13, 4 / 11], [3 / 13, 0]], rtol=0, atol=1e-15)
    matches = match_labels(found, 0.3)
    # One match either way: 1-2 and, below the threshold, 2-1 have 0.59 in all, 1-1 alone has 0.38.
    assert (matches.truth_row.tolist(), matches.predicted_row.tolist()) == ([0], [1])


def test_an_object_halved_exactly_matches_one_half() -> None:
    found = label_overlaps(np.array([1, 1, 2, 2]), np.array([1, 2, 3, 3]))
    matches = match_labels(found, 0.5)
    assert matches.truth_row.tolist() == [0, 1]
    assert matches.iou.tolist() == [0.5, 1.0]


def test_the_best_assignment_may_leave_someone_alone() -> None:
    # 0-0 alone (5) weighs more than 0-1 and 1-0 together (2 + 2).
    row, column = np.array([0, 0, 1]), np.array([0, 1, 0])
    assert best_assignment(row, column, np.array([5.0, 2.0, 2.0])).tolist() == [0]
    assert best_assignment(row, column, np.array([3.0, 2.0, 2.0])).tolist() == [1, 2]


def test_no_pairs_have_an_empty_assignment() -> None:
    nobody = np.zeros(0, np.int64)
    assert best_assignment(nobody, nobody, np.zeros(0)).tolist() == []


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan")])
def test_a_weight_that_is_not_above_0_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight must be above 0"):
        best_assignment(np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([weight]))
