from dataclasses import replace

import numpy as np
import pytest
from evaluation_sets import dataset, detections, images, marked, random_set
from resampled_sets import really_resampled

from annotations.tables import BoxDataset, Detections
from evaluation.average_precision import READINGS
from evaluation.bootstrap import (
    Interval,
    bias_corrected_interval,
    drawing_units,
    over_resamples,
    resampled_weights,
)
from evaluation.bootstrap_counts import UnitsByClass, counted
from evaluation.bootstrap_figures import FIGURES, PRECISIONS, Resampled, mean_over_classes
from evaluation.bootstrap_precision import Ranking, all_taken, ranking
from evaluation.curves import TIES
from evaluation.figures import ScoreSettings
from evaluation.intervals import resampled_splits
from evaluation.matching import candidates, match
from evaluation.metrics import evaluate_splits, split_images
from evaluation.precisions import average_precisions

BOX = (0, 0, 9, 9)


def resampled_precisions(ranked: Ranking, units: int, resamples: int, seed: int = 0) -> dict[str, np.ndarray]:
    return over_resamples(
        lambda weight: ranked.figures(weight, "coco-101"),
        units,
        ranked.width,
        resamples=resamples,
        seed=seed,
        split="all",
    )


def hard_set(seed: int) -> tuple[BoxDataset, Detections]:
    """Crowds, ignored truth, three classes, objects of several sizes, and no two scores alike: between tied detections
    a real copy may stand elsewhere than a weight."""
    rng = np.random.default_rng(seed)
    truth, found = random_set(rng, pictures=9, truths=30, found=70, classes=3, scores=10**9, scale=1 + 7 * (seed % 2))
    count = len(truth.annotations)
    return marked(truth, crowd=list(rng.random(count) < 0.1), ignore=list(rng.random(count) < 0.1)), found


@pytest.mark.parametrize("seed", range(6))
def test_every_figure_of_a_resample_is_that_of_the_whole_scoring_of_a_really_resampled_set(seed: int) -> None:
    truth, found = hard_set(seed)
    matching, reading = ("coco", "voc")[seed % 2], tuple(READINGS)[seed % 3]
    settings = ScoreSettings(threshold=0.4, resamples=8, seed=seed, matching=matching, ap=reading)
    thresholds, splits = np.full(3, 0.4), split_images(truth)
    table = match(truth, found, matching=matching)
    resampled = resampled_splits(candidates(truth, found, matching=matching), table, splits, thresholds, settings)
    for split, inside in splits.items():
        rows = np.flatnonzero(inside)
        (weights,) = resampled_weights(len(rows), 8, seed, split, at_once=9)
        for row, weight in enumerate(weights):
            copies = really_resampled(truth, found, np.repeat(rows, weight))
            real = evaluate_splits(*copies, replace(settings, resamples=0)).splits[split]
            for name in FIGURES:
                expected = [getattr(figures, name) for figures in real.classes.values()]
                got = resampled[split].classes[name][row]
                np.testing.assert_allclose(got, np.array(expected, np.float64), atol=1e-14, rtol=0, err_msg=name)
                value = resampled[split].overall(name)[row]
                if (
                    name in PRECISIONS
                    and np.isnan(got).tolist() != np.isnan(resampled[split].classes[name][0]).tolist()
                ):
                    continue  # a class was lost, and is left out of both sides
                whole = getattr(real, name)
                assert np.isnan(value) if whole is None else value == pytest.approx(whole, abs=1e-14)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("size", ["all", "small", "medium"])
@pytest.mark.parametrize("reading", READINGS)
def test_weights_of_one_are_the_precisions_themselves(reading: str, size: str, ties: str) -> None:
    for seed in range(4):
        truth, found = random_set(np.random.default_rng(seed), pictures=9, truths=30, found=70, classes=3, scale=4)
        pairs = candidates(truth, found)
        inside = truth.images.split != "val"
        ranked = ranking(pairs, drawing_units(truth.images.group, inside), all_taken(pairs, size), ties)
        expected = average_precisions(pairs, {"": inside}, reading, size=size, ties=ties)[""]
        ones = np.ones((2, inside.sum()), np.int64)
        for row in ranked.precisions(ones, reading):
            np.testing.assert_allclose(row, expected, atol=1e-14, rtol=0)


def test_resamples_do_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, found = hard_set(1)
    unit = np.arange(9)
    pairs = candidates(truth, found)
    ranked = ranking(pairs, unit, all_taken(pairs))
    at_once = resampled_precisions(ranked, 9, resamples=20, seed=3)
    monkeypatch.setattr("evaluation.bootstrap._AT_ONCE", 1)
    one_by_one = resampled_precisions(ranked, 9, resamples=20, seed=3)
    for name in PRECISIONS:
        np.testing.assert_array_equal(at_once[name], one_by_one[name])


def test_a_resample_without_truth_has_no_average_precision() -> None:
    table = images(2)
    pairs = candidates(dataset(table, [(0, 0, BOX)]), detections(table, [(0, 0, BOX, 0.5)]))
    ranked = ranking(pairs, np.arange(2), all_taken(pairs))
    values = resampled_precisions(ranked, 2, resamples=200)["ap50"][:, 0]
    # Both draws miss image 0 in a quarter of the resamples.
    assert 20 < np.isnan(values).sum() < 90
    assert set(values[~np.isnan(values)].tolist()) == {1.0}


def test_rates_of_a_resample_by_hand() -> None:
    table = images(2)
    truth = dataset(table, [(0, 0, BOX), (1, 0, BOX)])
    found = detections(table, [(0, 0, BOX, 0.9), (0, 0, (30, 30, 40, 40), 0.8), (1, 0, (30, 30, 40, 40), 0.3)])
    counts = counted(match(truth, found), np.arange(2), np.array([0.5]), 1)
    weights = np.concatenate(list(resampled_weights(2, 50, 0, "all", at_once=7)))
    rates = counts.rates(weights)
    # TP and FP stand in image 0 alone, and one of the truths: P = w/2w, R = w/(w + v), F1 = 2w/(2w + w + v).
    first, second = weights.T
    for row, (w, v) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        got = [rates[name][row, 0] for name in ("precision", "recall", "f1")]
        expected = [0.5 if w else np.nan, w / (w + v), 2 * w / (3 * w + v)]
        np.testing.assert_array_equal(got, expected)


def test_resampling_is_a_pure_function_of_seed_and_split() -> None:
    def drawn(seed: int, split: str, at_once: int = 5) -> np.ndarray:
        return np.concatenate(list(resampled_weights(6, 20, seed, split, at_once=at_once)))

    first = drawn(5, "val")
    np.testing.assert_array_equal(first, drawn(5, "val", 21))
    assert (first[0] == 1).all()
    assert (first.sum(axis=1) == 6).all()
    assert not np.array_equal(first, drawn(6, "val"))
    assert not np.array_equal(first, drawn(5, "test"))


def test_resamples_of_two_splits_are_independent() -> None:
    table = images(80, splits=("train", "val"))
    # The same images in the same order in both splits: resamples that were alike would make a gap without spread.
    truth = dataset(table, [(row, 0, BOX) for row in range(80)])
    found = detections(table, [(row, 0, BOX, 0.9) for row in range(80) if (row // 2) % 2])
    gap = evaluate_splits(truth, found).gaps["train-val"].together.figures["recall"]
    assert gap.difference == 0
    assert gap.ci is not None
    # Two shares of 40 with p = 1/2: the difference has a standard deviation of sqrt(2 / 160) = 0.112.
    assert gap.ci.high - gap.ci.low == pytest.approx(2 * 1.96 * 0.112, rel=0.15)


def test_no_images_at_all_give_no_resamples() -> None:
    empty = images(0)
    pairs = candidates(dataset(empty, []), detections(empty, []))
    ranked = ranking(pairs, np.zeros(0, np.int64), all_taken(pairs))
    assert np.isnan(resampled_precisions(ranked, 0, resamples=3)["ap"]).all()


def test_images_of_a_group_are_drawn_together() -> None:
    group = np.array(["b", "", "a", "b", "", "a"])
    inside = np.array([True, True, True, True, True, False])
    assert drawing_units(group, inside).tolist() == [1, 2, 0, 1, 3, -1]


def test_the_different_units_of_each_class_are_counted() -> None:
    rows = UnitsByClass.of(np.array([0, 0, 3, 3, 4]), np.array([0, 0, 0, 2, 2]), 3)
    assert rows.bearing().tolist() == [2, 0, 2, 3]
    assert UnitsByClass.of(np.zeros(0, np.int64), np.zeros(0, np.int64), 0).bearing().tolist() == [0]


@pytest.mark.parametrize("name", FIGURES)
def test_groups_widen_the_interval_when_their_images_are_alike(name: str) -> None:
    def interval(groups: list[str]) -> Interval:
        table = images(60, groups=groups)
        # The first 30 images are found, in the others something else is.
        found = detections(table, [(row, 0, BOX if row < 30 else (20, 20, 30, 30), 0.9) for row in range(60)])
        result = evaluate_splits(dataset(table, [(row, 0, BOX) for row in range(60)]), found).splits["all"]
        found_interval = getattr(result, f"{name}_ci")
        assert isinstance(found_interval, Interval)
        return found_interval

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


def test_a_class_that_loses_its_truth_is_left_out_of_both_sides() -> None:
    nan = np.nan
    values = np.array([[0.8, 0.2, nan], [0.7, nan, nan], [nan, nan, nan], [0.9, 0.4, nan]])
    # Row 1: the mean of row 0, 0.5, less the change of the one class that is left, 0.1.
    np.testing.assert_allclose(mean_over_classes(values), [0.5, 0.4, nan, 0.65], atol=1e-15)
    assert np.isnan(mean_over_classes(np.full((3, 2), nan))).all()
    assert np.isnan(mean_over_classes(np.zeros((3, 0)))).all()


def test_a_rare_class_that_comes_and_goes_does_not_widen_the_interval_of_the_mean() -> None:
    # Nothing varies but whether class 1, never found, is drawn: the mean of what is left would jump between 0.5 and 1.
    table = images(30)
    rows = [(row, 0, BOX) for row in range(30)]
    truth = dataset(table, [*rows, (0, 1, (20, 20, 30, 30)), (1, 1, (20, 20, 30, 30))], classes=("code", "rare"))
    split = evaluate_splits(truth, detections(table, [(*row, 0.9) for row in rows])).splits["all"]
    assert (split.ap50, split.ap50_ci) == (0.5, Interval(0.5, 0.5))


def test_one_image_with_truth_has_no_interval_and_a_reason() -> None:
    table = images(3)
    # Two objects, but one image: drawing images again cannot make them vary.
    truth = dataset(table, [(0, 0, BOX), (0, 0, (20, 20, 30, 30))])
    split = evaluate_splits(truth, detections(table, [(0, 0, BOX, 0.9)])).splits["all"]
    for figures in (split, split.classes["code"]):
        assert figures.ap50_ci is None
        assert figures.undefined == {f"{name}_ci": "too-few-images" for name in FIGURES}


def test_each_figure_has_an_interval_where_two_images_bear_on_it() -> None:
    table = images(3)
    found = [(0, 0, BOX, 0.9), (1, 0, BOX, 0.9)]
    split = evaluate_splits(dataset(table, [(0, 0, BOX)]), detections(table, found)).splits["all"]
    # Detections in two images, but truth in one.
    assert {name for name in FIGURES if getattr(split, f"{name}_ci") is not None} == {"precision", "f1"}


def test_no_resamples_are_not_asked_for() -> None:
    truth, found = random_set(np.random.default_rng(2), pictures=6, truths=12, found=30, classes=1)
    metrics = evaluate_splits(truth, found, ScoreSettings(resamples=0))
    assert {split.undefined["ap50_ci"] for split in metrics.splits.values()} == {"not-asked"}
    gap = metrics.gaps["train-val"].together
    train, val = metrics.splits["train"].ap, metrics.splits["val"].ap
    assert train is not None and val is not None
    assert gap.figures["ap"].difference == pytest.approx(train - val, abs=1e-14)
    assert gap.undefined["ap_ci"] == "not-asked"


def coverage(rng: np.random.Generator, sets: int, pictures: int) -> dict[str, float]:
    """The share of sets whose interval holds the true value, for figures whose true value is known.

    Each image has two objects, both found or not, together more often than apart; a false positive of the lowest score
    stands beside each hit with probability 1/4. Found share 0.6, and nothing is ever ranked before a hit but hits.
    """
    table = images(pictures)
    second, away = (20, 20, 29, 29), [(40, 20, 50, 30), (60, 20, 70, 30)]
    truth = dataset(table, [(row, 0, box) for row in range(pictures) for box in (BOX, second)])
    held = dict.fromkeys(("ap", "recall", "precision", "f1"), 0)
    true = {"ap": 0.6, "recall": 0.6, "precision": 0.8, "f1": 2 * 0.6 / (0.6 * 1.25 + 1)}
    settings = ScoreSettings(ap="all-point", resamples=300, threshold=0.05)
    for _ in range(sets):
        easy = rng.random(pictures) < 0.5
        hit = rng.random((pictures, 2)) < np.where(easy, 0.9, 0.3)[:, None]
        rows = [(int(row), 0, (BOX, second)[i], 0.9) for row, i in zip(*np.nonzero(hit), strict=True)]
        false = hit & (rng.random((pictures, 2)) < 0.25)
        rows += [(int(row), 0, away[i], 0.1) for row, i in zip(*np.nonzero(false), strict=True)]
        split = evaluate_splits(truth, detections(table, rows), settings).splits["all"]
        for name in held:
            interval = getattr(split, f"{name}_ci")
            held[name] += interval.low <= true[name] <= interval.high
    return {name: count / sets for name, count in held.items()}


def test_intervals_hold_the_true_value_about_as_often_as_they_say() -> None:
    # 57 of 60 on average if the level is kept; 50, three standard deviations less, would be under 84 %.
    shares = coverage(np.random.default_rng(0), 60, 60)
    assert all(share >= 51 / 60 for share in shares.values()), shares


@pytest.mark.slow
def test_intervals_hold_the_true_value_95_times_of_100() -> None:
    shares = coverage(np.random.default_rng(1), 1000, 80)
    # The standard deviation of a share of 1000 is 0.007; percentile intervals of 80 images fall short by a little.
    assert all(0.925 <= share <= 0.97 for share in shares.values()), shares


def test_difference_of_two_tables_is_taken_row_by_row() -> None:
    def table(*values: float) -> Resampled:
        column = np.array(values)
        bearing = {"ap": np.array([len(values), 3])}
        return Resampled({"ap": column[:, None]}, {"f1": column}, bearing)

    change = table(0.9, 0.8, np.nan).minus(table(0.5, np.nan, 0.1))
    np.testing.assert_allclose(change.overall("ap"), [0.4, np.nan, np.nan])
    np.testing.assert_allclose(change.overall("f1"), [0.4, np.nan, np.nan])
