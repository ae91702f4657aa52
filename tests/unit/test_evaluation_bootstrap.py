from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
from evaluation_sets import dataset, detections, images, random_set

from annotations.tables import Annotations, BoxDataset, Detections
from evaluation.average_precision import READINGS, average_precision
from evaluation.bootstrap import (
    Interval,
    bias_corrected_interval,
    drawing_units,
    resampled_average_precision,
    weighted_average_precision,
)
from evaluation.curves import class_curves
from evaluation.figures import ScoreSettings
from evaluation.matching import match
from evaluation.metrics import evaluate_splits

Table = TypeVar("Table", Annotations, Detections)


def really_resampled(truth: BoxDataset, found: Detections, drawn: np.ndarray) -> tuple[BoxDataset, Detections]:
    """The set in which the drawn images really stand, some of them several times."""

    def copied(table: Table) -> Table:
        rows = np.concatenate([np.flatnonzero(table.image_row == old) for old in drawn])
        image_row = np.concatenate([np.full((table.image_row == old).sum(), new) for new, old in enumerate(drawn)])
        return replace(table.take(rows), image_row=image_row, object_id=np.arange(len(rows)))

    table = images(len(drawn), size=(61, 47))
    return replace(truth, images=table, annotations=copied(truth.annotations)), copied(found)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("seed", range(6))
def test_weights_equal_a_really_resampled_set(seed: int, reading: str) -> None:
    rng = np.random.default_rng(seed)
    # Distinct scores: between tied detections a real copy may stand elsewhere than a weight.
    truth, found = random_set(rng, pictures=8, truths=20, found=40, classes=2, scores=10**9)
    drawn = np.sort(rng.integers(0, 8, 8))
    weight = np.bincount(drawn, minlength=8)
    real = class_curves(match(*really_resampled(truth, found, drawn)), 2)
    weighted = class_curves(match(truth, found), 2)
    for one, other in zip(weighted, real, strict=True):
        value = weighted_average_precision(one, weight, reading)
        assert value == pytest.approx(average_precision(other, reading), abs=1e-12)


def test_a_resample_without_truth_has_no_average_precision() -> None:
    table = images(2)
    one = class_curves(match(dataset(table, [(0, 0, (0, 0, 9, 9))]), detections(table, [(0, 0, (0, 0, 9, 9), 0.5)])), 1)
    assert weighted_average_precision(one[0], np.array([0, 2])) is None
    values = resampled_average_precision(one, np.array([0, 1]), resamples=200, seed=0)
    # Both draws miss image 0 in a quarter of the resamples.
    assert 20 < np.isnan(values).sum() < 90
    assert set(values[~np.isnan(values)].tolist()) == {1.0}


def test_resampling_is_a_pure_function_of_the_seed() -> None:
    truth, found = random_set(np.random.default_rng(1), pictures=6, truths=12, found=30, classes=2)
    curves, unit = class_curves(match(truth, found), 2), np.arange(6)
    first, again, other = (resampled_average_precision(curves, unit, resamples=20, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other, equal_nan=True)


def test_no_images_at_all_give_no_resamples() -> None:
    assert np.isnan(resampled_average_precision([], np.zeros(0, np.int64), resamples=3, seed=0)).all()


def test_images_of_a_group_are_drawn_together() -> None:
    group = np.array(["b", "", "a", "b", "", "a"])
    inside = np.array([True, True, True, True, True, False])
    assert drawing_units(group, inside).tolist() == [1, 2, 0, 1, 3, -1]


def test_groups_widen_the_interval_when_their_images_are_alike() -> None:
    def interval(groups: list[str]) -> Interval:
        table = images(60, groups=groups)
        box = (0, 0, 9, 9)
        # The first 30 images are found, the others missed.
        found = detections(table, [(row, 0, box, 0.9) for row in range(30)])
        result = evaluate_splits(dataset(table, [(row, 0, box) for row in range(60)]), found).splits["all"].ap50_ci
        assert result is not None
        return result

    alone, together = interval([""]), interval([f"g{row // 10}" for row in range(60)])
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_an_interval_of_what_never_varies_is_a_point() -> None:
    assert bias_corrected_interval(0.4, np.full(100, 0.4)) == Interval(0.4, 0.4)


def test_an_interval_without_bias_is_the_percentiles() -> None:
    values = np.arange(1001) / 1000
    found = bias_corrected_interval(0.5, values)
    assert found is not None
    # The 2.5 % and 97.5 % quantiles of 0, .001, ... 1.
    assert (found.low, found.high) == pytest.approx((0.025, 0.975), abs=1e-9)


def test_an_interval_moves_against_the_bias() -> None:
    # 0.7 of the resamples lie below the point: the resamples lie too low, so the interval moves up.
    found = bias_corrected_interval(0.7, np.arange(1001) / 1000)
    assert found is not None
    assert found.low > 0.1
    assert found.high > 0.99


def test_an_interval_leaves_out_nan_and_is_none_without_values() -> None:
    assert bias_corrected_interval(0.5, np.array([0.5, np.nan])) == Interval(0.5, 0.5)
    assert bias_corrected_interval(0.5, np.array([np.nan])) is None


def test_an_interval_holds_where_every_resample_lies_on_one_side() -> None:
    found = bias_corrected_interval(0.9, np.linspace(0.1, 0.2, 50))
    assert found is not None
    assert 0.1 <= found.low <= found.high <= 0.2


def test_one_image_with_truth_has_no_interval_and_a_reason() -> None:
    table = images(3)
    box = (0, 0, 9, 9)
    # Two objects, but one image: drawing images again cannot make them vary.
    truth = dataset(table, [(0, 0, box), (0, 0, (20, 20, 30, 30))])
    split = evaluate_splits(truth, detections(table, [(0, 0, box, 0.9)])).splits["all"]
    assert split.ap50_ci is None
    assert split.undefined == {"ap50_ci": "too-few-images"}
    assert split.classes["code"].undefined == {"ap50_ci": "too-few-images"}


def test_no_resamples_are_not_asked_for() -> None:
    truth, found = random_set(np.random.default_rng(2), pictures=6, truths=12, found=30, classes=1)
    metrics = evaluate_splits(truth, found, ScoreSettings(resamples=0))
    assert {split.undefined["ap50_ci"] for split in metrics.splits.values()} == {"not-asked"}


def test_intervals_hold_the_true_value_about_as_often_as_they_say() -> None:
    # Each of 40 images has one object, found with probability 0.6: the true all-point AP is 0.6.
    rng, held = np.random.default_rng(0), 0
    box = (0, 0, 9, 9)
    table = images(40)
    truth = dataset(table, [(row, 0, box) for row in range(40)])
    settings = ScoreSettings(ap="all-point", resamples=200)
    for _ in range(60):
        found = detections(table, [(int(row), 0, box, 0.9) for row in np.flatnonzero(rng.random(40) < 0.6)])
        interval = evaluate_splits(truth, found, settings).splits["all"].ap50_ci
        assert interval is not None
        held += interval.low <= 0.6 <= interval.high
    # 57 of 60 on average if the level is kept; 50 would be under 84 %.
    assert held >= 51
