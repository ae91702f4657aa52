"""Equal to stardist.matching, scikit-learn and scikit-image, where they are installed."""

from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mask_samples import disturbed, random_labels
from numpy.typing import NDArray

from evaluation.label_files import read_labels
from evaluation.label_matching import IOU_THRESHOLDS
from evaluation.mask_figures import RATES, MaskSettings
from evaluation.mask_metrics import image_figures, image_masks, mask_metrics

SETTINGS = MaskSettings(resamples=0)
SHAPES = [(7, 9), (60, 80), (300, 280), (4, 5, 6), (12, 40, 50)]
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "nuclei"


@pytest.fixture(scope="module")
def stardist() -> ModuleType:
    """stardist's matching, with one more criterion: its IoU in 64 bits, for its own is held in 32."""
    matching = pytest.importorskip("stardist.matching", exc_type=ImportError)
    matching.matching_criteria["iou64"] = iou_of_64_bits
    return matching


def iou_of_64_bits(overlap: NDArray[np.uint64]) -> NDArray[np.float64]:
    shared = overlap.astype(np.float64)
    union = shared.sum(axis=0, keepdims=True) + shared.sum(axis=1, keepdims=True) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def sample(seed: int, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng([seed, *shape])
    truth = random_labels(rng, shape, int(rng.integers(1, 40)))
    return truth, disturbed(rng, truth, int(rng.integers(0, 1 + min(shape) // 4)))


def agree(ours: object, peer: object, tolerance: float = 1e-9) -> None:
    for name in RATES:
        # A figure without a value is 0 in stardist.
        assert (getattr(ours, name) or 0) == pytest.approx(getattr(peer, name), abs=tolerance), name
    assert (ours.tp, ours.fp, ours.fn) == (peer.tp, peer.fp, peer.fn)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_figures_of_an_image_agree_with_stardist(stardist: ModuleType, shape: tuple[int, ...], seed: int) -> None:
    truth, predicted = sample(seed, shape)
    ours = image_figures(image_masks("a", truth, predicted), SETTINGS)
    for row, peer in zip(ours, stardist.matching(truth, predicted, IOU_THRESHOLDS, criterion="iou64"), strict=True):
        agree(row, peer)
    # With its own IoU, which it rounds to 32 bits.
    for row, peer in zip(ours, stardist.matching(truth, predicted, IOU_THRESHOLDS), strict=True):
        agree(row, peer, 1e-6)


def test_figures_of_images_without_objects_agree_with_stardist(stardist: ModuleType) -> None:
    empty, some = np.zeros((8, 8), np.uint16), np.eye(8, dtype=np.uint16)
    for truth, predicted in ((empty, some), (some, empty), (empty, empty)):
        ours = image_figures(image_masks("a", truth, predicted), SETTINGS)
        for row, peer in zip(ours, stardist.matching(truth, predicted, IOU_THRESHOLDS), strict=True):
            agree(row, peer)


def test_figures_of_a_set_agree_with_stardist(stardist: ModuleType) -> None:
    pairs = [sample(seed, (60, 80)) for seed in range(12)]
    pairs += [(np.zeros((9, 9), np.int64), np.eye(9, dtype=np.int64)), (np.zeros((9, 9), np.int64),) * 2]
    metrics = mask_metrics([image_masks(str(i), *pair) for i, pair in enumerate(pairs)], SETTINGS)
    truths, predictions = zip(*pairs, strict=True)
    options = {"thresh": IOU_THRESHOLDS, "criterion": "iou64", "show_progress": False}
    for row, peer in zip(metrics.pooled, stardist.matching_dataset(truths, predictions, **options), strict=True):
        agree(row, peer)
    by_image = stardist.matching_dataset(truths, predictions, by_image=True, **options)
    for mean, peer in zip(metrics.by_image, by_image, strict=True):
        for name in RATES:
            # stardist counts an image without a value as 0; ours leaves it out, and says so.
            counted = len(pairs) - mean.left_out.get(name, 0)
            assert (getattr(mean, name) or 0) * counted / len(pairs) == pytest.approx(getattr(peer, name), abs=1e-9)
        assert mean.left_out["f1"] == 1


def test_figures_of_real_nuclei_agree_with_stardist(stardist: ModuleType) -> None:
    files = sorted((SHARED / "dsb2018" / "val" / "masks").glob("*.png"))[:6] + sorted(SHARED.glob("*3d*/*/masks/*.tif"))
    if not files:
        pytest.skip("no shared data")
    rng = np.random.default_rng(5)
    for path in files:
        truth = read_labels(path).astype(np.int64)
        predicted = disturbed(rng, truth, 4)
        ours = image_figures(image_masks(path.stem, truth, predicted), SETTINGS)
        for row, peer in zip(ours, stardist.matching(truth, predicted, IOU_THRESHOLDS, criterion="iou64"), strict=True):
            agree(row, peer)
        assert asdict(ours[0])["tp"] > 0


@pytest.mark.parametrize("seed", range(4))
def test_assignment_agrees_with_scipy(seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize", exc_type=ImportError)
    from annotations.best_assignment import best_assignment

    rng = np.random.default_rng(seed)
    for rows, columns, share in ((1, 1, 1.0), (30, 20, 1.0), (60, 90, 0.1), (300, 300, 0.02), (80, 80, 0.5)):
        weight = rng.random((rows, columns)) * (rng.random((rows, columns)) < share)
        if seed % 2:
            weight = np.round(weight * 4) / 4  # many ties
        row, column = np.nonzero(weight)
        chosen = best_assignment(row, column, weight[row, column])
        assert len(set(row[chosen])) == len(set(column[chosen])) == len(chosen)
        expected = weight[optimize.linear_sum_assignment(weight, maximize=True)].sum()
        assert weight[row[chosen], column[chosen]].sum() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.uint16])
def test_pr_auc_agrees_with_scikit_learn(dtype: type[np.generic]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", exc_type=ImportError)
    from evaluation.pixel_curves import pixel_curve

    rng = np.random.default_rng(3)
    for share in (0.5, 0.02):
        truth = rng.random((90, 70)) < share
        raw = np.clip(truth * 0.3 + rng.random(truth.shape) * 0.7, 0, 1)
        score = (raw * np.iinfo(dtype).max).astype(dtype) if np.issubdtype(dtype, np.integer) else raw.astype(dtype)
        expected = metrics.average_precision_score(truth.ravel(), score.ravel().astype(np.float64))
        assert pixel_curve(truth, score).average_precision == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(60, 80), (12, 40, 50)], ids=str)
def test_object_table_agrees_with_scikit_image(shape: tuple[int, ...]) -> None:
    measure = pytest.importorskip("skimage.measure", exc_type=ImportError)
    from evaluation.object_table import object_table

    rng = np.random.default_rng(2)
    labels, picture = random_labels(rng, shape, 30), rng.random(shape)
    table, regions = object_table(labels, picture), measure.regionprops(labels, picture)
    assert table.label.tolist() == [region.label for region in regions]
    np.testing.assert_allclose(table.centroid, [region.centroid for region in regions], rtol=0, atol=1e-9)
    boxes = np.concatenate([table.low, table.high], axis=1)
    assert boxes.tolist() == [list(region.bbox) for region in regions]
    assert table.size.tolist() == [region.area for region in regions]
    np.testing.assert_allclose(table.mean_intensity, [region.intensity_mean for region in regions], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(table.max_intensity, [region.intensity_max for region in regions])
