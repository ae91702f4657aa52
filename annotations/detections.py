"""detections.csv: what a detector found, normalised by each image's size."""

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from annotations.csvtable import Column, CsvTable, box_columns, csv_text, finite, is_integer, parent_column, read_csv
from annotations.errors import AnnotationError
from annotations.tables import NO_PARENT, Detections, Images
from annotations.whole import write_whole

FARTHEST = 1e6
"""Image sizes that a box may lie away from its image: beyond, its area is a number without meaning."""
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


def read_detections(
    path: Path, images: Images, classes: Sequence[str], left_out: list[str] | None = None
) -> Detections:
    """Return the detections of a file; coordinates a little outside [0, 1] are as good as others.

    With `left_out`, rows at fault are left out, and told of in it, in place of an error.

    Raises:
        AnnotationError: the file is missing or damaged, or names an image or a class that is not known; file, row and
            column are named.
    """
    table = read_csv(path, COLUMNS)
    row_of = {image_id: row for row, image_id in enumerate(images.image_id.tolist())}
    if left_out is not None:
        table = _sound(table, row_of, classes, left_out)
    image_row = table.places("image_id", row_of, "an image_id of the images")
    object_id = table.integers("object_id", least=0)
    table.distinct("object_id", object_id.tolist())
    class_of = {name: row for row, name in enumerate(classes)}
    class_id = table.places("label", class_of, f"one of the classes {', '.join(classes)}")
    score = table.numbers("score")
    table.refuse((score < 0) | (score > 1), "score", "in [0, 1]")
    xyxy_rel = box_columns(table)
    for values, name in zip(xyxy_rel.T, COLUMNS[-4:], strict=True):
        table.refuse(np.abs(values) > FARTHEST, name, f"within {FARTHEST:g} sizes of its image")
    return Detections(
        image_row=image_row,
        object_id=object_id,
        parent_id=parent_column(table, object_id, image_row, NO_PARENT),
        class_id=class_id,
        score=score,
        xyxy_rel=xyxy_rel,
    )


def _sound(table: CsvTable, images: Container[str], classes: Sequence[str], left_out: list[str]) -> CsvTable:
    """Return the table of the rows that can be scored; a part whose object is left out has no parent."""
    faults = [_fault(dict(zip(table.columns, cells, strict=True)), images, classes) for cells in _rows(table)]
    seen: dict[str, int] = {}
    for row, object_id in enumerate(table.columns["object_id"]):
        if faults[row] is None and seen.setdefault(object_id, row) != row:
            faults[row] = f"object_id must be unique, got {object_id} again"
    # A row's number counts the header as row 1, as everywhere in CSV tables.
    left_out += [f"{table.path}: row {row + 2}: {fault}" for row, fault in enumerate(faults) if fault is not None]
    kept = [row for row, fault in enumerate(faults) if fault is None]
    columns = {name: [cells[row] for row in kept] for name, cells in table.columns.items()}
    image_of = dict(zip(columns["object_id"], columns["image_id"], strict=True))
    pairs = zip(columns["parent_id"], columns["object_id"], columns["image_id"], strict=True)
    columns["parent_id"] = [p if p != own and image_of.get(p) == image else "" for p, own, image in pairs]
    return CsvTable(table.path, columns)


def _rows(table: CsvTable) -> Iterable[tuple[str, ...]]:
    return zip(*table.columns.values(), strict=True)


def _fault(cells: Mapping[str, str], images: Container[str], classes: Sequence[str]) -> str | None:
    """Return what keeps a row from being scored, or None."""
    if cells["image_id"] not in images:
        return f"image_id must be one of the images, got {cells['image_id']!r:.80}"
    if cells["label"] not in classes:
        return f"label must be one of {', '.join(classes)}, got {cells['label']!r:.80}"
    if not is_integer(cells["object_id"], least=0):
        return f"object_id must be an integer of at least 0, got {cells['object_id']!r:.80}"
    numbers = {name: finite(cells[name]) for name in ("score", "xmin", "ymin", "xmax", "ymax")}
    for name, value in numbers.items():
        if value is None:
            return f"{name} must be a finite number, got {cells[name]!r:.80}"
    score, xmin, ymin, xmax, ymax = (value or 0.0 for value in numbers.values())
    if not 0 <= score <= 1:
        return f"score must be in [0, 1], got {cells['score']}"
    if not (xmin < xmax and ymin < ymax):
        return f"box must have an area, got [{xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}]"
    if max(map(abs, (xmin, ymin, xmax, ymax))) > FARTHEST:
        return f"box must be within {FARTHEST:g} sizes of its image, got [{xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}]"
    return None


def _check(detections: Detections) -> None:
    xyxy = detections.xyxy_rel
    if not (np.isfinite(xyxy).all() and np.isfinite(detections.score).all()):
        raise ValueError("detections must be finite, got NaN or infinity")
    if not (xyxy[:, :2] < xyxy[:, 2:]).all():
        raise ValueError("detections must have xmin < xmax and ymin < ymax")
    if len(np.unique(detections.object_id)) != len(detections):
        raise ValueError("detections.object_id must be unique")
