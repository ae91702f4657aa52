"""The objects of label images from files: one table over a file, a folder or a box dataset, 2D and 3D."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.csvtable import csv_text
from annotations.errors import AnnotationError, PpnlabError, UsageError
from annotations.whole import write_whole
from evaluation.label_files import read_intensities, read_labels, read_probabilities
from evaluation.label_overlaps import check_same_size, size_text
from evaluation.label_sources import LabelFile, LabelSource, label_source, listed, partners, picture_source
from evaluation.object_table import ObjectTable, column_names, object_table
from evaluation.pixel_curves import full_scale

SCHEMA = 1
Progress = Callable[[int, int], None]
_WHITE = 255
"""What a mask holds that was saved as a picture in black and white."""
_OF_FILE = ("file", "split", "class", "object_id")
"""Columns that say where an object is from, and in a box dataset what it is."""


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """One label image: its name, its split and shape, (D,) H, W, and its objects.

    `described` gives each of the table's rows what the dataset says of the object: its class, and its object_id.
    """

    name: str
    split: str
    shape: tuple[int, ...]
    table: ObjectTable
    described: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """The objects of label images; `voxel` is the length of a pixel along x, y (and z) in `unit`, None where unknown.

    `lacking` names the images of a dataset that have no label image.
    """

    files: tuple[MeasuredFile, ...]
    voxel: tuple[float, ...] | None
    unit: str
    from_dataset: bool
    lacking: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns: with z where any file is a stack."""
        with_split = any(file.split for file in self.files)
        own = _OF_FILE if self.from_dataset else _OF_FILE[: 1 + with_split]
        axes = max((len(file.shape) for file in self.files), default=2)
        return (*own, *column_names(axes))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return one row an object, with every column; None where nothing is known, as of z in a flat picture."""
        blank = dict.fromkeys(self.columns)
        return [
            {**blank, **({"split": file.split} if "split" in blank else {}), "file": file.name, **more, **row}
            for file in self.files
            for row, more in zip(file.table.to_rows(), file.described, strict=True)
        ]

    def csv(self) -> str:
        """Return the table as CSV; what is not known is empty. Without objects, the header alone."""
        rows = self.rows
        cells = ([_cell(row[name]) for row in rows] for name in self.columns)
        return csv_text(self.columns, cells)

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON holds it, and every file with how many objects it has."""
        return {
            "schema": SCHEMA,
            "voxel": None if self.voxel is None else dict(zip("xyz", _each_axis(self.voxel, 3), strict=False)),
            "unit": self.unit or None,
            "files": [
                {"file": file.name, "size": size_text(file.shape), "objects": len(file.table)} for file in self.files
            ],
            "without_label_image": list(self.lacking),
            "objects": self.rows,
        }

    def summary(self) -> str:
        """Return how many files and objects there are, and which files are without any, in a line or two."""
        count = sum(len(file.table) for file in self.files)
        empty = [file.name for file in self.files if not len(file.table)]
        lines = [f"{_number(len(self.files), 'file')}, {_number(count, 'object')}"]
        if empty:
            lines.append(f"without any object: {len(empty)} ({listed(empty)})")
        if self.lacking:
            lines.append(f"without a label image: {len(self.lacking)} ({listed(self.lacking)})")
        if count and all((file.table.label == _WHITE).all() for file in self.files):
            lines.append(f"note: every object has the number {_WHITE}: are these masks, whose objects have no numbers?")
        return "\n".join(lines)


def measure(
    labels: Path,
    *,
    pictures: Path | None = None,
    scores: Path | None = None,
    voxel: Sequence[float] | None = None,
    unit: str = "",
    progress: Progress | None = None,
) -> Measured:
    """Return the objects of all label images of a source (see `label_sources`).

    `pictures` and `scores` are sources of grey pictures and of probability maps with the names of the label images; the
    score of an object is the mean of the map over its pixels. `voxel` is the length of a pixel along x, y (and z), or
    one length for all axes, in `unit`.

    Raises:
        AnnotationError: a file that cannot be read, a label image without its picture or map, unequal sizes.
        UsageError: a voxel without a unit, or not of the axes that a file has.
    """
    lengths = _checked_voxel(voxel, unit)
    source = label_source(labels)
    if not source.files:
        raise AnnotationError(f"{labels}: folder must have label images (PNG, TIFF or BMP), got none")
    pictured = _partners(source, pictures, "picture")
    scored = _partners(source, scores, "score map")
    measured, lacking = [], tuple(file.name for file in source.lacking)
    for done, file in enumerate(source.files, start=1):
        measured.append(_measured(source, file, pictured.get(file.path), scored.get(file.path), lengths, unit))
        if progress is not None:
            progress(done, len(source.files))
    return Measured(tuple(measured), lengths, unit, source.dataset is not None, lacking)


def check_output(path: Path) -> None:
    """Do nothing where a file can come to be at `path`.

    Raises:
        UsageError: it is a folder or a device, which must not be replaced by a file.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: output must be a file, got {'a folder' if path.is_dir() else 'a device'}")


def write_measured(path: Path, measured: Measured) -> None:
    """Write the table as CSV, in one piece.

    Raises:
        PpnlabError: the file cannot be written.
        UsageError: `path` is a folder or a device.
    """
    check_output(path)
    try:
        write_whole(path, measured.csv())
    except OSError as error:
        raise PpnlabError(f"{path}: output must be writable, got {error.strerror or error}") from error


def parse_voxel(text: str) -> tuple[float, ...]:
    """Return the lengths that a text says: `0.5`, `0.5,0.5` (x,y) or `0.5,0.5,2` (x,y,z).

    Raises:
        UsageError: it says something else.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"voxel must be X,Y or X,Y,Z, such as 0.5,0.5,2, got {text!r}") from error


def _checked_voxel(voxel: Sequence[float] | None, unit: str) -> tuple[float, ...] | None:
    if voxel is None:
        if unit:
            raise UsageError(f"unit must come with the size of a voxel, got {unit} alone")
        return None
    if not unit.strip():
        raise UsageError("voxel must come with its unit, such as um, got none")
    if len(voxel) not in (1, 2, 3) or not all(0 < length < np.inf for length in voxel):
        raise UsageError(f"voxel must be X,Y or X,Y,Z above 0, got {','.join(f'{length:g}' for length in voxel)}")
    return tuple(voxel)


def _partners(source: LabelSource, beside: Path | None, what: str) -> dict[Path, Path]:
    """Return the picture or map of each of the source's files."""
    if beside is None:
        return {}
    found = partners(source, picture_source(beside))
    alone = [file.name for file in source.files if file.path not in found]
    if alone:
        raise AnnotationError(f"{beside}: every label image must have its {what}, got none for {listed(alone)}")
    return found


def _measured(
    source: LabelSource,
    file: LabelFile,
    picture: Path | None,
    score: Path | None,
    voxel: tuple[float, ...] | None,
    unit: str,
) -> MeasuredFile:
    labels = read_labels(file.path)
    intensity = None if picture is None else _of_same_size(file, labels, picture, read_intensities(picture))
    table = object_table(
        labels,
        intensity,
        spacing=_spacing(file, voxel, labels.ndim),
        unit=unit,
        scores={} if score is None else _scores(file, labels, score),
    )
    return MeasuredFile(file.name, file.split, labels.shape, table, _described(source, file, table))


def _of_same_size(file: LabelFile, labels: NDArray[Any], path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    check_same_size(labels.shape, pixels.shape, truth_name=str(file.path), name=str(path))
    return pixels


def _scores(file: LabelFile, labels: NDArray[np.integer], path: Path) -> dict[int, float]:
    """Return the mean probability over the pixels of each object."""
    values = _of_same_size(file, labels, path, read_probabilities(path))
    table = object_table(labels, values)
    return dict(zip(table.label.tolist(), (table.mean_intensity / full_scale(values)).tolist(), strict=True))


def _each_axis(voxel: tuple[float, ...], axes: int) -> tuple[float, ...]:
    return voxel * axes if len(voxel) == 1 else voxel


def _spacing(file: LabelFile, voxel: tuple[float, ...] | None, axes: int) -> tuple[float, ...] | None:
    if voxel is None:
        return None
    voxel = _each_axis(voxel, axes)
    if len(voxel) != axes:
        needed = "X,Y" if axes == 2 else "X,Y,Z"
        got = ",".join(f"{length:g}" for length in voxel)
        raise UsageError(f"{file.path}: voxel of a label image of {axes} dimensions must be {needed}, got {got}")
    return voxel[::-1]


def _described(source: LabelSource, file: LabelFile, table: ObjectTable) -> tuple[Mapping[str, Any], ...]:
    dataset = source.dataset
    if dataset is None:
        return ({},) * len(table)
    rows = source.boxes_of(file)
    most = len(dataset.classes) if source.kind == "class" else len(rows)
    if len(table) and table.label[-1] > most:
        raise AnnotationError(f"{file.path}: label image must hold numbers to {most}, got {table.label[-1]}")
    places = table.label - 1
    if source.kind == "class":
        return tuple({"class": dataset.classes[place]} for place in places)
    boxes = dataset.annotations.take(rows[places])
    names = (dataset.classes[class_id] for class_id in boxes.class_id)
    return tuple({"class": name, "object_id": int(key)} for name, key in zip(names, boxes.object_id, strict=True))


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _number(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"
