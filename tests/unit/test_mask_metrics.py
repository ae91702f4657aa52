import json
import subprocess
import sys

import numpy as np
import pytest

from annotations.errors import UsageError
from evaluation.emptiness import NEITHER, NO_DETECTIONS, NO_IMAGES, NO_MATCHES, NO_TRUTH, NOT_ASKED, TOO_FEW_IMAGES
from evaluation.mask_figures import RATES, ImageMasks, MaskSettings
from evaluation.mask_metrics import image_figures, image_masks, mask_metrics

HALF = MaskSettings((0.5,), resamples=0)
EMPTY = np.zeros((4, 6), np.uint8)
THREE = np.array([[1, 1, 0, 2, 2, 0], [1, 1, 0, 2, 2, 0], [0, 0, 0, 0, 0, 0], [3, 3, 3, 0, 0, 0]], np.uint8)
# 1 is found whole, 2 by one of its two columns (IoU 2 / 4), 3 not at all; 7 is made up.
FOUND = np.array([[1, 1, 0, 2, 0, 0], [1, 1, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 7, 7]], np.uint8)


def image(truth: np.ndarray, predicted: np.ndarray, name: str = "a", group: str = "") -> ImageMasks:
    return image_masks(name, truth, predicted, iou_thresholds=(0.5,), group=group)


def test_figures_of_an_image_by_hand() -> None:
    (row,) = image_figures(image(THREE, FOUND), HALF)
    assert (row.truth, row.predicted, row.tp, row.fp, row.fn) == (3, 3, 2, 1, 1)
    assert (row.precision, row.recall, row.f1) == (2 / 3, 2 / 3, 2 / 3)
    assert row.accuracy == 2 / 4  # TP 2, FP 1, FN 1
    assert row.mean_matched_score == 1.5 / 2
    assert row.mean_true_score == 1.5 / 3
    assert row.panoptic_quality == 1.5 / 3  # 1.5 / (2 + 1 / 2 + 1 / 2)
    assert row.undefined == {f"{name}_ci": NOT_ASKED for name in ("accuracy", "f1", "panoptic_quality")}


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        (
            THREE,
            EMPTY,
            {
                "precision": NO_DETECTIONS,
                "recall": 0,
                "accuracy": 0,
                "f1": 0,
                "mean_true_score": 0,
                "mean_matched_score": NO_MATCHES,
                "panoptic_quality": 0,
            },
        ),
        (
            EMPTY,
            FOUND,
            {
                "precision": 0,
                "recall": NO_TRUTH,
                "accuracy": 0,
                "f1": 0,
                "mean_true_score": NO_TRUTH,
                "mean_matched_score": NO_MATCHES,
                "panoptic_quality": 0,
            },
        ),
        (
            EMPTY,
            EMPTY,
            {
                "precision": NO_DETECTIONS,
                "recall": NO_TRUTH,
                "accuracy": NEITHER,
                "f1": NEITHER,
                "mean_true_score": NO_TRUTH,
                "mean_matched_score": NO_MATCHES,
                "panoptic_quality": NEITHER,
            },
        ),
        (
            THREE,
            np.flip(THREE) * 0 + (THREE == 0),  # exactly where nothing is
            {
                "precision": 0,
                "recall": 0,
                "accuracy": 0,
                "f1": 0,
                "mean_true_score": 0,
                "mean_matched_score": NO_MATCHES,
                "panoptic_quality": 0,
            },
        ),
    ],
)
def test_what_has_no_value_is_none_with_a_reason(
    truth: np.ndarray, predicted: np.ndarray, expected: dict[str, object]
) -> None:
    metrics = mask_metrics([image(truth, predicted)], HALF)
    for row in (image_figures(image(truth, predicted), HALF)[0], metrics.pooled[0], metrics.by_image[0]):
        for name, value in expected.items():
            if isinstance(value, str):
                assert (getattr(row, name), row.undefined[name]) == (None, value)
            else:
                assert (getattr(row, name), name in row.undefined) == (value, False)


def test_a_set_without_images_has_no_figures() -> None:
    metrics = mask_metrics([])
    for row in (*metrics.pooled, *metrics.by_image):
        assert all(getattr(row, name) is None and row.undefined[name] == NO_IMAGES for name in RATES)
    assert metrics.pooled[0].undefined["f1_ci"] == NO_IMAGES
    assert metrics.foreground.undefined["l1_error"] == NO_IMAGES
    assert "NaN" not in json.dumps(metrics.to_json())


def test_a_set_is_pooled_and_averaged_over_the_images_that_have_a_value() -> None:
    metrics = mask_metrics([image(THREE, FOUND), image(THREE, EMPTY), image(EMPTY, EMPTY)], HALF)
    pooled, mean = metrics.pooled[0], metrics.by_image[0]
    assert (pooled.truth, pooled.predicted, pooled.tp) == (6, 3, 2)
    assert (pooled.precision, pooled.recall, pooled.accuracy) == (2 / 3, 2 / 6, 2 / 7)
    # F1 of the images: 2/3, 0 and none; precision: 2/3, none and none.
    assert (mean.f1, mean.precision) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert mean.left_out == {
        "precision": 2,
        "recall": 1,
        "accuracy": 1,
        "f1": 1,
        "mean_true_score": 1,
        "mean_matched_score": 2,
        "panoptic_quality": 1,
    }


def test_intervals_hold_the_figure_and_narrow_with_images() -> None:
    few = mask_metrics([image(THREE, FOUND), image(THREE, THREE)] * 3, MaskSettings((0.5,))).pooled[0]
    many = mask_metrics([image(THREE, FOUND), image(THREE, THREE)] * 60, MaskSettings((0.5,))).pooled[0]
    for name in ("accuracy", "f1", "panoptic_quality"):
        wide, narrow = getattr(few, f"{name}_ci"), getattr(many, f"{name}_ci")
        assert wide.low < getattr(few, name) < wide.high
        assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_intervals_draw_the_images_of_a_group_together() -> None:
    alone = [image(THREE, FOUND), image(THREE, THREE)] * 20
    grouped = [image(THREE, predicted, group=str(number % 4)) for number, predicted in enumerate([FOUND, THREE] * 20)]
    # 4 groups, each all good or all bad.
    apart, together = (mask_metrics(images, MaskSettings((0.5,))).pooled[0].f1_ci for images in (alone, grouped))
    assert apart is not None and together is not None
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_intervals_equal_those_of_a_bootstrap_that_copies_the_images() -> None:
    images = [image(THREE, FOUND), image(THREE, EMPTY), image(EMPTY, FOUND), image(THREE, THREE)]
    settings = MaskSettings((0.5,), resamples=25, seed=3)
    rng, values = np.random.default_rng(3), []
    for _ in range(settings.resamples):
        copies = [images[place] for place in rng.integers(0, len(images), len(images))]
        values.append(mask_metrics(copies, HALF).pooled[0].panoptic_quality)
    from evaluation.mask_metrics import _resampled_rates

    ours = _resampled_rates(images, np.arange(4), settings)["panoptic_quality"][:, 0]
    assert ours == pytest.approx(np.array(values, np.float64), abs=1e-12)


def test_one_image_with_objects_has_no_interval() -> None:
    row = mask_metrics([image(THREE, FOUND), image(EMPTY, EMPTY)], MaskSettings((0.5,))).pooled[0]
    assert (row.f1_ci, row.undefined["f1_ci"]) == (None, TOO_FEW_IMAGES)
    row = mask_metrics([image(EMPTY, EMPTY)] * 2, MaskSettings((0.5,))).pooled[0]
    assert (row.f1_ci, row.undefined["f1_ci"]) == (None, NEITHER)


def test_the_worst_images_are_named_first() -> None:
    images = [
        image(THREE, THREE, "good"),
        image(THREE, FOUND, "some"),
        image(EMPTY, FOUND, "b"),
        image(THREE, EMPTY, "a"),
    ]
    metrics = mask_metrics(images, HALF)
    assert [found.name for found in metrics.worst(0.5)] == ["a", "b", "some"]
    assert [found.name for found in metrics.worst(0.5, most=1)] == ["a"]


def test_json_holds_one_row_a_threshold_and_all_images() -> None:
    content = mask_metrics([image_masks("a", THREE, FOUND), image_masks("b", THREE, THREE)]).to_json()
    assert content == json.loads(json.dumps(content, allow_nan=False))
    assert [row["iou_threshold"] for row in content["pooled"]] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert content["pooled"][4]["f1_ci"] == pytest.approx([2 / 3, 1])
    assert content["per_image"][0]["fn"] == [1] * 5 + [2] * 4
    assert content["per_image"][0]["size"] == "6 x 4"
    assert content["foreground"]["hit"] == 6 + 11


@pytest.mark.parametrize("given", [(), (0.5, 0.4), (0.0, 0.5), (0.5, 1.1), (0.5, 0.5), (float("nan"),)])
def test_iou_thresholds_that_cannot_be_are_refused(given: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="iou_thresholds must be"):
        MaskSettings(given)


def test_scoring_masks_loads_no_heavy_package() -> None:
    code = (
        "import sys, evaluation.mask_metrics, evaluation.pixel_folders, evaluation.object_table\n"
        "heavy = {'pandas', 'matplotlib', 'jinja2', 'keras', 'tensorflow', 'cv2', 'PIL', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
