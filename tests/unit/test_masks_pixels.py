import json

import numpy as np
import pytest

from annotations.errors import AnnotationError, UsageError
from evaluation.emptiness import NEITHER, NO_DETECTIONS, NO_IMAGES, NO_PIXELS, NO_TRUTH
from evaluation.label_overlaps import label_overlaps
from evaluation.pixel_curves import class_curves, merged_curves, pixel_curve
from evaluation.pixel_folders import probability_metrics
from evaluation.pixel_scores import PixelCounts, class_counts, pixel_figures, summed
from evaluation.threshold_sweep import L1_PREFERS_EMPTY, L1_PREFERS_LESS, TRAPS, threshold_sweep

TRUTH = np.array([[0, 1, 1, 2]] * 4)
FOUND = np.array([[0, 1, 2, 2], [0, 1, 2, 2], [1, 1, 0, 2], [0, 0, 0, 0]])


def test_pixel_figures_of_4_x_4_pixels_by_hand() -> None:
    counts = class_counts(label_overlaps(TRUTH, FOUND), (0, 1, 2))
    # Class 1: 8 true, 4 predicted, 3 of them right, so 5 + 1 of 16 pixels are wrong; without any, 8 would be.
    assert counts[1] == PixelCounts(pixels=16, truth=8, predicted=4, hit=3)
    figures = pixel_figures(counts[1])
    assert (figures.l1_error, figures.l1_error_of_background) == (6 / 16, 8 / 16)
    assert (figures.dice, figures.iou) == (6 / 12, 3 / 9)
    assert (figures.precision, figures.recall) == (3 / 4, 3 / 8)
    assert counts[0] == PixelCounts(16, 4, 7, 3)
    assert counts[2] == PixelCounts(16, 4, 5, 3)
    assert figures.l1_error == np.abs((TRUTH == 1).astype(float) - (FOUND == 1)).mean()


@pytest.mark.parametrize(
    ("counts", "images", "undefined"),
    [
        (PixelCounts(9, 4, 0, 0), 1, {"precision": NO_DETECTIONS}),
        (PixelCounts(9, 0, 4, 0), 1, {"recall": NO_TRUTH}),
        (PixelCounts(9), 1, {"dice": NEITHER, "iou": NEITHER, "precision": NO_DETECTIONS, "recall": NO_TRUTH}),
        (
            PixelCounts(),
            1,
            dict.fromkeys(("l1_error", "l1_error_of_background", "dice", "iou", "precision", "recall"), NO_PIXELS),
        ),
        (
            PixelCounts(),
            0,
            dict.fromkeys(("l1_error", "l1_error_of_background", "dice", "iou", "precision", "recall"), NO_IMAGES),
        ),
    ],
)
def test_pixel_figures_without_a_value_say_why(counts: PixelCounts, images: int, undefined: dict[str, str]) -> None:
    figures = pixel_figures(counts, images)
    assert figures.undefined == undefined
    assert {name for name in ("l1_error", "dice", "iou", "precision", "recall") if getattr(figures, name) is None} == {
        name for name in undefined if name != "l1_error_of_background"
    }


def test_counts_of_several_pictures_add_up() -> None:
    assert summed([PixelCounts(4, 3, 2, 1), PixelCounts(40, 30, 20, 10)]) == PixelCounts(44, 33, 22, 11)
    assert summed([]) == PixelCounts(0, 0, 0, 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_threshold_is_the_number_that_the_network_wrote(dtype: type[np.floating]) -> None:
    # 0.7 in 32 bits is below 0.7 in 64.
    probability = np.array([0.1, 0.7, 0.3, 0.9], dtype)
    curve = pixel_curve(np.array([False, True, False, True]), probability)
    assert [counts.predicted for counts in curve.counts_at((0.1, 0.3, 0.7, 0.9))] == [4, 3, 2, 1]


def test_whole_numbers_stand_for_their_share_of_the_greatest() -> None:
    truth = np.array([True, True, False])
    eight = pixel_curve(truth, np.array([255, 51, 0], np.uint8))
    sixteen = pixel_curve(truth, np.array([65535, 13107, 0], np.uint16))
    assert eight.score.tolist() == sixteen.score.tolist() == [1.0, 0.2, 0.0]
    assert eight.counts_at((0.2,)) == [PixelCounts(3, 2, 2, 2)]


def test_levels_keep_memory_small_and_move_a_score_by_half_a_step() -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random(5000) < 0.3, rng.random(5000)
    score[truth] = np.sqrt(score[truth])
    exact, coarse = pixel_curve(truth, score), pixel_curve(truth, score, levels=101)
    assert len(exact) == 5000 and len(coarse) == 101
    assert coarse.average_precision == pytest.approx(exact.average_precision, abs=0.01)
    assert coarse.counts_at((0.5,))[0].predicted == (score >= 0.495).sum()


def test_a_curve_of_many_blocks_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random((30, 7)) < 0.3, rng.integers(0, 9, (30, 7)).astype(np.uint8)
    whole = pixel_curve(truth, score)
    monkeypatch.setattr("evaluation.pixel_curves._BLOCK", 8)
    parts = pixel_curve(truth, score)
    np.testing.assert_array_equal(parts.truth, whole.truth)
    np.testing.assert_array_equal(parts.other, whole.other)


def test_class_curves_read_each_channel_against_its_class() -> None:
    truth = np.array([[0, 1], [2, 2]])
    perfect = (truth[..., None] == (0, 1, 2)).astype(np.float32)
    assert [curve.average_precision for curve in class_curves(truth, perfect, (0, 1, 2))] == [1.0] * 3
    swapped = class_curves(truth, perfect, (0, 2, 1))
    assert [curve.average_precision for curve in swapped] == [1.0, 0.5, 0.25]
    with pytest.raises(ValueError, match="values must be 3"):
        class_curves(truth, perfect, (0, 1))


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (np.array([0.5, np.nan]), "0 to 1, got nan"),
        (np.array([0.5, np.inf]), "0 to 1, got inf"),
        (np.array([-0.1, 0.5], np.float32), "0 to 1, got -0.1"),
        (np.array([0, 200], np.int32), "8 or 16 bits, got int32"),
    ],
)
@pytest.mark.parametrize("levels", [None, 256])
def test_what_is_no_probability_is_refused(probability: np.ndarray, text: str, levels: int | None) -> None:
    with pytest.raises(ValueError, match=text):
        pixel_curve(np.array([True, False]), probability, levels=levels)


def test_a_curve_of_unequal_sizes_is_refused() -> None:
    with pytest.raises(AnnotationError, match="3 x 2 as of truth, got 2 x 3"):
        pixel_curve(np.zeros((2, 3), np.bool_), np.zeros((3, 2)))


def test_no_pixels_have_no_curve() -> None:
    for curve in (pixel_curve(np.zeros((0, 4), np.bool_), np.zeros((0, 4), np.float32)), merged_curves([])):
        assert (len(curve), curve.average_precision, curve.mean_l1_error) == (0, None, None)
        assert curve.counts_at((0.5,)) == [PixelCounts()]
        metrics = probability_metrics(curve, images=0)
        assert metrics.undefined == {"pr_auc": NO_IMAGES, "mean_l1_error": NO_IMAGES}
        assert metrics.sweep.trap is None
        assert json.dumps(metrics.to_json(), allow_nan=False)


def sparse_picture() -> tuple[np.ndarray, np.ndarray]:
    """3 % foreground, half of it faint, beside a rim that is nearly as bright."""
    truth = np.zeros((100, 100), np.bool_)
    truth[:10, :30] = True
    probability = np.full(truth.shape, 0.05)
    probability[:10, :15], probability[:10, 15:30] = 0.9, 0.35
    probability[10:13, :60] = 0.4
    return truth, probability


def test_a_sweep_names_the_threshold_that_l1_would_choose_wrongly() -> None:
    truth, probability = sparse_picture()
    sweep = threshold_sweep(pixel_curve(truth, probability))
    # At 0.35 all 300 are found and 180 too many: Dice 600 / 780, 180 wrong.
    # Above 0.4 are 150 of them and nothing else: Dice 300 / 450, 150 wrong.
    assert (sweep.best_dice, sweep.least_l1_error) == (0.35, 0.9)
    assert sweep.trap == L1_PREFERS_LESS
    assert sweep.remark is not None and sweep.remark.startswith(TRAPS[L1_PREFERS_LESS])
    for figure in ("threshold 0.35", "0.7692", "0.018", "threshold 0.9", "0.6667", "0.015", "0.03"):
        assert figure in sweep.remark
    assert sweep.figures[6].dice == 600 / 780


def test_a_sweep_says_when_an_empty_picture_has_the_least_error() -> None:
    truth, probability = sparse_picture()
    probability[20:25, :70] = 0.95
    sweep = threshold_sweep(pixel_curve(truth, probability))
    assert sweep.trap == L1_PREFERS_EMPTY
    assert sweep.remark is not None and TRAPS[L1_PREFERS_EMPTY] in sweep.remark


def test_a_mask_as_wrong_as_an_empty_picture_is_a_trap_too() -> None:
    # The best mask finds 4 of 4 pixels and 4 others: 4 are wrong, as they are in an empty picture.
    truth = np.arange(20) < 4
    sweep = threshold_sweep(pixel_curve(truth, np.where(np.arange(20) < 8, 0.9, 0.01)))
    assert (sweep.best_dice, sweep.trap) == (0.9, L1_PREFERS_EMPTY)
    sweep = threshold_sweep(pixel_curve(truth, np.where(np.arange(20) < 7, 0.9, 0.01)))
    assert sweep.trap is None


def test_a_sweep_of_good_probabilities_names_no_trap() -> None:
    truth, _ = sparse_picture()
    sweep = threshold_sweep(pixel_curve(truth, np.where(truth, 0.8, 0.2)))
    assert (sweep.best_dice, sweep.least_l1_error, sweep.trap, sweep.remark) == (0.8, 0.8, None, None)
    assert json.loads(json.dumps(sweep.to_json()))["thresholds"][0]["threshold"] == 0.05


def test_a_sweep_without_the_class_chooses_nothing() -> None:
    sweep = threshold_sweep(pixel_curve(np.zeros(5, np.bool_), np.linspace(0, 1, 5)))
    assert (sweep.best_dice, sweep.trap) == (None, None)
    sweep = threshold_sweep(pixel_curve(np.ones(5, np.bool_), np.zeros(5)))
    assert (sweep.best_dice, sweep.trap) == (None, None)


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.5), (0.6, 0.5)])
def test_thresholds_that_do_not_rise_are_refused(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="thresholds must rise"):
        threshold_sweep(pixel_curve(np.ones(1, np.bool_), np.ones(1)), thresholds)
