"""Figures of parts: sizes, flags, presets, ties, and false positives for each image."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_sets import dataset, detections, images, random_set

from annotations.errors import AnnotationError, UsageError
from evaluation.checks import check_truth
from evaluation.figures import ScoreSettings
from evaluation.matching import candidates
from evaluation.metrics import evaluate_splits
from evaluation.precisions import average_precisions
from evaluation.presets import PRESETS, preset_settings
from evaluation.sizes import size_range
from evaluation.slices import flag_images
from evaluation.thresholds import ThresholdRule

BOX, AWAY = (0, 0, 10, 10), (40, 40, 50, 50)
LARGE = (0, 0, 120, 100)


def test_a_truth_of_another_size_is_ignored_and_so_is_who_finds_it() -> None:
    table = images(2, size=(640, 480))
    truth = dataset(table, [(0, 0, BOX), (1, 0, LARGE)])
    found = detections(table, [(1, 0, LARGE, 0.9), (0, 0, AWAY, 0.8), (0, 0, BOX, 0.7)])
    split = evaluate_splits(truth, found, ScoreSettings(ap="all-point", resamples=0)).splits["all"]
    # All: hit, miss, hit of two: 1/2 + 1/2 * 2/3. Small: the large hit is not there: a miss, then the one. Large: one.
    assert split.ap50 == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert {size: part.ap50 for size, part in split.by_size.items()} == {"small": 0.5, "medium": None, "large": 1.0}
    assert {size: part.truth for size, part in split.by_size.items()} == {"small": 1, "medium": 0, "large": 1}
    assert split.by_size["medium"].undefined["ap"] == "no-truth"


def test_flags_are_taken_apart_and_their_images_scored_alone() -> None:
    table = replace(images(3), flags=np.array(["dark;blurred", "dark", ""]))
    truth = dataset(table, [(row, 0, BOX) for row in range(3)], classes=("code", "never"))
    split = evaluate_splits(truth, detections(table, [(1, 0, BOX, 0.9), (2, 0, AWAY, 0.95)])).splits["all"]
    assert list(split.by_flag) == ["blurred", "dark"]
    dark, blurred = split.by_flag["dark"], split.by_flag["blurred"]
    assert (dark.images, dark.truth, dark.classes_without_truth) == (2, 2, 1)
    # One of two found, and the stray lies elsewhere: 51 of 101 recalls.
    assert dark.ap50 == pytest.approx(51 / 101)
    assert (blurred.images, blurred.ap50) == (1, 0.0)
    assert split.classes["never"].by_flag["dark"].undefined["ap50"] == "no-truth"


def test_flags_of_no_image_are_none() -> None:
    assert flag_images(np.zeros(0, np.str_)) == {}
    assert {name: mask.tolist() for name, mask in flag_images(np.array(["a;b", "", "b"])).items()} == {
        "a": [True, False, False],
        "b": [True, False, True],
    }


def test_a_flag_is_listed_only_where_a_split_has_it() -> None:
    table = replace(images(2, splits=("val", "test")), flags=np.array(["dark", ""]))
    splits = evaluate_splits(dataset(table, [(0, 0, BOX)]), detections(table, [])).splits
    assert (list(splits["val"].by_flag), list(splits["test"].by_flag)) == (["dark"], [])


def test_ap75_needs_a_better_box_than_ap50() -> None:
    table = images(1)
    split = evaluate_splits(dataset(table, [(0, 0, BOX)]), detections(table, [(0, 0, (0, 0, 10, 7), 0.9)])).splits[
        "all"
    ]
    assert (split.ap50, split.ap75) == (1.0, 0.0)


def test_ties_say_what_an_order_without_meaning_can_change() -> None:
    table = images(2)
    truth = dataset(table, [(1, 0, BOX)])
    found = detections(table, [(0, 0, AWAY, 0.5), (1, 0, BOX, 0.5)])
    split = evaluate_splits(truth, found).splits["all"]
    assert (split.ap50, tuple(split.ap50_ties)) == (0.5, (0.5, 1.0))
    first = evaluate_splits(truth, found, ScoreSettings(ties="hits-first")).splits["all"]
    assert first.ap50 == 1.0
    # The interval is of the figure beside it: 1 in every resample.
    both = evaluate_splits(dataset(table, [(0, 0, BOX), (1, 0, BOX)]), found, ScoreSettings(ties="hits-first"))
    assert both.splits["all"].ap50_ci.high == pytest.approx(1.0)


def test_false_positives_are_counted_for_each_image_and_each_image_without_truth() -> None:
    table = images(4)
    truth = dataset(table, [(0, 0, BOX), (1, 1, BOX)], classes=("code", "part"))
    rows = [(0, 0, AWAY, 0.9), (2, 0, AWAY, 0.9), (2, 1, AWAY, 0.9), (3, 1, AWAY, 0.2)]
    split = evaluate_splits(truth, detections(table, rows), ScoreSettings(threshold=0.5)).splits["all"]
    # Three over four images, two of them in the two images with nothing in them.
    assert (split.fp_per_image, split.fp_per_image_without_truth) == (0.75, 1.0)
    assert split.detections_on_images_without_truth == 2
    code, part = split.classes["code"], split.classes["part"]
    assert (code.fp_per_image, code.fp_per_image_without_truth) == (0.5, 0.5)
    assert (part.fp_per_image, part.fp_per_image_without_truth) == (0.25, 0.5)


def test_a_floor_is_kept_on_val_and_reported_on_test() -> None:
    table = images(2, splits=("val", "test"))
    truth = dataset(table, [(0, 0, BOX), (0, 0, AWAY), (1, 0, BOX)])
    found = detections(table, [(0, 0, BOX, 0.9), (0, 0, (60, 0, 70, 9), 0.8), (0, 0, AWAY, 0.7), (1, 0, BOX, 0.75)])
    settings = ScoreSettings(threshold=ThresholdRule("precision", 0.95))
    metrics = evaluate_splits(truth, found, settings)
    figures = metrics.splits["test"].classes["code"]
    assert (figures.threshold, figures.threshold_from, figures.threshold_reached, figures.recall) == (
        0.9,
        "val",
        True,
        0.0,
    )
    assert metrics.to_json()["threshold_rule"] == "precision>=0.95"


def test_a_score_floor_leaves_detections_out_of_everything() -> None:
    table = images(1)
    found = detections(table, [(0, 0, AWAY, 0.6), (0, 0, BOX, 0.5), (0, 0, AWAY, 0.4)])
    metrics = evaluate_splits(dataset(table, [(0, 0, BOX)]), found, ScoreSettings(score_floor=0.5, threshold=0.0))
    split = metrics.splits["all"]
    assert (split.detections, split.tp, split.fp, split.ap50) == (2, 1, 1, 0.5)
    assert split.confusion["counts"] == [[1, 0], [1, 0]]
    assert sum(split.calibration["detections"]) == 2


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_it_sets_and_says_its_name(name: str) -> None:
    truth, found = random_set(np.random.default_rng(0), pictures=9, truths=20, found=60, classes=2)
    named = evaluate_splits(truth, found, preset_settings(name, resamples=0)).to_json()
    plain = evaluate_splits(truth, found, ScoreSettings(**PRESETS[name], resamples=0)).to_json()
    assert (named.pop("preset"), plain.pop("preset")) == (name, None)
    assert named == plain
    json.dumps(named, allow_nan=False)


def test_a_setting_of_ones_own_stands_above_the_preset() -> None:
    settings = preset_settings("coco", max_detections=7, iou=0.6)
    assert (settings.max_detections, settings.iou, settings.matching, settings.preset) == (7, 0.6, "coco", "coco")
    assert preset_settings(None) == ScoreSettings()


def test_a_preset_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="preset must be one of coco, voc2007, voc2012, reference, got voc"):
        preset_settings("voc")


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"score_floor": float("inf")}, "score_floor must be a finite number, got inf"),
        ({"ties": "best"}, "ties must be one of in-order, hits-first, misses-first, got best"),
        ({"bins": 0}, "bins must be 1 to 100, got 0"),
    ],
)
def test_settings_that_mean_nothing_are_a_usage_error(setting: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        ScoreSettings(**setting)


def test_unknown_sizes_and_ties_are_refused() -> None:
    table = images(1)
    found = candidates(dataset(table, []), detections(table, []))
    with pytest.raises(ValueError, match="size must be one of"):
        size_range("tiny")
    with pytest.raises(ValueError, match="ties must be one of"):
        average_precisions(found, {"all": np.ones(1, np.bool_)}, "coco-101", ties="best")


def test_truth_that_cannot_be_scored_is_refused_by_row() -> None:
    table = images(1)
    truth = dataset(table, [(0, 0, BOX), (0, 0, BOX)])
    spoiled = replace(truth.annotations, xyxy_rel=np.array([[0, 0, 1, 1], [0, 0, np.nan, 1]]))
    with pytest.raises(AnnotationError, match="truth: row 1: xyxy_rel must be finite"):
        check_truth(replace(truth, annotations=spoiled))
    spoiled = replace(truth.annotations, class_id=np.array([0, 1]))
    with pytest.raises(AnnotationError, match="truth: row 1: class_id must be 0 to 0, got 1"):
        evaluate_splits(replace(truth, annotations=spoiled), detections(table, []))
