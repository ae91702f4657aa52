"""Reference CSV files as a source: boxes in pixels, a row each; a part has the object_id of its object."""

import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from annotations.csvtable import read_csv
from annotations.drawn import DrawnImage, Progress, Reading, placed, reading_of
from annotations.errors import AnnotationError
from annotations.files_below import files_below
from annotations.findings import Finding
from annotations.forms import ReadOptions, holds_reference_csv
from annotations.given_frames import given_frame
from annotations.naming import Naming
from annotations.notes import FileRefused, Note, is_plain, shown
from annotations.picture_search import PictureSearch
from annotations.reference_csv_writer import COLUMNS
from annotations.shapes import Region
from annotations.split_names import split_of_name
from annotations.tables import SPLITS
from annotations.told_parents import parts_of_pairs

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_LONGEST_TEXT = 1000
_LONGEST_OBJECT_ID = 40
_LARGEST = 1e9
_FIRST_ROW = 2


def read_reference_csv(source: Path, naming: Naming, options: ReadOptions, progress: Progress | None = None) -> Reading:
    """Return what a reference CSV file, or those in a folder and below, hold.

    The split is that which a file's name speaks of (`objects_train.csv`). A part belongs to the object with its
    object_id, which is the group_id here. Where the user names no parts, of boxes with one object_id the largest is the
    object. A row at fault refuses its image. Pictures are those named like the image_id, below the source's folder or
    `options.pictures`.

    Raises:
        AnnotationError: the source is no such file and holds none, or none that can be read.
    """
    root = Path(os.path.realpath(source if source.is_dir() else source.parent))
    findings: list[Finding] = []
    tables = _read_tables(source, root, findings)
    drawn = _by_image(tables, findings)
    naming = naming.with_source(parts=parts_of_pairs(_pairs(drawn.values())))
    search = PictureSearch(root, given=options.pictures)
    images: list[DrawnImage] = []
    for done, (image_id, rows) in enumerate(drawn.items(), start=1):
        image = _image(image_id, rows, root, search, naming, options, findings)
        images += [] if image is None else [image]
        if progress is not None:
            progress(done, len(drawn))
    return reading_of(root, images, naming, findings, len(tables))


class _Box(NamedTuple):
    """A row: where it stands, its object and label, its box and its image's size."""

    source: str
    row: int
    object_id: str
    label: str
    corners: tuple[float, float, float, float]
    size: tuple[int, int]


@dataclass(slots=True)
class _Rows:
    """The rows of one image in all files: boxes in order, and the first one at fault as (file, row, message)."""

    sources: list[str] = field(default_factory=list)
    boxes: list[_Box] = field(default_factory=list)
    fault: tuple[str, int, str] | None = None


def _read_tables(source: Path, root: Path, findings: list[Finding]) -> dict[str, Mapping[str, list[str]]]:
    """Return the columns of each file, by its name."""
    if not source.is_dir():
        if source.exists() and not source.is_file():
            # A pipe without a writer would be waited for.
            raise AnnotationError(f"{source}: source must be an ordinary file, got a device or a pipe")
        return {source.name: read_csv(source, COLUMNS).columns}
    tables = {}
    for name in files_below(root, "", {".csv"}, findings):
        if holds_reference_csv(root / name):
            try:
                tables[name] = read_csv(root / name, COLUMNS).columns
            except AnnotationError as error:
                message = str(error).removeprefix(f"{root / name}: ")
                findings.append(Finding("bad-file", name, "", "", message))
    if not tables:
        why = "".join(f"; {found.source}: {found.message}" for found in findings[:1])
        raise AnnotationError(f"{source}: source must hold reference CSV files in it or below, got none{why}")
    return tables


def _by_image(tables: Mapping[str, Mapping[str, list[str]]], findings: list[Finding]) -> dict[str, _Rows]:
    images: defaultdict[str, _Rows] = defaultdict(_Rows)
    for source, columns in tables.items():
        cells = zip(*(columns[name] for name in COLUMNS), strict=True)
        for row, (image_id, *rest) in enumerate(cells, start=_FIRST_ROW):
            if not image_id or not is_plain(image_id, _LONGEST_TEXT):
                message = f"image_id must be a text, got {shown(image_id)}; row left out"
                findings.append(Finding("bad-entry", source, f"row {row}", "", message))
                continue
            rows = images[image_id]
            if source not in rows.sources:
                rows.sources.append(source)
            try:
                rows.boxes.append(_box(source, row, rest))
            except FileRefused as error:
                rows.fault = rows.fault or (source, row, error.note.message)
    return images


def _box(source: str, row: int, cells: Sequence[str]) -> _Box:
    """Return a row's box.

    Raises:
        FileRefused: a cell is not what it must be.
    """
    height, width, object_id, label, *corners = cells
    size = _side("image_width", width), _side("image_height", height)
    if not object_id or not is_plain(object_id, _LONGEST_OBJECT_ID):
        raise FileRefused("bad-entry", f"object_id must be a number, got {shown(object_id)}")
    if not label or not is_plain(label, _LONGEST_TEXT):
        raise FileRefused("bad-entry", f"class must be a label, got {shown(label)}")
    xmin, ymin, xmax, ymax = (_number(name, cell) for name, cell in zip(_CORNERS, corners, strict=True))
    return _Box(source, row, object_id, sys.intern(label), (xmin, ymin, xmax, ymax), size)


def _number(name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    # Python reads 1_000 as a number; nobody else does. NaN is not at most anything.
    if "_" in cell or not abs(value) <= _LARGEST:
        raise FileRefused("bad-entry", f"{name} must be a finite number of pixels, got {shown(cell)}")
    return value


def _side(name: str, cell: str) -> int:
    value = _number(name, cell)
    if value < 1 or not value.is_integer():
        raise FileRefused("bad-entry", f"{name} must be a whole number from 1 on, got {shown(cell)}")
    return int(value)


def _pairs(images: Iterable[_Rows]) -> Iterable[tuple[str, str]]:
    """Yield (part's label, object's label) for the boxes that share an object_id.

    The object is the largest one, of those that stand in no file called parts.
    """
    for rows in images:
        families: defaultdict[str, list[_Box]] = defaultdict(list)
        for box in rows.boxes:
            families[box.object_id].append(box)
        for family in families.values():
            whole = max([box for box in family if not _of_parts(box.source)] or family, key=_area)
            yield from ((box.label, whole.label) for box in family if box is not whole)


def _of_parts(source: str) -> bool:
    return source.rpartition("/")[2].startswith("parts")


def _area(box: _Box) -> float:
    xmin, ymin, xmax, ymax = box.corners
    return (xmax - xmin) * (ymax - ymin)


def _image(
    image_id: str,
    rows: _Rows,
    root: Path,
    search: PictureSearch,
    naming: Naming,
    options: ReadOptions,
    findings: list[Finding],
) -> DrawnImage | None:
    notes: list[Note] = []
    try:
        size = _size_of(rows)
        found: list[Note] = []
        place = search.of_image(image_id, found)
        notes += [note for note in found if options.check_images or note.code != "missing-image"]
        width, height = given_frame(size, root, place, options.check_images, notes)
    except FileRefused as error:
        source, where = _source_and_place(error.note.shape, rows.sources[0])
        message = f"{error.note.message}; image {shown(image_id)} refused"
        findings.append(Finding(error.note.code, source, where or f"image {image_id}", "", message))
        return None
    kept = placed(_regions(rows, naming), width, height, naming, notes)
    for note in notes:
        source, where = _source_and_place(note.shape, rows.sources[0])
        findings.append(Finding(note.code, source, where, image_id, note.message))
    split = _split_of(image_id, rows.sources, findings)
    return DrawnImage(image_id, place.path, width, height, split, "", rows.sources[0], *kept)


def _size_of(rows: _Rows) -> tuple[int, int]:
    """Return the (width, height) that all rows of an image give.

    Raises:
        FileRefused: a row is at fault, or they differ.
    """
    if rows.fault is not None:
        source, row, message = rows.fault
        raise FileRefused("bad-entry", message, f"{source}: row {row}")
    first = rows.boxes[0]
    for box in rows.boxes:
        if box.size != first.size:
            sizes = " and ".join(f"{width} x {height}" for width, height in (first.size, box.size))
            message = f"image_width and image_height must be the same in all rows of an image, got {sizes}"
            raise FileRefused("bad-entry", message, f"{box.source}: row {box.row}")
    return first.size


def _regions(rows: _Rows, naming: Naming) -> list[Region]:
    """Return the boxes as regions, objects before parts; they are numbered through all files."""
    regions = []
    for number, box in enumerate(rows.boxes):
        # Rows of two files can have one number; a region's form of place has no room for the file but in itself.
        form = f"{box.source}: row {box.row}".replace("{", "{{").replace("}", "}}")
        regions.append(Region(box.label, box.object_id, *box.corners, "rectangle", number, form))
    return sorted(regions, key=lambda region: naming.rename.get(region.label, region.label) in naming.parts)


def _source_and_place(place: str, first: str) -> tuple[str, str]:
    source, found, row = place.rpartition(": row ")
    return (source, f"row {row}") if found else (first, "")


def _split_of(image_id: str, sources: Sequence[str], findings: list[Finding]) -> str:
    splits = {split_of_name(source) for source in sources} - {""}
    if len(splits) > 1:
        got = " and ".join(name for name in SPLITS if name in splits)
        message = f"split must be the same in all files of an image, got {got}; left empty"
        findings.append(Finding("split-conflict", sources[0], "", image_id, message))
        return ""
    return splits.pop() if splits else ""
