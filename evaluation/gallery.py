"""Images to look at, with what was there and what was found, to draw into a page: the worst, and those of a kind."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError
from annotations.pictures import read_picture
from annotations.tables import BoxDataset, Boxes, Detections, pixels
from evaluation.error_kinds import KINDS, MISSED, NO_ROW, ErrorTable
from evaluation.figures import Metrics
from evaluation.image_errors import image_errors, kept_rows

_LONGEST = 720
"""Pixels of the longer side of a picture in the page."""
_QUALITY = 80
_AROUND, _LEAST_VIEW = 0.4, 0.3
"""What is shown around the errors of a kind, as a share of theirs, and the least share of the image that is shown."""
_NAMED = 3
"""Errors of an image that its caption names one by one."""
DRAWN = {
    "truth": "truth that was found",
    "hit": "detection that found it",
    "fp": "false positive",
    "missed": "truth that was not found",
}
"""What is drawn, by its name in the page's style, in the order of drawing."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box in pixels of its image; `kind` is one of DRAWN, `part` whether its class is a part; None is no score."""

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
    """One image of a gallery: its `row`, what to say below it, and what to draw.

    `view` is the part of the image that is shown: x, y, width and height in pixels.
    """

    row: int
    image_id: str
    width: int
    height: int
    caption: str
    view: tuple[float, float, float, float]
    boxes: Sequence[DrawnBox]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to put into a page: a data URI, or None where `fault` says why there is none."""

    uri: str | None
    fault: str | None


def worst_images(
    dataset: BoxDataset, detections: Detections, metrics: Metrics, split: str, most: int
) -> list[GalleryImage]:
    """Return up to `most` images of a split, those with most errors at the thresholds first; faultless ones never."""
    errors, images = image_errors(metrics, len(dataset.images)), dataset.images
    result = []
    for row in errors.worst(metrics.split_images[split], most).tolist():
        width, height, fp = int(images.width[row]), int(images.height[row]), int(errors.fp[row])
        caption = f"{fp} false positive{'s' if fp != 1 else ''}, {errors.fn[row]} missed"
        boxes, view = _boxes(dataset, detections, metrics, row), (0.0, 0.0, float(width), float(height))
        result.append(GalleryImage(row, str(images.image_id[row]), width, height, caption, view, boxes))
    return result


def images_of_kind(
    dataset: BoxDataset,
    detections: Detections,
    metrics: Metrics,
    errors: ErrorTable,
    split: str,
    kind: str,
    most: int,
) -> list[GalleryImage]:
    """Return up to `most` images of a split, those with most errors of a kind (of KINDS) at the thresholds first.

    Of images with as many, the one with the surest error comes first; where objects are missed, with the largest.
    """
    mine = errors.take(
        errors.at_threshold & (errors.kind == KINDS.index(kind)) & metrics.split_images[split][errors.image_row]
    )
    weight = mine.area if kind == KINDS[MISSED] else mine.score
    count, best = np.zeros(len(dataset.images), np.int64), np.zeros(len(dataset.images))
    np.add.at(count, mine.image_row, 1)
    np.maximum.at(best, mine.image_row, weight)
    rows = np.lexsort((-best, -count))[: min(most, int((count > 0).sum()))]
    return [
        _image_of_kind(dataset, detections, metrics, mine.take(mine.image_row == row), row) for row in rows.tolist()
    ]


def pictures_of(dataset: BoxDataset, rows: Iterable[int]) -> dict[int, Picture]:
    """Return the pictures of these rows of images, each once."""
    return {row: _picture(dataset, row) for row in sorted(set(rows))}


def _image_of_kind(
    dataset: BoxDataset, detections: Detections, metrics: Metrics, mine: ErrorTable, row: int
) -> GalleryImage:
    found = np.zeros(len(dataset.annotations), np.bool_)
    found[metrics.table.truth_row[metrics.table.hit & kept_rows(metrics)]] = True
    on = np.unique(mine.truth_row[mine.truth_row != NO_ROW])
    boxes = [
        *_of_truth(dataset, row, "truth", on[found[on]]),
        *_of_detections(dataset, detections, row, "fp", mine.detection_row[mine.detection_row != NO_ROW]),
        *_of_truth(dataset, row, "missed", on[~found[on]]),
    ]
    width, height = int(dataset.images.width[row]), int(dataset.images.height[row])
    view = _view(boxes, width, height)
    return GalleryImage(row, str(dataset.images.image_id[row]), width, height, _caption(dataset, mine), view, boxes)


def _caption(dataset: BoxDataset, mine: ErrorTable) -> str:
    """Return what the errors of one kind in one image are, the first of them one by one."""
    texts = []
    for row in range(min(len(mine), _NAMED)):
        text = dataset.classes[mine.class_id[row]]
        on = int(mine.truth_row[row])
        if mine.detection_row[row] != NO_ROW:
            text += f" {mine.score[row]:.2f}"
            if on != NO_ROW:
                other = dataset.classes[dataset.annotations.class_id[on]]
                text += f" on {other}, IoU {mine.iou[row]:.2f}"
        texts.append(text)
    more = len(mine) - len(texts)
    return "; ".join(texts) + (f"; {more} more" if more else "")


def _view(boxes: Sequence[DrawnBox], width: int, height: int) -> tuple[float, float, float, float]:
    """Return the part of an image to show: all of the boxes, with something around, in the shape of the image."""
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.width for box in boxes), max(box.y + box.height for box in boxes)
    share = max((right - left) / width, (bottom - top) / height) * (1 + _AROUND)
    share = min(1.0, max(share, _LEAST_VIEW))
    shown = (share * width, share * height)
    x = min(max((left + right - shown[0]) / 2, 0.0), width - shown[0])
    y = min(max((top + bottom - shown[1]) / 2, 0.0), height - shown[1])
    return (round(x, 2), round(y, 2), round(shown[0], 2), round(shown[1], 2))


def _boxes(dataset: BoxDataset, detections: Detections, metrics: Metrics, row: int) -> list[DrawnBox]:
    table, kept, truth = metrics.table, kept_rows(metrics), dataset.annotations
    here = kept & (table.image_row == row)
    found = table.truth_row[here & table.hit]
    truths = np.flatnonzero((truth.image_row == row) & ~table.every_truth_ignored)
    hits, others = (table.detection_row[here & chosen] for chosen in (table.hit, table.false_positive))
    return [
        *_of_truth(dataset, row, "truth", found),
        *_of_detections(dataset, detections, row, "hit", hits),
        *_of_detections(dataset, detections, row, "fp", others),
        *_of_truth(dataset, row, "missed", np.setdiff1d(truths, found)),
    ]


def _of_truth(dataset: BoxDataset, row: int, kind: str, rows: NDArray[np.int64]) -> list[DrawnBox]:
    truth = dataset.annotations
    return _drawn(dataset, row, kind, truth.class_id[rows], truth.xyxy_rel[rows])


def _of_detections(
    dataset: BoxDataset, detections: Detections, row: int, kind: str, rows: NDArray[np.int64]
) -> list[DrawnBox]:
    score = detections.score[rows]
    return _drawn(dataset, row, kind, detections.class_id[rows], detections.xyxy_rel[rows], score)


def _drawn(
    dataset: BoxDataset,
    row: int,
    kind: str,
    class_id: NDArray[np.int64],
    xyxy_rel: Boxes,
    score: NDArray[np.float64] | None = None,
) -> list[DrawnBox]:
    xyxy = pixels(dataset.images, np.full(len(xyxy_rel), row), xyxy_rel).round(2).tolist()
    scores: list[float | None] = [None] * len(xyxy) if score is None else score.tolist()
    names = [dataset.classes[index] for index in class_id]
    return [
        DrawnBox(kind, name in dataset.parts, name, value, x, y, round(right - x, 2), round(bottom - y, 2))
        for name, value, (x, y, right, bottom) in zip(names, scores, xyxy, strict=True)
    ]


def _picture(dataset: BoxDataset, row: int) -> Picture:
    path = str(dataset.images.path[row])
    frame = int(dataset.images.width[row]), int(dataset.images.height[row])
    if not path:
        return Picture(None, "the dataset does not say where the picture is")
    try:
        return Picture(_data_uri(read_picture(dataset.picture(row), frame)), None)
    except AnnotationError:
        # The message holds the whole path on this machine, which a page that is passed on need not tell.
        return Picture(None, f"the picture {path} cannot be read")


def _data_uri(picture: NDArray[np.uint8]) -> str:
    import cv2

    shrink = min(1.0, _LONGEST / max(picture.shape[:2]))
    height, width = (max(1, round(side * shrink)) for side in picture.shape[:2])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")
