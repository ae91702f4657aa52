"""The worst images of a split, with what was there and what was found, to be drawn into a page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError
from annotations.pictures import read_picture
from annotations.tables import BoxDataset, Boxes, Detections, pixels
from evaluation.figures import Metrics
from evaluation.image_errors import image_errors, kept_rows

_LONGEST = 720
"""Pixels of the longer side of a picture in the page."""
_QUALITY = 80
KINDS = {
    "truth": "truth that was found",
    "hit": "detection that found it",
    "fp": "false positive",
    "missed": "truth that was missed",
}
"""What is drawn, by its name in the page's style, in the order of drawing."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box in pixels of its image; `kind` is one of KINDS, `part` whether its class is a part; None is no score."""

    kind: str
    part: bool
    label: str
    score: float | None
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class GalleryImage:
    """One image of the gallery; `picture` is a data URI, or None where `fault` says why there is no picture."""

    image_id: str
    width: int
    height: int
    fp: int
    fn: int
    picture: str | None
    fault: str | None
    boxes: Sequence[DrawnBox]


def worst_images(
    dataset: BoxDataset, detections: Detections, metrics: Metrics, split: str, most: int
) -> list[GalleryImage]:
    """Return up to `most` images of a split, those with most errors at the thresholds first; faultless ones never."""
    errors = image_errors(metrics, len(dataset.images))
    rows = errors.worst(metrics.split_images[split], most)
    return [_image(dataset, detections, metrics, int(row), int(errors.fp[row]), int(errors.fn[row])) for row in rows]


def _image(dataset: BoxDataset, detections: Detections, metrics: Metrics, row: int, fp: int, fn: int) -> GalleryImage:
    images = dataset.images
    picture, fault = _picture(dataset, row)
    boxes = _boxes(dataset, detections, metrics, row)
    size = int(images.width[row]), int(images.height[row])
    return GalleryImage(str(images.image_id[row]), *size, fp, fn, picture, fault, boxes)


def _boxes(dataset: BoxDataset, detections: Detections, metrics: Metrics, row: int) -> list[DrawnBox]:
    table, kept, truth = metrics.table, kept_rows(metrics), dataset.annotations
    here = kept & (table.image_row == row)
    found = table.truth_row[here & table.hit]
    truths = np.flatnonzero((truth.image_row == row) & ~table.every_truth_ignored)
    hits, others = (table.detection_row[here & chosen] for chosen in (table.hit, table.false_positive))
    kinds = (
        ("truth", found, truth.class_id, truth.xyxy_rel, None),
        ("hit", hits, detections.class_id, detections.xyxy_rel, detections.score),
        ("fp", others, detections.class_id, detections.xyxy_rel, detections.score),
        ("missed", np.setdiff1d(truths, found), truth.class_id, truth.xyxy_rel, None),
    )
    return [
        box
        for kind, rows, class_id, xyxy_rel, score in kinds
        for box in _drawn(dataset, row, kind, class_id[rows], xyxy_rel[rows], None if score is None else score[rows])
    ]


def _drawn(
    dataset: BoxDataset,
    row: int,
    kind: str,
    class_id: NDArray[np.int64],
    xyxy_rel: Boxes,
    score: NDArray[np.float64] | None,
) -> list[DrawnBox]:
    xyxy = pixels(dataset.images, np.full(len(xyxy_rel), row), xyxy_rel).round(2).tolist()
    scores: list[float | None] = [None] * len(xyxy) if score is None else score.tolist()
    names = [dataset.classes[index] for index in class_id]
    return [
        DrawnBox(kind, name in dataset.parts, name, value, x, y, round(right - x, 2), round(bottom - y, 2))
        for name, value, (x, y, right, bottom) in zip(names, scores, xyxy, strict=True)
    ]


def _picture(dataset: BoxDataset, row: int) -> tuple[str | None, str | None]:
    """Return the picture as a data URI, or None and the reason."""
    path = str(dataset.images.path[row])
    frame = int(dataset.images.width[row]), int(dataset.images.height[row])
    if not path:
        return None, "the dataset does not say where the picture is"
    try:
        return _data_uri(read_picture(dataset.picture(row), frame)), None
    except AnnotationError:
        # The message holds the whole path on this machine, which a page that is passed on need not tell.
        return None, f"the picture {path} cannot be read"


def _data_uri(picture: NDArray[np.uint8]) -> str:
    import cv2

    shrink = min(1.0, _LONGEST / max(picture.shape[:2]))
    height, width = (max(1, round(side * shrink)) for side in picture.shape[:2])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")
