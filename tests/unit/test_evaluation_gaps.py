import json

import numpy as np
import pytest
from evaluation_sets import Row, dataset, detections, images, random_set

from evaluation.bootstrap_figures import FIGURES
from evaluation.emptiness import MEANINGS
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits

BOX = (0, 0, 10, 10)


def test_gaps_are_the_differences_of_neighbouring_splits() -> None:
    truth, found = random_set(np.random.default_rng(0), pictures=30, truths=60, found=120, classes=2)
    metrics = evaluate_splits(truth, found)
    assert list(metrics.gaps) == ["train-val", "val-test"]
    for name, gap in metrics.gaps.items():
        one, other = (metrics.splits[split] for split in name.split("-"))
        for figure in FIGURES:
            change = gap.together.figures[figure]
            assert change.difference == pytest.approx(getattr(one, figure) - getattr(other, figure), abs=1e-14)
            assert change.ci is not None
            assert change.ci.low <= change.difference <= change.ci.high
    content = json.loads(json.dumps(metrics.to_json(), allow_nan=False))["gaps"]["train-val"]
    assert set(content) == {*FIGURES, "undefined", "classes", "classes_left_out"}
    assert set(content["classes"]["class0"]) == {*FIGURES, "undefined"}


def test_a_gap_is_as_wide_as_both_splits_together() -> None:
    table = images(100, splits=("train", "val"))
    rows: list[Row] = [(row, 0, BOX, 0.9) for row in range(100) if row % 7 in (0, 1, 2, 3)]
    metrics = evaluate_splits(dataset(table, [(row, 0, BOX) for row in range(100)]), detections(table, rows))
    widths = []
    for split in ("train", "val"):
        interval = metrics.splits[split].recall_ci
        assert interval is not None
        widths.append(interval.high - interval.low)
    gap = metrics.gaps["train-val"].together.figures["recall"].ci
    assert gap is not None
    # Variances of independent resamples add.
    assert gap.high - gap.low == pytest.approx(np.hypot(*widths), rel=0.1)


def test_train_and_test_have_a_gap_where_there_is_no_val() -> None:
    table = images(4, splits=("train", "test"))
    metrics = evaluate_splits(dataset(table, [(row, 0, BOX) for row in range(4)]), detections(table, []))
    assert list(metrics.gaps) == ["train-test"]
    assert evaluate_splits(dataset(images(3), []), detections(images(3), [])).gaps == {}


def test_a_class_in_one_split_only_is_left_out_of_the_gap_of_the_mean() -> None:
    table = images(8, splits=("train", "val"))
    truth = dataset(table, [*((row, 0, BOX) for row in range(8)), (0, 1, BOX), (2, 1, BOX)], classes=("code", "rare"))
    # Train finds all of "code" and none of "rare"; val has no "rare": over what both have, nothing differs.
    metrics = evaluate_splits(truth, detections(table, [(row, 0, BOX, 0.9) for row in range(8)]))
    assert (metrics.splits["train"].ap50, metrics.splits["val"].ap50) == (0.5, 1.0)
    gap = metrics.gaps["train-val"]
    assert (gap.together.figures["ap50"].difference, gap.classes_left_out) == (0.0, 1)
    assert gap.classes["rare"].figures["ap50"].difference is None
    assert gap.classes["rare"].undefined["ap50"] == "no-truth"


def test_a_gap_without_a_value_has_the_reason_of_the_side_that_lacks_it() -> None:
    table = images(4, splits=("train", "val"))
    truth = dataset(table, [(0, 0, BOX), (2, 0, BOX)])
    gap = evaluate_splits(truth, detections(table, [(0, 0, BOX, 0.9)]), ScoreSettings(threshold=0.5)).gaps["train-val"]
    assert gap.together.undefined["ap50"] == "no-truth"
    assert gap.together.undefined["precision"] == "no-detections"
    assert gap.together.undefined["ap50_ci"] == "no-truth"
    other = dataset(table, [(0, 0, BOX), (1, 1, BOX)], classes=("a", "b"))
    gap = evaluate_splits(other, detections(table, [(0, 0, BOX, 0.9), (1, 1, BOX, 0.9)])).gaps["train-val"]
    assert gap.together.undefined["ap50"] == "no-class-on-both-sides"
    assert gap.together.figures["recall"].difference == 0
    assert gap.together.undefined["recall_ci"] == "too-few-images"
    assert set(gap.together.undefined.values()) <= set(MEANINGS)
