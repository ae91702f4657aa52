import json

import numpy as np
import pytest

from evaluation.calibration import calibration


def test_the_errors_are_those_worked_out_by_hand() -> None:
    # Bins of 0.1: (.5, .6] holds .55 and .6, one a hit; (.9, 1] holds .95, a miss; 0 belongs to the first.
    table = calibration(np.array([0.55, 0.6, 0.95, 0.0]), np.array([True, False, False, False]))
    assert table is not None
    assert table.detections.tolist() == [1, 0, 0, 0, 0, 2, 0, 0, 0, 1]
    # |1.15 - 1| + |0.95 - 0| + |0 - 0| over four detections; the largest gap is that of the miss.
    assert table.expected_error == pytest.approx(1.1 / 4)
    assert table.largest_error == pytest.approx(0.95)


def test_a_score_that_means_what_it_says_has_no_error() -> None:
    table = calibration(np.full(100, 0.75), np.arange(100) < 75, bins=15)
    assert table is not None
    assert (table.expected_error, table.largest_error) == (pytest.approx(0), pytest.approx(0))
    assert len(table.detections) == 15


def test_the_table_is_plain_and_empty_bins_have_no_figures() -> None:
    table = calibration(np.array([0.25]), np.array([True]), bins=2)
    assert table is not None
    assert json.loads(json.dumps(table.to_json(), allow_nan=False)) == {
        "ece": 0.75,
        "mce": 0.75,
        "from": [0.0, 0.5],
        "to": [0.5, 1.0],
        "detections": [1, 0],
        "hits": [1, 0],
        "mean_score": [0.25, None],
        "precision": [1.0, None],
    }


def test_no_detections_have_no_errors() -> None:
    table = calibration(np.zeros(0), np.zeros(0, np.bool_))
    assert table is not None
    assert (table.expected_error, table.largest_error) == (None, None)


@pytest.mark.parametrize("score", [-0.001, 1.001, 1e9])
def test_a_score_outside_0_to_1_has_no_calibration(score: float) -> None:
    assert calibration(np.array([0.5, score]), np.array([True, False])) is None


def test_fewer_than_one_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="bins must be at least 1"):
        calibration(np.zeros(1), np.zeros(1, np.bool_), bins=0)
