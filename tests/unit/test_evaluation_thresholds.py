import numpy as np
import pytest

from annotations.errors import UsageError
from evaluation.curves import Curve
from evaluation.thresholds import (
    DEFAULT,
    Threshold,
    ThresholdRule,
    best_f1_threshold,
    choose_threshold,
    floor_threshold,
    parse_threshold,
)


def curve(rows: list[tuple[float, bool]], truth: int) -> Curve:
    score, hit = np.array([r[0] for r in rows], np.float64), np.array([r[1] for r in rows], np.bool_)
    return Curve(score, hit, np.zeros(len(rows), np.int64), np.zeros(truth, np.int64))


GOOD = curve([(0.9, True), (0.6, True), (0.3, False)], 2)
OTHER = curve([(0.8, True)], 1)
EMPTY = curve([], 0)
NOT_FOUND = curve([(0.7, False)], 3)


def test_best_f1_is_at_the_score_that_has_it() -> None:
    # F1 after 1, 2, 3 detections: 2/(1+2) = .67, 4/(2+2) = 1, 4/(3+2) = .8.
    assert best_f1_threshold(GOOD) == 0.6


def test_best_f1_counts_every_detection_and_every_truth() -> None:
    # Of 3: F1 is 2/(1+3) = .50 after the first and 4/(4+3) = .57 after the fourth.
    assert best_f1_threshold(curve([(0.9, True), (0.8, False), (0.7, False), (0.6, True)], 3)) == 0.6


def test_best_f1_of_several_equal_takes_the_highest_score() -> None:
    # F1: 2/(1+3) = .5, 2/(2+3) = .4, 4/(5+3) = .5 at the fifth: equally good, with four detections more.
    rows = [(0.9, True), (0.8, False), (0.7, False), (0.6, False), (0.5, True)]
    assert best_f1_threshold(curve(rows, 3)) == 0.9


def test_best_f1_does_not_cut_inside_a_tie() -> None:
    # Cut after the first of the tied two F1 would be 1, but no threshold can do that.
    assert best_f1_threshold(curve([(0.9, True), (0.9, False), (0.2, False)], 1)) == 0.9
    rows = [(0.9, True), (0.4, True), (0.4, False), (0.4, False), (0.4, False)]
    # After .9: 2/(1+2) = .67; after all five: 4/(5+2) = .57. After the second alone it would have been 1.
    assert best_f1_threshold(curve(rows, 2)) == 0.9


@pytest.mark.parametrize("one", [EMPTY, NOT_FOUND, curve([], 2), curve([(0.5, False)], 0)])
def test_best_f1_is_none_where_nothing_was_found(one: Curve) -> None:
    assert best_f1_threshold(one) is None


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ({"train": OTHER, "val": GOOD, "test": OTHER}, Threshold(0.6, "val")),
        ({"train": OTHER, "val": EMPTY, "test": GOOD}, Threshold(0.8, "train")),
        ({"train": OTHER, "val": NOT_FOUND, "test": GOOD}, Threshold(0.8, "train")),
        ({"train": OTHER, "test": GOOD}, Threshold(0.8, "train")),
        ({"test": GOOD}, Threshold(0.6, "test")),
        ({"all": GOOD}, Threshold(0.6, "all")),
        ({"all": EMPTY}, Threshold(DEFAULT, "default")),
        ({"val": EMPTY, "test": GOOD}, Threshold(DEFAULT, "default")),
        ({"train": EMPTY, "val": EMPTY, "test": GOOD}, Threshold(DEFAULT, "default")),
        ({}, Threshold(DEFAULT, "default")),
    ],
)
def test_choose_threshold_goes_by_val_and_never_by_test_beside_others(
    curves: dict[str, Curve], expected: Threshold
) -> None:
    assert choose_threshold(curves) == expected


def test_a_given_threshold_is_taken() -> None:
    assert choose_threshold({"val": GOOD}, 0.25) == Threshold(0.25, "given")


# Precision and recall after 1, 2, 3, 4, 5 detections: 1 and .25; 1 and .5; .67 and .5; .75 and .75; .6 and .75.
FIVE = curve([(0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, False)], 4)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("precision>=0.95", (0.8, True)),
        ("precision>=0.75", (0.6, True)),
        ("precision>=0.1", (0.6, True)),
        ("recall>=0.5", (0.8, True)),
        ("recall>=0.51", (0.6, True)),
        ("recall>=0.1", (0.8, True)),
        # No threshold finds more than three of four: the nearest is said to be just that.
        ("recall>=0.9", (0.6, False)),
    ],
)
def test_a_floor_gives_the_best_of_the_other_figure(rule: str, expected: tuple[float, bool]) -> None:
    parsed = parse_threshold(rule)
    assert isinstance(parsed, ThresholdRule)
    assert floor_threshold(FIVE, parsed) == expected
    assert choose_threshold({"val": FIVE, "test": GOOD}, parsed) == Threshold(expected[0], "val", expected[1])


def test_a_floor_of_precision_that_is_not_reached_gives_the_highest_precision() -> None:
    one = curve([(0.9, False), (0.8, True), (0.7, True), (0.6, False)], 2)
    assert floor_threshold(one, ThresholdRule("precision", 0.9)) == (0.7, False)


def test_a_floor_does_not_cut_inside_a_tie() -> None:
    one = curve([(0.9, True), (0.8, True), (0.8, False)], 3)
    assert floor_threshold(one, ThresholdRule("precision", 0.9)) == (0.9, True)


@pytest.mark.parametrize("one", [EMPTY, NOT_FOUND, curve([], 2), curve([(0.5, False)], 0)])
def test_a_floor_where_nothing_was_found_chooses_nothing(one: Curve) -> None:
    assert floor_threshold(one, ThresholdRule("recall", 0.5)) is None
    assert choose_threshold({"val": one, "test": GOOD}, ThresholdRule("recall", 0.5)) == Threshold(DEFAULT, "default")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", 0.5),
        ("best-f1", ThresholdRule()),
        ("precision>=0.95", ThresholdRule("precision", 0.95)),
        (" recall >= .9 ", ThresholdRule("recall", 0.9)),
    ],
)
def test_a_threshold_is_read_as_it_is_written(text: str, expected: float | ThresholdRule) -> None:
    assert parse_threshold(text) == expected


@pytest.mark.parametrize("text", ["", "nan", "inf", "best", "precision>0.9", "precision>=1.5", "recall>=0", "f1>=0.5"])
def test_a_threshold_that_says_nothing_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="threshold must"):
        parse_threshold(text)


@pytest.mark.parametrize("text", ["best-f1", "precision>=0.95", "recall>=0.5"])
def test_a_rule_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_threshold(text)) == text
