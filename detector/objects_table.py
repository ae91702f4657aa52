"""objects.csv: the objects that were found, with what was found and what is missing of their parts, and their poses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from annotations.csvtable import csv_text
from annotations.errors import AnnotationError
from annotations.tables import Detections, Images
from annotations.whole import write_whole
from detector.decoding import Found, found_by_image
from detector.pose import Pose, pose, view_of

if TYPE_CHECKING:
    from detector.ppn_family import PpnModel

COLUMNS: Final = (
    "image_id", "object_id", "label", "score", "parts_found", "parts_expected", "missing", "turn", "pose_parts",
    "pose_error", *(f"{axis}{corner}" for corner in range(1, 5) for axis in "xy"),
    *(f"h{row}{column}" for row in range(1, 4) for column in range(1, 4)),
)  # fmt: skip
"""Corners (1 the object's own upper left, then clockwise) and homography are in the picture's pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A detected object: its `row` among the detections, the rows of its sure parts, and how many there should be.

    `missing` says how many parts of each class fewer than usual were found; `pose` is None where it cannot be told.
    """

    row: int
    parts: NDArray[np.int64]
    expected: int
    missing: dict[str, int]
    pose: Pose | None

    def words(self) -> str:
        """Return what is missing in a few words: `1 fip`, or "" where nothing is."""
        return ", ".join(f"{count} {part}" for part, count in self.missing.items())


def wholes(model: "PpnModel", found: Found, size: tuple[int, int], threshold: NDArray[np.float64]) -> list[Whole]:
    """Return the objects of one picture that reach the threshold (classes,), of the classes that have parts.

    A part counts where it reaches that of its own class. `size` is the picture's width and height.
    """
    sure = found.score >= threshold[found.class_id]
    with_parts = [row for row, name in enumerate(model.classes) if name in model.parts.values()]
    objects = np.flatnonzero(sure & np.isin(found.class_id, with_parts))
    return [_whole(model, found, size, int(row), np.flatnonzero(sure & (found.parent == row))) for row in objects]


def _whole(model: "PpnModel", found: Found, size: tuple[int, int], row: int, parts: NDArray[np.int64]) -> Whole:
    name = model.classes[found.class_id[row]]
    labels = [model.classes[class_id] for class_id in found.class_id[parts]]
    expected = model.known.expected(name)
    missing = {part: n - labels.count(part) for part, n in expected.items() if labels.count(part) < n}
    template = model.known.templates.get(name)
    view = view_of(found.xyxy[row], found.xyxy[parts], labels, size)
    return Whole(row, parts, sum(expected.values()), missing, None if template is None else pose(view, template))


@dataclass(frozen=True, slots=True, eq=False)
class ObjectsTable:
    """The objects of all images as the text of objects.csv; how many there are, and how many lack a part."""

    text: str
    objects: int
    incomplete: int


def objects_table(
    model: "PpnModel", images: Images, detections: Detections, threshold: float | Sequence[float]
) -> ObjectsTable:
    """Return the objects that `wholes` gives, image after image; the threshold is one for all classes, or each one's.

    Cells are empty where nothing is known: `parts_expected` of a run that does not know parts, and a pose that cannot
    be told.
    """
    least = np.broadcast_to(np.asarray(threshold, np.float64), (len(model.classes),))
    rows: list[list[Any]] = []
    incomplete = 0
    for image, (places, found) in enumerate(found_by_image(images, detections)):
        size = (int(images.width[image]), int(images.height[image]))
        for whole in wholes(model, found, size, least):
            label, score = model.classes[found.class_id[whole.row]], float(found.score[whole.row])
            told = [str(images.image_id[image]), int(detections.object_id[places[whole.row]]), label, score]
            rows.append([*told, len(whole.parts), whole.expected or "", whole.words(), *_pose_cells(whole.pose)])
            incomplete += bool(whole.missing)
    text = csv_text(COLUMNS, [[row[column] for row in rows] for column in range(len(COLUMNS))])
    return ObjectsTable(text, len(rows), incomplete)


def _pose_cells(at: Pose | None) -> list[Any]:
    if at is None:
        return [""] * 20
    return [at.turn, at.parts, at.error, *at.corners.ravel().tolist(), *at.homography.ravel().tolist()]


def write_objects(path: Path, table: ObjectsTable) -> None:
    """Write objects.csv in one piece.

    Raises:
        AnnotationError: the file cannot be written.
    """
    try:
        write_whole(path, table.text)
    except OSError as error:
        raise AnnotationError(f"{path}: file must be writable, got {error.strerror or error}") from error
