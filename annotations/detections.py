"""detections.csv: what a detector found, normalised by each image's size."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from annotations.csvtable import Column, box_columns, csv_text, parent_column, read_csv
from annotations.errors import AnnotationError
from annotations.tables import NO_PARENT, Detections, Images
from annotations.whole import write_whole

COLUMNS = ("image_id", "object_id", "parent_id", "label", "score", "xmin", "ymin", "xmax", "ymax")


def write_detections(path: Path, images: Images, classes: Sequence[str], detections: Detections) -> None:
    """Write detections.csv in one piece; reading it gives the same float64.

    Raises:
        ValueError: a box or a score could not be read back: not finite, or without area.
        AnnotationError: the file cannot be written.
    """
    _check(detections)
    names = np.array(classes, object)
    parents = ["" if value == NO_PARENT else value for value in detections.parent_id.tolist()]
    image_id, label = images.image_id[detections.image_row], names[detections.class_id]
    ids: list[Column] = [image_id, detections.object_id, parents, label, detections.score]
    try:
        write_whole(path, csv_text(COLUMNS, [*ids, *detections.xyxy_rel.T]))
    except OSError as error:
        raise AnnotationError(f"{path}: file must be writable, got {error.strerror or error}") from error


def read_detections(path: Path, images: Images, classes: Sequence[str]) -> Detections:
    """Return the detections of a file; coordinates a little outside [0, 1] are as good as others.

    Raises:
        AnnotationError: the file is missing or damaged, or names an image or a class that is not known; file, row and
            column are named.
    """
    table = read_csv(path, COLUMNS)
    row_of = {image_id: row for row, image_id in enumerate(images.image_id.tolist())}
    image_row = table.places("image_id", row_of, "an image_id of the images")
    object_id = table.integers("object_id", least=0)
    table.distinct("object_id", object_id.tolist())
    class_of = {name: row for row, name in enumerate(classes)}
    class_id = table.places("label", class_of, f"one of the classes {', '.join(classes)}")
    score = table.numbers("score")
    table.refuse((score < 0) | (score > 1), "score", "in [0, 1]")
    return Detections(
        image_row=image_row,
        object_id=object_id,
        parent_id=parent_column(table, object_id, image_row, NO_PARENT),
        class_id=class_id,
        score=score,
        xyxy_rel=box_columns(table),
    )


def _check(detections: Detections) -> None:
    xyxy = detections.xyxy_rel
    if not (np.isfinite(xyxy).all() and np.isfinite(detections.score).all()):
        raise ValueError("detections must be finite, got NaN or infinity")
    if not (xyxy[:, :2] < xyxy[:, 2:]).all():
        raise ValueError("detections must have xmin < xmax and ymin < ymax")
    if len(np.unique(detections.object_id)) != len(detections):
        raise ValueError("detections.object_id must be unique")
