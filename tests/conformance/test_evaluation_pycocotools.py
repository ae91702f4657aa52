"""Our figures are pycocotools', to the last digits, with crowds, ignored truth, sizes and a limit of detections."""

import numpy as np
import pytest
from coco_peer import peer_precisions, xywh
from evaluation_sets import dataset, detections, images, marked, random_set
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask

from annotations.tables import BoxDataset, Detections, pixels
from evaluation.average_precision import AT_50, AT_75, IOU_THRESHOLDS
from evaluation.figures import ScoreSettings
from evaluation.iou import iou, iou_of_pairs
from evaluation.matching import candidates
from evaluation.metrics import evaluate_splits
from evaluation.precisions import average_precisions
from evaluation.sizes import ALL, SIZES

CASES = [
    # pictures, truths, detections, classes, distinct scores
    (1, 1, 1, 1, 2),
    (3, 5, 9, 1, 3),
    (8, 12, 40, 2, 2),
    (20, 60, 200, 3, 5),
    (20, 60, 200, 3, 1000),
    (40, 30, 400, 5, 1),
    (2, 40, 300, 1, 4),
]


def our_precisions(truth: BoxDataset, found: Detections, most: int | None = None) -> np.ndarray:
    """(4, 10, classes) APs of all, small, medium and large objects."""
    everywhere = {"all": np.ones(len(truth.images), np.bool_)}
    ranked = candidates(truth, found, max_detections=most)
    return np.stack([average_precisions(ranked, everywhere, "coco-101", size=size)["all"] for size in (ALL, *SIZES)])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("most", [None, 2])
def test_average_precision_agrees_with_pycocotools(case: tuple[int, ...], seed: int, most: int | None) -> None:
    pictures, truths, number, classes, scores = case
    rng = np.random.default_rng([seed, *case])
    truth, found = random_set(rng, pictures=pictures, truths=truths, found=number, classes=classes, scores=scores)
    ours = our_precisions(truth, found, most)
    assert ours.shape == (4, len(IOU_THRESHOLDS), classes)
    np.testing.assert_allclose(ours, peer_precisions(truth, found, most), rtol=0, atol=1e-9)


@st.composite
def marked_sets(draw: st.DrawFn) -> tuple[BoxDataset, Detections]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pictures, truths, found, classes = (draw(st.integers(1, most)) for most in (4, 15, 40, 3))
    scale, share = draw(st.sampled_from([1, 8])), draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    truth, detected = random_set(
        rng,
        pictures=pictures,
        truths=truths,
        found=found,
        classes=classes,
        scores=draw(st.integers(1, 50)),
        scale=scale,
    )
    crowd, ignore = rng.random((2, truths)) < share
    return marked(truth, crowd=crowd & (rng.random(truths) < 0.7), ignore=ignore & (rng.random(truths) < 0.5)), detected


@given(marked_sets(), st.sampled_from([None, 1, 3]))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_crowds_ignored_truth_and_sizes_agree_with_pycocotools(
    both: tuple[BoxDataset, Detections], most: int | None
) -> None:
    np.testing.assert_allclose(our_precisions(*both, most), peer_precisions(*both, most), rtol=0, atol=1e-9)


def test_areas_on_the_border_of_two_sizes_count_in_both_as_in_pycocotools() -> None:
    table = images(2, size=(640, 480))
    boxes = [(10.25, 10.5, 42.25, 42.5), (100.75, 50, 196.75, 146)]
    truth = dataset(table, [(0, 0, box) for box in boxes])
    found = detections(
        table, [(0, 0, boxes[0], 0.5), (0, 0, boxes[1], 0.25), (1, 0, boxes[0], 0.9), (1, 0, boxes[1], 1)]
    )
    ours = our_precisions(truth, found)
    np.testing.assert_allclose(ours, peer_precisions(truth, found), rtol=0, atol=1e-9)
    # Of medium size: both, ranked behind two misses; of small and of large: one, behind one miss.
    assert ours[:, 0, 0].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5])


def test_the_figures_of_a_scoring_are_those_of_pycocotools_summary() -> None:
    truth, found = random_set(np.random.default_rng(5), pictures=12, truths=60, found=250, classes=4, scale=8)
    everything = evaluate_splits(truth, found, ScoreSettings(resamples=0), splits=["all"]).splits["all"]
    peer = peer_precisions(truth, found)
    assert everything.ap == pytest.approx(np.nanmean(peer[0]), abs=1e-9)
    assert everything.ap50 == pytest.approx(np.nanmean(peer[0, AT_50]), abs=1e-9)
    assert everything.ap75 == pytest.approx(np.nanmean(peer[0, AT_75]), abs=1e-9)
    for values, (size, part) in zip(peer[1:], everything.by_size.items(), strict=True):
        assert part.ap == pytest.approx(np.nanmean(values), abs=1e-9), size
        for class_id, figures in enumerate(everything.classes.values()):
            ours = figures.by_size[size].ap75
            expected = values[AT_75, class_id]
            assert ours == (None if np.isnan(expected) else pytest.approx(expected, abs=1e-9))


@pytest.mark.slow
def test_a_large_set_agrees_with_pycocotools() -> None:
    # A tenth of the set in benchmarks/score_speed.py, which compares the whole of it when asked.
    rng = np.random.default_rng(0)
    truth, found = random_set(rng, pictures=500, truths=3600, found=60_000, classes=80, scores=10**5, scale=8)
    truth = marked(truth, crowd=rng.random(3600) < 0.01)
    np.testing.assert_allclose(our_precisions(truth, found, 100), peer_precisions(truth, found, 100), rtol=0, atol=1e-9)


@pytest.mark.parametrize("crowds", [False, True])
def test_iou_agrees_with_pycocotools(crowds: bool) -> None:
    truth, found = random_set(np.random.default_rng(3), pictures=1, truths=40, found=60, classes=1)
    a = pixels(truth.images, found.image_row, found.xyxy_rel)
    b = pixels(truth.images, truth.annotations.image_row, truth.annotations.xyxy_rel)
    expected = mask.iou(xywh(a).tolist(), xywh(b).tolist(), [crowds] * len(b))
    assert (expected > 0).sum() > 20
    ours = iou_of_pairs(a[:, None], b[None], np.array(True)) if crowds else iou(a, b)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)
