"""The one rule for emptiness, case by case."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_sets import Row, dataset, detections, images

import evaluation.emptiness
from evaluation.emptiness import MEANINGS
from evaluation.figures import ClassMetrics, ScoreSettings, SplitMetrics
from evaluation.mask_figures import MaskSettings
from evaluation.mask_metrics import image_masks, mask_metrics
from evaluation.metrics import evaluate_splits
from evaluation.pixel_curves import merged_curves, pixel_curve
from evaluation.pixel_folders import probability_metrics

BOX = (0, 0, 10, 10)
AWAY = (40, 40, 50, 50)
TRUTH: list[Row] = [(0, 0, BOX)]
HIT: list[Row] = [(0, 0, BOX, 0.9)]
STRAY: list[Row] = [(0, 0, AWAY, 0.9)]
WEAK: list[Row] = [(0, 0, AWAY, 0.1)]
NAMES = ("ap50", "precision", "recall", "f1", "fp_per_image", "fp_per_image_without_truth", "ece")
AVERAGE_PRECISIONS = ("ap50", "ap75", "ap", "ap50_ties", "ap50_ci", "ap75_ci", "ap_ci")
RATES = ("precision_ci", "recall_ci", "f1_ci")

# truth, detections, and then of NAMES a value, or the word that says why there is none. Two images, threshold 0.5.
CASES = {
    "found": (TRUTH, HIT, (1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.1)),
    "truth, a stray": (TRUTH, STRAY, (0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.9)),
    "truth, no detections": (TRUTH, [], (0.0, "no-detections", 0.0, 0.0, 0.0, 0.0, "no-detections")),
    "truth, none at the threshold": (TRUTH, WEAK, (0.0, "no-detections-at-threshold", 0.0, 0.0, 0.0, 0.0, 0.1)),
    "no truth, a stray": ([], STRAY, ("no-truth", 0.0, "no-truth", 0.0, 0.5, 0.5, 0.9)),
    "no truth, none at the threshold": (
        [],
        WEAK,
        (
            "no-truth",
            "no-detections-at-threshold",
            "no-truth",
            "no-truth-and-no-detections-at-threshold",
            0.0,
            0.0,
            0.1,
        ),
    ),
    "neither": (
        [],
        [],
        ("no-truth", "no-detections", "no-truth", "no-truth-and-no-detections", 0.0, 0.0, "no-detections"),
    ),
    "truth in every image": (
        [*TRUTH, (1, 0, BOX)],
        HIT,
        (51 / 101, 1.0, 0.5, 2 / 3, 0.0, "no-images-without-truth", 0.1),
    ),
    "a stray in an image without truth": (TRUTH, [*HIT, (1, 0, AWAY, 0.8)], (1.0, 0.5, 1.0, 2 / 3, 0.5, 1.0, 0.45)),
}
NEITHER = CASES["neither"][2]


def check(figures: ClassMetrics | SplitMetrics, expected: tuple[float | str, ...]) -> None:
    for name, value in zip(NAMES, expected, strict=True):
        if isinstance(value, str):
            assert getattr(figures, name) is None, name
            assert figures.undefined[name] == value, name
        else:
            assert getattr(figures, name) == pytest.approx(value, abs=1e-12), name
            assert name not in figures.undefined
    for name in AVERAGE_PRECISIONS:
        assert (getattr(figures, name) is None) == (name in figures.undefined), name
        if isinstance(expected[0], str):
            assert figures.undefined[name] == expected[0], name
    for part in (*figures.by_size.values(), *figures.by_flag.values()):
        for name in ("ap50", "ap75", "ap"):
            reason = None if part.truth else ("no-truth" if part.images else "no-images")
            assert part.undefined.get(name) == reason
            assert (getattr(part, name) is None) == (reason is not None)
        assert part.classes_without_truth == (part.truth == 0)


@pytest.mark.parametrize(("truth", "found", "expected"), CASES.values(), ids=CASES)
def test_a_class_and_its_split_have_a_value_or_a_reason(
    truth: list[Row], found: list[Row], expected: tuple[float | str, ...]
) -> None:
    table = replace(images(2), flags=np.array(["blurred;old", ""]))
    metrics = evaluate_splits(dataset(table, truth), detections(table, found), ScoreSettings(threshold=0.5))
    split = metrics.splits["all"]
    check(split, expected)
    check(split.classes["code"], expected)
    # The same at each IoU threshold, but for the rounding of a mean.
    assert split.classes["code"].ap == split.ap == pytest.approx(split.ap50, abs=1e-12)
    assert split.ap75 == split.ap50
    assert list(split.by_flag) == ["blurred", "old"]
    json.dumps(metrics.to_json(), allow_nan=False)


@pytest.mark.parametrize("extra_truth", [TRUTH, []])
def test_an_image_without_truth_and_detections_changes_no_figure(extra_truth: list[Row]) -> None:
    figures = []
    for count in (2, 5):
        table = images(count)
        found = detections(table, HIT)
        split = evaluate_splits(dataset(table, extra_truth), found, ScoreSettings(resamples=0)).splits["all"]
        none = {"fp_per_image": None, "fp_per_image_without_truth": None, "by_size": {}}
        classes = {name: replace(one, **none) for name, one in split.classes.items()}
        figures.append(replace(split, images=0, images_without_truth=0, **none, classes=classes))
    assert figures[0] == figures[1]


def test_detections_on_an_image_without_truth_are_counted_and_cost_precision() -> None:
    table = images(2)
    found = detections(table, [*HIT, (1, 0, BOX, 0.95), (1, 0, AWAY, 0.2)])
    split = evaluate_splits(dataset(table, TRUTH), found, ScoreSettings(threshold=0.5)).splits["all"]
    assert (split.images_without_truth, split.detections_on_images_without_truth) == (1, 1)
    # The stray ranks first, so precision is 1/2 at every recall, and 1 of 2 kept detections is a hit.
    assert (split.ap50, split.precision, split.detections) == (0.5, 0.5, 3)


def test_an_image_whose_truth_was_not_found_costs_recall() -> None:
    table = images(2)
    split = evaluate_splits(dataset(table, [*TRUTH, (1, 0, BOX)]), detections(table, HIT)).splits["all"]
    assert (split.recall, split.fn, split.precision) == (0.5, 1, 1.0)


def test_the_mean_leaves_out_classes_without_truth_and_says_how_many() -> None:
    table = images(2)
    truth = dataset(table, TRUTH, classes=("code", "never", "stray"))
    split = evaluate_splits(truth, detections(table, [*HIT, (0, 2, BOX, 0.8)])).splits["all"]
    assert (split.ap50, split.ap, split.classes_without_truth) == (1.0, 1.0, 2)
    # The sums are over all classes: the stray is a false positive.
    assert (split.tp, split.fp, split.precision) == (1, 1, 0.5)


def test_a_class_with_truth_that_is_never_detected_counts_as_zero_in_the_mean() -> None:
    table = images(2)
    truth = dataset(table, [*TRUTH, (1, 1, BOX)], classes=("code", "other"))
    assert evaluate_splits(truth, detections(table, HIT)).splits["all"].ap50 == 0.5


def test_a_class_in_one_split_only_has_a_reason_in_the_others() -> None:
    table = images(3, splits=("train", "val", "test"))
    metrics = evaluate_splits(dataset(table, TRUTH), detections(table, HIT))
    check(metrics.splits["train"].classes["code"], (1.0, 1.0, 1.0, 1.0, 0.0, "no-images-without-truth", 0.1))
    for name in ("val", "test"):
        check(metrics.splits[name].classes["code"], NEITHER)


@pytest.mark.parametrize("classes", [("code",), ()])
def test_zero_images_have_a_reason_for_everything(classes: tuple[str, ...]) -> None:
    table = images(0)
    split = evaluate_splits(dataset(table, [], classes=classes), detections(table, [])).splits["all"]
    for figures in (split, *split.classes.values()):
        assert set(figures.undefined) == {*NAMES, *AVERAGE_PRECISIONS, *RATES, "mce"}
        assert set(figures.undefined.values()) == {"no-images"}


def test_a_split_that_is_asked_for_and_has_no_images_has_reasons() -> None:
    table = images(2, splits=("train",))
    metrics = evaluate_splits(dataset(table, TRUTH), detections(table, HIT), splits=["test"])
    assert list(metrics.splits) == ["test"]
    assert metrics.splits["test"].undefined["ap50"] == "no-images"


def test_every_reason_word_is_used_and_has_a_meaning() -> None:
    words = {value for name, value in vars(evaluation.emptiness).items() if name.isupper() and isinstance(value, str)}
    assert words == set(MEANINGS)
    source = Path(evaluation.emptiness.__file__).parent
    text = "".join(path.read_text() for path in source.glob("*.py"))
    names = [name for name, value in vars(evaluation.emptiness).items() if isinstance(value, str) and name.isupper()]
    # Once where it is defined, once in MEANINGS, and at least once where it is given.
    assert all(text.count(name) >= 3 for name in names)


def test_a_truth_that_is_ignored_is_no_truth_but_its_image_is_not_empty() -> None:
    table = images(2)
    truth = dataset(table, [*TRUTH, (1, 0, AWAY)])
    crowd = np.array([True, False])
    for marks in ({"crowd": crowd}, {"ignore": crowd}, {"crowd": crowd, "ignore": crowd}):
        marked = replace(truth, annotations=replace(truth.annotations, **marks))
        split = evaluate_splits(marked, detections(table, HIT), ScoreSettings(threshold=0.5)).splits["all"]
        assert (split.truth, split.ignored_truth, split.detections, split.ignored_detections) == (1, 1, 1, 1)
        assert (split.ap50, split.precision, split.recall) == (0.0, None, 0.0)
        assert split.undefined["ece"] == "no-detections"
        assert split.images_without_truth == 0
    only = replace(
        dataset(table, TRUTH), annotations=replace(dataset(table, TRUTH).annotations, ignore=np.array([True]))
    )
    split = evaluate_splits(only, detections(table, [])).splits["all"]
    assert (split.images_without_truth, split.undefined["ap50"], split.classes_without_truth) == (1, "no-truth", 1)


def test_scores_outside_0_to_1_have_no_calibration_and_a_reason() -> None:
    table = images(2)
    split = evaluate_splits(dataset(table, TRUTH), detections(table, [(0, 0, BOX, 3.5)])).splits["all"]
    assert (split.ece, split.mce, split.calibration) == (None, None, None)
    assert split.undefined["ece"] == split.undefined["mce"] == "scores-outside-0-1"


def test_the_table_in_the_docs_is_the_one_of_the_code() -> None:
    page = (Path(evaluation.emptiness.__file__).parents[1] / "docs" / "scoring.md").read_text(encoding="utf-8")
    table = [line for line in (evaluation.emptiness.__doc__ or "").splitlines() if line.startswith("|")]
    assert len(table) == 6
    assert "\n".join(table) in page


def test_every_reason_word_is_in_the_docs_with_its_meaning() -> None:
    page = (Path(evaluation.emptiness.__file__).parents[1] / "docs" / "scoring.md").read_text(encoding="utf-8")
    assert [word for word, text in MEANINGS.items() if f"| `{word}` | {text} |" not in page] == []


def test_no_other_file_gives_reasons_of_its_own() -> None:
    # A reason is a constant in capitals that says NO_, NOT_, TOO_, NONE_, NEITHER or NOTHING_; their home is one file.
    strange = []
    for path in Path(evaluation.emptiness.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"^((?:NO|NOT|TOO|NONE|NEITHER|NOTHING)(?:_[A-Z_]+)?)(?:: \w+)? = [\"']", text, re.MULTILINE)
        given = re.findall(r"undefined\[[^]]+\] = [\"']|undefined=\{[^}]*: [\"']", text)
        strange += [(path.name, name) for name in (*named, *given) if path.name != "emptiness.py"]
    assert strange == []


def test_the_words_that_masks_give_have_a_meaning() -> None:
    empty, some, none = np.zeros((2, 3), np.uint8), np.ones((2, 3), np.uint8), np.zeros((0, 3), np.uint8)
    pairs = [(a, b) for a in (empty, some) for b in (empty, some)] + [(none, none)]
    found: list[Mapping[str, str]] = []
    for members in ([], *([pair] for pair in pairs), pairs[:4]):
        masks = mask_metrics([image_masks("a", *pair) for pair in members], MaskSettings(resamples=9))
        found += [row.undefined for row in (*masks.pooled, *masks.by_image, masks.foreground)]
        curve = merged_curves(pixel_curve(truth > 0, sure * np.float32(0.9)) for truth, sure in members)
        scores = probability_metrics(curve, len(members))
        found += [scores.undefined, *(row.undefined for row in scores.sweep.figures)]
    words = {word for undefined in found for word in undefined.values()}
    assert {"no-images", "no-truth", "no-detections", "no-pixels", "no-matches", "too-few-images"} <= words
    assert words <= set(MEANINGS)


def test_pictures_without_pixels_have_no_l1_error_for_that_reason() -> None:
    scores = probability_metrics(pixel_curve(np.zeros((0, 3), np.bool_), np.zeros((0, 3), np.float32)))
    assert scores.undefined == {"pr_auc": "no-truth", "mean_l1_error": "no-pixels"}
