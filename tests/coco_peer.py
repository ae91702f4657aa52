"""pycocotools' answers for sets of the tests."""

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotations.tables import BoxDataset, Detections
from evaluation.iou import pixel_boxes

IGNORED_AREA = 1e12
"""Square pixels that lie in no range of pycocotools, for it has no other way to ignore what is no crowd."""


def coco_truth(dataset: BoxDataset) -> COCO:
    truth = dataset.annotations
    boxes = xywh(pixel_boxes(dataset.images, truth.image_row, truth.xyxy_rel))
    areas = np.where(truth.ignore, IGNORED_AREA, boxes[:, 2] * boxes[:, 3])
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
                "bbox": boxes[row].tolist(),
                "area": float(areas[row]),
                "iscrowd": int(truth.crowd[row]),
            }
            for row in range(len(truth))
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def coco_results(dataset: BoxDataset, found: Detections) -> list[dict[str, Any]]:
    boxes = xywh(pixel_boxes(dataset.images, found.image_row, found.xyxy_rel)).tolist()
    columns = (found.image_row.tolist(), found.class_id.tolist(), boxes, found.score.tolist())
    return [
        {"image_id": image, "category_id": label, "bbox": box, "score": score}
        for image, label, box, score in zip(*columns, strict=True)
    ]


def xywh(xyxy: np.ndarray) -> np.ndarray:
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def peer_precisions(dataset: BoxDataset, found: Detections, most: int | None = None) -> np.ndarray:
    """(4, 10, classes) APs of all, small, medium and large objects; NaN where it says -1."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_truth(dataset)
        peer = COCOeval(truth, truth.loadRes(coco_results(dataset, found)), "bbox")
        peer.params.maxDets = [most or 10**6]
        peer.evaluate()
        peer.accumulate()
    precision = peer.eval["precision"][..., 0]
    values = np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1))
    return np.asarray(values.transpose(2, 0, 1))
