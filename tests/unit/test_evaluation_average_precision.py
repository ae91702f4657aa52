import numpy as np
import pytest

from evaluation.average_precision import average_precision
from evaluation.curves import Curve


def curve(hits: str, truth: int, scores: list[float] | None = None) -> Curve:
    """A curve from a text such as "+-+": hits and misses, best score first."""
    hit = np.array([letter == "+" for letter in hits], np.bool_)
    score = np.array(scores if scores is not None else np.linspace(0.9, 0.1, len(hits)), np.float64)
    return Curve(score, hit, np.arange(len(hits)), np.arange(truth))


CASES = [
    # Every object found at once: the area is 1 in every reading.
    ("++", 2, 1.0, 1.0, 1.0),
    # Half found: all-point 0.5; 101 recalls 0, .01 ... .50 are 51 of 101; 11 recalls 0 ... .5 are 6 of 11.
    ("+", 2, 51 / 101, 0.5, 6 / 11),
    # A miss first: precision 1/2 at every recall.
    ("-+", 1, 0.5, 0.5, 0.5),
    # Precision 1 up to recall 1/2, then 2/3: 51 points of 1 and 50 of 2/3; 6 of 1 and 5 of 2/3.
    ("+-+", 2, (51 + 50 * 2 / 3) / 101, 0.5 + 0.5 * 2 / 3, (6 + 5 * 2 / 3) / 11),
    # The envelope lifts the first hit (1/2) to the later 3/4; recall ends at 3/3.
    ("-+++", 3, 0.75, 0.75, 0.75),
    ("---", 2, 0.0, 0.0, 0.0),
    ("", 2, 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize(("hits", "truth", "coco", "all_point", "eleven"), CASES)
def test_average_precision_is_the_area_worked_out_by_hand(
    hits: str, truth: int, coco: float, all_point: float, eleven: float
) -> None:
    for reading, expected in (("coco-101", coco), ("all-point", all_point), ("11-point", eleven)):
        assert average_precision(curve(hits, truth), reading) == pytest.approx(expected, abs=1e-12), reading


def test_eleven_points_reach_three_tenths_when_three_of_ten_are_found() -> None:
    # 0.3 must count: i * 0.1 in floating point is 0.30000000000000004 and would lose the fourth point.
    assert average_precision(curve("+++", 10), "11-point") == pytest.approx(4 / 11, abs=1e-12)


@pytest.mark.parametrize("hits", ["", "--"])
def test_average_precision_without_truth_is_none(hits: str) -> None:
    assert average_precision(curve(hits, 0)) is None


def test_average_precision_refuses_an_unknown_reading() -> None:
    with pytest.raises(ValueError, match="reading must be one of"):
        average_precision(curve("+", 1), "voc")


def test_precision_and_recall_follow_the_ranking() -> None:
    one = curve("+-+", 4)
    np.testing.assert_allclose(one.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(one.recall, [1 / 4, 1 / 4, 2 / 4])


def test_recall_without_truth_is_refused() -> None:
    with pytest.raises(ValueError, match="truth must not be empty"):
        curve("-", 0).recall  # noqa: B018


def test_a_threshold_cuts_only_between_different_scores() -> None:
    assert curve("+-+-", 2, [0.9, 0.5, 0.5, 0.1]).last_of_score.tolist() == [0, 2, 3]
    assert curve("", 2).last_of_score.tolist() == []
