"""Detections that cannot be scored are refused before anything is computed, each with its row."""

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError
from annotations.tables import BoxDataset, Detections

FARTHEST = 1e6
"""Image sizes that a box may lie away from its image: beyond, its area is a number without meaning."""


def check_detections(
    dataset: BoxDataset, detections: Detections, *, name: str = "detections", empty_boxes: bool = False
) -> None:
    """Refuse detections that do not fit the dataset or are no boxes; `name` (a file, say) begins the message.

    `empty_boxes` lets boxes without area pass: they overlap nothing, so each is a false positive.

    Raises:
        AnnotationError: an unknown image or class, a score or coordinate that is NaN, infinite or absurd, an inverted
            box, a box without area, or an object_id that stands twice; the first such row is named.
    """
    xyxy, score = detections.xyxy_rel, detections.score
    size = xyxy[:, 2:] - xyxy[:, :2]
    images, classes = len(dataset.images), len(dataset.classes)
    smallest = "not be inverted" if empty_boxes else "have xmin < xmax and ymin < ymax"
    checks: list[tuple[str, str, NDArray[np.bool_], NDArray[np.generic]]] = [
        ("image_row", f"be 0 to {images - 1}", _outside(detections.image_row, images), detections.image_row),
        ("class_id", f"be 0 to {classes - 1}", _outside(detections.class_id, classes), detections.class_id),
        ("score", "be finite", ~np.isfinite(score), score),
        ("xyxy_rel", "be finite", np.asarray(~np.isfinite(xyxy).all(axis=1)), xyxy),
        (
            "xyxy_rel",
            f"be within {FARTHEST:g} sizes of its image",
            np.asarray((np.abs(xyxy) > FARTHEST).any(axis=1)),
            xyxy,
        ),
        ("xyxy_rel", smallest, np.asarray((size < 0 if empty_boxes else size <= 0).any(axis=1)), xyxy),
        ("object_id", "be unique", _repeated(detections.object_id), detections.object_id),
    ]
    for column, expected, bad, values in checks:
        if bad.any():
            row = int(np.argmax(bad))
            raise AnnotationError(f"{name}: row {row}: {column} must {expected}, got {values[row].tolist()}")


def _outside(number: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    return np.asarray((number < 0) | (number >= count))


def _repeated(number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the (N,) mask of the rows whose number stood in an earlier row."""
    first = np.unique(number, return_index=True)[1]
    repeated = np.ones(len(number), np.bool_)
    repeated[first] = False
    return repeated
