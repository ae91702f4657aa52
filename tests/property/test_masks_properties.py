"""Masks against definitions in exact fractions that share no code with the package, and what must not matter."""

from fractions import Fraction
from itertools import permutations
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mask_samples import disturbed, random_labels
from numpy.typing import NDArray

from annotations.best_assignment import best_assignment
from evaluation.label_matching import IOU_THRESHOLDS, match_labels
from evaluation.label_overlaps import label_overlaps
from evaluation.mask_figures import RATES, MaskSettings
from evaluation.mask_metrics import image_figures, image_masks
from evaluation.object_table import object_table
from evaluation.pixel_curves import merged_curves, pixel_curve
from evaluation.pixel_scores import foreground_counts

Picture = NDArray[np.uint8]
Scene = tuple[Picture, Picture]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Two label images of one small size, in 2D or 3D, with up to 5 objects each."""
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=5))
    objects = st.integers(0, draw(st.integers(0, 5)))
    return draw(arrays.arrays(np.uint8, shape, elements=objects)), draw(
        arrays.arrays(np.uint8, shape, elements=objects)
    )


def fraction_ious(truth: Picture, predicted: Picture) -> dict[tuple[int, int], Fraction]:
    """Intersection over union of every pair, straight from the definition."""
    t, p = truth.reshape(-1).tolist(), predicted.reshape(-1).tolist()
    places = {
        (side, label): {i for i, x in enumerate(pixels) if x == label}
        for side, pixels in ((0, t), (1, p))
        for label in pixels
    }
    return {
        (i, j): Fraction(len(places[0, i] & places[1, j]), len(places[0, i] | places[1, j]))
        for i in set(t) - {0}
        for j in set(p) - {0}
    }


def optimal_sums(truth: Picture, predicted: Picture, threshold: Fraction) -> tuple[int, set[Fraction]]:
    """The matches and the sum of their IoU in every optimal assignment, by trying all of them.

    Optimal: most pairs that reach the threshold, then most IoU in all.
    """
    iou = fraction_ious(truth, predicted)
    few, many = sorted([{i for i, _ in iou}, {j for _, j in iou}], key=len)
    turned = few != {i for i, _ in iou}
    best, sums = (-1, Fraction(-1)), set[Fraction]()
    for order in permutations(sorted(many), len(few)):
        values = [iou[(j, i) if turned else (i, j)] for i, j in zip(sorted(few), order, strict=True)]
        hits = [value for value in values if value >= threshold]
        rank = (len(hits), sum(values, Fraction()))
        if rank > best:
            best, sums = rank, set()
        if rank == best:
            sums.add(sum(hits, Fraction()))
    return best[0], sums


@given(scenes(), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_matching_is_optimal_among_all_assignments(scene: Scene, tenths: int) -> None:
    found = match_labels(label_overlaps(*scene), IOU_THRESHOLDS[tenths - 1])
    matches, sums = optimal_sums(*scene, Fraction(tenths, 10))
    assert len(found) == matches
    assert len(set(found.truth_row.tolist())) == len(set(found.predicted_row.tolist())) == len(found)
    assert min(abs(found.iou.sum() - float(value)) for value in sums) < 1e-9


@given(scenes())
@settings(max_examples=100, deadline=None)
def test_the_iou_matrix_is_that_of_the_definition(scene: Scene) -> None:
    found, expected = label_overlaps(*scene), fraction_ious(*scene)
    assert found.iou_matrix.shape == (len({i for i in scene[0].flat if i}), len({j for j in scene[1].flat if j}))
    for row, truth in enumerate(found.truth_label.tolist()):
        for column, predicted in enumerate(found.predicted_label.tolist()):
            assert found.iou_matrix[row, column] == float(expected[truth, predicted])


@given(scenes(), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_figures_follow_the_formulas_of_the_papers(scene: Scene, tenths: int) -> None:
    settings = MaskSettings((IOU_THRESHOLDS[tenths - 1],), resamples=0)
    image = image_masks("a", *scene, iou_thresholds=settings.iou_thresholds)
    (ours,) = image_figures(image, settings)
    tp, fp, fn, total = ours.tp, ours.fp, ours.fn, Fraction(image.matched_iou[0])
    formulas = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "accuracy": (tp, tp + fp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "mean_true_score": (total, tp + fn),
        "mean_matched_score": (total, tp),
        "panoptic_quality": (total, tp + Fraction(fp, 2) + Fraction(fn, 2)),
    }
    for name, (above, below) in formulas.items():
        if below:
            assert getattr(ours, name) == pytest.approx(float(Fraction(above) / Fraction(below)), abs=1e-12)
            assert name not in ours.undefined
        else:
            assert getattr(ours, name) is None
            assert ours.undefined[name]
    assert set(formulas) == set(RATES)


@given(st.integers(0, 2**32), st.sampled_from([(9, 12), (30, 40), (5, 9, 8)]))
@settings(max_examples=40, deadline=None)
def test_neither_numbers_nor_directions_matter(seed: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    truth = random_labels(rng, shape, 12)
    predicted = disturbed(rng, truth, 2)
    numbers = np.append(0, rng.permutation(500)[: int(truth.max())] + 1)
    before = image_masks("a", truth, predicted)
    for other in (
        image_masks("a", numbers[truth], predicted),
        image_masks("a", truth[::-1].T, predicted[::-1].T),
    ):
        assert (other.tp, other.truth, other.predicted) == (before.tp, before.truth, before.predicted)
        assert other.matched_iou == pytest.approx(before.matched_iou, abs=1e-9)
    # Turned round, precision and recall change places.
    turned = image_masks("a", predicted, truth)
    assert (turned.tp, turned.truth) == (before.tp, before.predicted)
    assert turned.matched_iou == pytest.approx(before.matched_iou, abs=1e-9)


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 6), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_best_assignment_weighs_as_much_as_any(seed: int, rows: int, columns: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 4 if ties else 1000, (rows, columns)).astype(np.float64)
    row, column = np.nonzero(weight)
    chosen = best_assignment(row, column, weight[row, column])
    square = np.zeros((max(weight.shape),) * 2)
    square[:rows, :columns] = weight
    expected = max(square[range(len(square)), order].sum() for order in permutations(range(len(square))))
    assert weight[row[chosen], column[chosen]].sum() == expected


@given(scenes())
@settings(max_examples=60, deadline=None)
def test_pixel_counts_are_those_of_the_definition(scene: Scene) -> None:
    truth, predicted = (picture > 0 for picture in scene)
    counts = foreground_counts(label_overlaps(*scene))
    expected = (truth.size, truth.sum(), predicted.sum(), (truth & predicted).sum())
    assert (counts.pixels, counts.truth, counts.predicted, counts.hit) == expected
    assert counts.wrong == (truth != predicted).sum()


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_a_pixel_curve_is_that_of_the_definition(seed: int, pixels: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    truth, score = rng.random(pixels) < 0.4, rng.integers(0, levels + 1, pixels) / levels
    curve = pixel_curve(truth, score)
    if truth.any():
        seen = [(score >= s).sum() for s in score[truth]]
        found = [(truth & (score >= s)).sum() for s in score[truth]]
        expected = sum(Fraction(int(tp), int(n)) for tp, n in zip(found, seen, strict=True)) / int(truth.sum())
        assert curve.average_precision == pytest.approx(float(expected), abs=1e-12)
    else:
        assert curve.average_precision is None
    assert curve.mean_l1_error == pytest.approx(np.abs(truth - score).mean(), abs=1e-12)
    thresholds = sorted({0.0, 0.3, 1.0, float(score[0])})
    for threshold, counts in zip(thresholds, curve.counts_at(thresholds), strict=True):
        assert counts.predicted == (score >= threshold).sum()
        assert counts.hit == (truth & (score >= threshold)).sum()
    half = pixels // 2
    parts = merged_curves([pixel_curve(truth[:half], score[:half]), pixel_curve(truth[half:], score[half:])])
    for name in ("score", "truth", "other"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(curve, name))


@given(scenes())
@settings(max_examples=60, deadline=None)
def test_the_object_table_is_that_of_the_definition(scene: Scene) -> None:
    labels, picture = scene
    table = object_table(labels, picture)
    assert table.label.tolist() == sorted(set(labels.flat) - {0})
    assert table.size.sum() == (labels > 0).sum()
    for row, label in enumerate(table.label.tolist()):
        where = np.argwhere(labels == label)
        assert table.low[row].tolist() == where.min(axis=0).tolist()
        assert table.high[row].tolist() == (where.max(axis=0) + 1).tolist()
        assert table.centroid[row] == pytest.approx(where.mean(axis=0), abs=1e-12)
        values = picture[labels == label]
        assert (table.mean_intensity[row], table.max_intensity[row]) == (pytest.approx(values.mean()), values.max())
        assert table.max_intensity[row] < inf
