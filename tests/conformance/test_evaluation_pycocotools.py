import contextlib
import io

import numpy as np
import pytest
from evaluation_sets import random_set
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotations.tables import BoxDataset, Detections, pixels
from evaluation.average_precision import IOU_THRESHOLDS
from evaluation.iou import iou, pixel_boxes
from evaluation.matching import candidates
from evaluation.precisions import average_precisions

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


def _coco_truth(dataset: BoxDataset) -> COCO:
    truth, boxes = (
        dataset.annotations,
        pixel_boxes(dataset.images, dataset.annotations.image_row, dataset.annotations.xyxy_rel),
    )
    coco = COCO()
    coco.dataset = {
        "images": [{"id": row} for row in range(len(dataset.images))],
        "categories": [{"id": i} for i in range(len(dataset.classes))],
        # Numbered from 1: pycocotools takes a truth with id 0 for no truth.
        "annotations": [
            {
                "id": row + 1,
                "image_id": int(truth.image_row[row]),
                "category_id": int(truth.class_id[row]),
                "bbox": _xywh(boxes[row]),
                "area": float(np.prod(boxes[row, 2:] - boxes[row, :2])),
                "iscrowd": 0,
            }
            for row in range(len(truth))
        ],
    }
    coco.createIndex()
    return coco


def _xywh(xyxy: np.ndarray) -> list[float]:
    return [float(xyxy[0]), float(xyxy[1]), float(xyxy[2] - xyxy[0]), float(xyxy[3] - xyxy[1])]


def _peer(dataset: BoxDataset, found: Detections, most: int) -> np.ndarray:
    """pycocotools' (10, classes) APs; NaN where it says -1."""
    boxes = pixel_boxes(dataset.images, found.image_row, found.xyxy_rel)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _coco_truth(dataset)
        results = truth.loadRes(
            [
                {
                    "image_id": int(found.image_row[row]),
                    "category_id": int(found.class_id[row]),
                    "bbox": _xywh(boxes[row]),
                    "score": float(found.score[row]),
                }
                for row in range(len(found))
            ]
        )
        peer = COCOeval(truth, results, "bbox")
        peer.params.maxDets = [most]
        peer.params.areaRng, peer.params.areaRngLbl = [[0, 1e10]], ["all"]
        peer.evaluate()
        peer.accumulate()
    precision = peer.eval["precision"][:, :, :, 0, 0]
    return np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("most", [None, 2])
def test_average_precision_agrees_with_pycocotools(case: tuple[int, ...], seed: int, most: int | None) -> None:
    pictures, truths, number, classes, scores = case
    rng = np.random.default_rng([seed, *case])
    dataset, found = random_set(rng, pictures=pictures, truths=truths, found=number, classes=classes, scores=scores)
    everywhere = {"all": np.ones(pictures, np.bool_)}
    ours = average_precisions(candidates(dataset, found, max_detections=most), everywhere, "coco-101")["all"]
    assert ours.shape == (len(IOU_THRESHOLDS), classes)
    np.testing.assert_allclose(ours, _peer(dataset, found, most or 10**6), rtol=0, atol=1e-9)


def test_iou_agrees_with_pycocotools() -> None:
    dataset, found = random_set(np.random.default_rng(3), pictures=1, truths=40, found=60, classes=1)
    a = pixels(dataset.images, found.image_row, found.xyxy_rel)
    b = pixels(dataset.images, dataset.annotations.image_row, dataset.annotations.xyxy_rel)
    expected = mask.iou([_xywh(box) for box in a], [_xywh(box) for box in b], [False] * len(b))
    assert (expected > 0).sum() > 20
    np.testing.assert_allclose(iou(a, b), expected, rtol=0, atol=1e-12)
