"""Truth and detections that cannot be scored are refused before anything is computed, each with its row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.detections import FARTHEST
from annotations.errors import AnnotationError
from annotations.tables import Annotations, BoxDataset, Detections


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """What the values of a column must be, and the (N,) mask of the rows where they are not."""

    column: str
    must: str
    bad: NDArray[np.bool_]
    values: NDArray[np.generic]


def check_detections(
    dataset: BoxDataset, detections: Detections, *, name: str = "detections", empty_boxes: bool = False
) -> None:
    """Refuse detections that do not fit the dataset or are no boxes; `name` (a file, say) begins the message.

    `empty_boxes` lets boxes without area pass: they overlap nothing, so each is a false positive.

    Raises:
        AnnotationError: an unknown image or class, a score or coordinate that is NaN, infinite or absurd, an inverted
            box, a box without area, or an object_id that stands twice; the first such row is named.
    """
    _refuse(_checks_of_detections(dataset, detections, empty_boxes), name, dataset, detections)


def check_truth(dataset: BoxDataset, *, name: str = "truth") -> None:
    """Refuse truth that does not fit its own images and classes or is no boxes.

    Raises:
        AnnotationError: as for detections; the first such row is named.
    """
    _refuse(_checks_of_boxes(dataset, dataset.annotations, empty_boxes=False), name, dataset, dataset.annotations)


def _refuse(checks: list[_Check], name: str, dataset: BoxDataset, boxes: Annotations | Detections) -> None:
    for check in checks:
        if check.bad.any():
            row = int(np.argmax(check.bad))
            got = check.values[row].tolist()
            # The rows of the images are checked first, so in whatever else is at fault they are good.
            image = f" (image {dataset.images.image_id[boxes.image_row[row]]})" if check.column != "image_row" else ""
            raise AnnotationError(f"{name}: row {row}: {check.column} must {check.must}, got {got}{image}")


def _checks_of_detections(dataset: BoxDataset, detections: Detections, empty_boxes: bool) -> list[_Check]:
    image, label, *boxes = _checks_of_boxes(dataset, detections, empty_boxes)
    return [image, label, _Check("score", "be finite", ~np.isfinite(detections.score), detections.score), *boxes]


def _checks_of_boxes(dataset: BoxDataset, boxes: Annotations | Detections, empty_boxes: bool) -> list[_Check]:
    xyxy = boxes.xyxy_rel
    with np.errstate(invalid="ignore"):
        width, height = xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]
    flat = (width < 0) | (height < 0) if empty_boxes else (width <= 0) | (height <= 0)
    must = "not be inverted" if empty_boxes else "have xmin < xmax and ymin < ymax"
    images, classes = len(dataset.images), len(dataset.classes)
    # As nearly always, nothing is far out; NaN is among the ends where it is anywhere.
    near = bool(np.abs([xyxy.min(initial=0), xyxy.max(initial=0)]).max() <= FARTHEST)
    fine = np.zeros(len(xyxy), np.bool_)
    endless = fine if near else np.asarray(~np.isfinite(xyxy).all(axis=1))
    far = fine if near else np.asarray((np.abs(xyxy) > FARTHEST).any(axis=1))
    return [
        _Check("image_row", f"be 0 to {images - 1}", _outside(boxes.image_row, images), boxes.image_row),
        _Check("class_id", f"be 0 to {classes - 1}", _outside(boxes.class_id, classes), boxes.class_id),
        _Check("xyxy_rel", "be finite", endless, xyxy),
        _Check("xyxy_rel", f"be within {FARTHEST:g} sizes of its image", far, xyxy),
        _Check("xyxy_rel", must, flat, xyxy),
        _Check("object_id", "be unique", _repeated(boxes.object_id), boxes.object_id),
    ]


def _outside(number: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    return np.asarray((number < 0) | (number >= count))


def _repeated(number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the (N,) mask of the rows whose number stood in an earlier row."""
    if (number[1:] > number[:-1]).all():
        return np.zeros(len(number), np.bool_)
    first = np.unique(number, return_index=True)[1]
    repeated = np.ones(len(number), np.bool_)
    repeated[first] = False
    return repeated
