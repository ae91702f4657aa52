import json

import numpy as np
from evaluation_sets import dataset, detections, images, random_set

from evaluation.bootstrap import Interval
from evaluation.figures import ScoreSettings
from evaluation.metrics import evaluate_splits

BOX, AWAY = (0, 0, 10, 10), (40, 40, 50, 50)
# The keys that the design promises; files of users depend on them.
CLASS_KEYS = {
    *("truth", "detections", "ap50", "ap50_ci", "ap", "threshold", "tp", "fp", "fn", "precision", "recall", "f1"),
    "undefined",
}
SPLIT_KEYS = {
    *("images", "images_without_truth", "truth", "detections", "detections_on_images_without_truth", "classes"),
    *("ap50", "ap", "tp", "fp", "fn", "precision", "recall", "f1", "undefined"),
}


def test_metrics_json_has_the_promised_keys_and_is_strict_json() -> None:
    truth, found = random_set(np.random.default_rng(0), pictures=12, truths=20, found=40, classes=2)
    content = json.loads(json.dumps(evaluate_splits(truth, found).to_json(), allow_nan=False))
    assert (content["schema"], content["iou"], content["matching"], content["ap"]) == (1, 0.5, "coco", "coco-101")
    assert list(content["splits"]) == ["train", "val", "test"]
    for split in content["splits"].values():
        assert set(split) >= SPLIT_KEYS
        for figures in split["classes"].values():
            assert set(figures) >= CLASS_KEYS
            assert figures["ap50_ci"] is None or len(figures["ap50_ci"]) == 2


def test_the_threshold_is_chosen_on_val_and_used_on_test() -> None:
    table = images(3, splits=("train", "val", "test"))
    truth = dataset(table, [(row, 0, BOX) for row in range(3)])
    rows = [(0, 0, BOX, 0.9), (1, 0, BOX, 0.6), (1, 0, AWAY, 0.4), (2, 0, BOX, 0.7), (2, 0, AWAY, 0.65)]
    test = evaluate_splits(truth, detections(table, rows)).splits["test"].classes["code"]
    # On test alone 0.7 would be best (F1 1); val's 0.6 lets the stray of 0.65 in: P 1/2, R 1, F1 2/3.
    assert (test.threshold, test.threshold_from) == (0.6, "val")
    assert (test.tp, test.fp, test.fn, test.precision, test.recall, test.f1) == (1, 1, 0, 0.5, 1.0, 2 / 3)


def test_splits_that_are_not_asked_for_still_choose_the_threshold() -> None:
    table = images(3, splits=("train", "val", "test"))
    truth = dataset(table, [(row, 0, BOX) for row in range(3)])
    found = detections(table, [(1, 0, BOX, 0.6), (2, 0, BOX, 0.7)])
    metrics = evaluate_splits(truth, found, splits=["test"])
    assert list(metrics.splits) == ["test"]
    assert metrics.splits["test"].classes["code"].threshold == 0.6


def test_data_without_splits_are_one_split_named_all() -> None:
    table = images(2)
    metrics = evaluate_splits(dataset(table, [(0, 0, BOX)]), detections(table, [(0, 0, BOX, 0.9)]))
    assert list(metrics.splits) == ["all"]
    assert metrics.splits["all"].classes["code"].threshold_from == "all"
    assert metrics.images_without_split == 0


def test_images_without_a_split_beside_others_are_left_out_and_counted() -> None:
    table = images(4, splits=("test", ""))
    found = detections(table, [(1, 0, BOX, 0.9)])
    metrics = evaluate_splits(dataset(table, [(1, 0, BOX)]), found)
    assert list(metrics.splits) == ["test"]
    assert (metrics.splits["test"].truth, metrics.splits["test"].detections) == (0, 0)
    assert metrics.images_without_split == 2


def test_ap50_stays_at_one_half_whatever_the_iou_of_the_counts() -> None:
    table = images(1)
    truth, found = dataset(table, [(0, 0, BOX)]), detections(table, [(0, 0, (0, 0, 10, 6), 0.9)])  # IoU 0.6
    for iou, hits in ((0.3, 1), (0.5, 1), (0.7, 0)):
        figures = evaluate_splits(truth, found, ScoreSettings(iou=iou, threshold=0.5)).splits["all"]
        assert (figures.ap50, figures.tp) == (1.0, hits)
        # A hit at .5, .55 and .6 of the ten thresholds.
        assert figures.ap == np.mean([1.0] * 3 + [0.0] * 7)


def test_parts_and_objects_are_scored_apart() -> None:
    table = images(1)
    truth = dataset(table, [(0, 0, BOX), (0, 1, BOX)], classes=("code", "fip"), parts={"fip": "code"})
    split = evaluate_splits(truth, detections(table, [(0, 1, BOX, 0.9)]), ScoreSettings(threshold=0.5)).splits["all"]
    assert (split.classes["code"].recall, split.classes["fip"].recall) == (0.0, 1.0)


def test_the_interval_is_of_ap50_whatever_the_iou_of_the_counts() -> None:
    table = images(4)
    truth = dataset(table, [(row, 0, BOX) for row in range(4)])
    found = detections(table, [(row, 0, (0, 0, 10, 6), 0.9) for row in range(4)])  # IoU 0.6
    assert evaluate_splits(truth, found, ScoreSettings(iou=0.7)).splits["all"].ap50_ci == Interval(1.0, 1.0)
