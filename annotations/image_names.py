"""Which images the lines of somebody's list mean: by image_id, by a file's name or a path, with or without a suffix."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.csvtable import read_csv
from annotations.errors import AnnotationError
from annotations.findings import Finding
from annotations.tables import BoxDataset

NAME_COLUMNS = ("image_id", "path", "filename")
"""The columns of somebody's table that may name an image; the first that is there is taken."""

# Of pictures and annotation files. Written out: `annotations.pictures`, which has the first ones, is slow to import.
_KNOWN_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ".json", ".txt", ".xml"})
_ROOTED = re.compile("/|[A-Za-z]:")
_UPWARDS = re.compile(r"^(\.\./)+")
_SHOWN = 10


class Entry(NamedTuple):
    """A line of a list: what it calls an image, what it gives to it, and the file and line (`line 3`, `row 3`)."""

    name: str
    value: str
    file: str
    place: str


class ImageNames:
    """The images of a dataset, to be found by the names that lists call them."""

    def __init__(self, dataset: BoxDataset) -> None:
        root = str(dataset.root.absolute()).replace("\\", "/")
        self._paths = [posixpath.normpath(posixpath.join(root, path)) for path in dataset.images.path.tolist()]
        self._sources: list[str] = dataset.images.source.tolist()
        self._row_of_id = {image_id: row for row, image_id in enumerate(dataset.images.image_id.tolist())}
        self._rows_of_stem: defaultdict[str, list[int]] = defaultdict(list)
        for row, (path, source) in enumerate(zip(self._paths, self._sources, strict=True)):
            for stem in {_stem(path), _stem(source)}:
                self._rows_of_stem[stem].append(row)

    def rows(self, name: str) -> list[int]:
        """Return the image rows that a name means: none where it is unknown, several where it is ambiguous.

        An image_id comes first; then the path of the picture, or its end ("a/1.png" of "photos/a/1.png"); then the same
        without suffixes, of the picture or of the annotation file. Of a path from a disk's root that is no image's, as
        lists from another machine hold, the file's name alone is looked for. The rows of one picture are all meant.
        """
        if name in self._row_of_id:
            return [self._row_of_id[name]]
        path = posixpath.normpath(name.replace("\\", "/"))
        found = self._ending_in(_UPWARDS.sub("", path))
        if not found and _ROOTED.match(path):
            found = self._ending_in(posixpath.basename(path))
        return found

    def are_one_picture(self, rows: Sequence[int]) -> bool:
        """Return whether image rows have the same picture."""
        return len({self._paths[row] for row in rows}) == 1

    def _ending_in(self, path: str) -> list[int]:
        stems = {_stem(path), posixpath.basename(path)}
        candidates = sorted({row for stem in stems for row in self._rows_of_stem.get(stem, ())})
        whole = [row for row in candidates if _ends_in(self._paths[row], path)]
        bare = (path, _without_suffix(path))
        return whole or [
            row for row in candidates if any(_ends_in(end, path) for end in self._ends(row) for path in bare)
        ]

    def _ends(self, row: int) -> tuple[str, str]:
        return _without_suffix(self._paths[row]), _without_suffix(self._sources[row])


def _without_suffix(path: str) -> str:
    # "frame.0001" has no suffix: only those of pictures and annotation files are taken off.
    stem, suffix = posixpath.splitext(path)
    return stem if suffix.lower() in _KNOWN_SUFFIXES else path


def _stem(path: str) -> str:
    return _without_suffix(posixpath.basename(path))


def _ends_in(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")


def list_entries(path: Path, value: str) -> list[Entry]:
    """Return the entries of a text file with one image a line, each with the same value; empty lines are left out.

    Raises:
        AnnotationError: the file cannot be read or is not UTF-8 text.
    """
    if path.exists() and not path.is_file():
        raise AnnotationError(f"{path}: list must be a text file, got a folder, device or pipe")
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise AnnotationError(f"{path}: list must be readable, got {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: list must be UTF-8 text, got {error.reason} at byte {error.start}") from error
    named = enumerate((line.strip() for line in lines), start=1)
    return [Entry(name, value, str(path), f"line {number}") for number, name in named if name]


def table_entries(path: Path, value_column: str) -> list[Entry]:
    """Return the entries of a CSV file with a column of NAME_COLUMNS and `value_column`; empty values are left out.

    Raises:
        AnnotationError: the file cannot be read or lacks a column.
    """
    table = read_csv(path, [value_column])
    name_column = next((name for name in NAME_COLUMNS if name in table.columns), None)
    if name_column is None:
        got = ",".join(table.columns)[:200]
        raise AnnotationError(f"{path}: row 1: columns must include one of {', '.join(NAME_COLUMNS)}, got {got}")
    rows = enumerate(zip(table.columns[name_column], table.columns[value_column], strict=True), start=2)
    return [Entry(name, value.strip(), str(path), f"row {number}") for number, (name, value) in rows if value.strip()]


def values_of(dataset: BoxDataset, entries: Iterable[Entry], what: str) -> tuple[NDArray[np.str_], list[Finding]]:
    """Return the (N,) values that entries give to images, "" where none does, and findings about the entries.

    `what` is what the values are: a split, a group.

    Raises:
        AnnotationError: a name means several images, an image is given two values, or no name is known.
    """
    names = ImageNames(dataset)
    given: dict[int, Entry] = {}
    unknown: list[Entry] = []
    findings: list[Finding] = []
    for entry in entries:
        rows = names.rows(entry.name)
        if not rows:
            unknown.append(entry)
            message = f"name must be that of an image of the dataset, got {entry.name!r}; left out"
            findings.append(Finding("unknown-image", entry.file, entry.place, "", message))
        elif not names.are_one_picture(rows):
            ids = ", ".join(dataset.images.image_id[rows[:_SHOWN]].tolist())
            raise AnnotationError(f"{entry.file}: {entry.place}: {entry.name} must mean one image, got {ids}")
        for row in rows:
            findings += _twice(given.setdefault(row, entry), entry, str(dataset.images.image_id[row]), what)
    if unknown and not given:
        raise AnnotationError(
            f"{unknown[0].file}: names must be those of images of the dataset, got {_listed(unknown)}"
        )
    values = [given[row].value if row in given else "" for row in range(len(dataset.images))]
    return np.array(values, np.str_), findings


def _listed(unknown: list[Entry]) -> str:
    """Return what is told of lists of which no name is known: the first names, with their places."""
    named = ", ".join(f"{entry.name!r} ({entry.place})" for entry in unknown[:2])
    return f"{len(unknown)} unknown one{'' if len(unknown) == 1 else 's'}, such as {named}"


def _twice(first: Entry, entry: Entry, image_id: str, what: str) -> list[Finding]:
    if first is entry:
        return []
    there = f"{first.file}: {first.place}"
    if first.value != entry.value:
        must = f"{image_id} must be in one {what}, got {entry.value} and {first.value} ({there})"
        raise AnnotationError(f"{entry.file}: {entry.place}: {must}")
    message = f"{image_id} must be named once, got it in {there} too"
    return [Finding("named-twice", entry.file, entry.place, image_id, message)]


def unnamed(dataset: BoxDataset, values: NDArray[np.str_], file: str, what: str) -> list[Finding]:
    """Return one finding that names the images (the first few) that were given no value, or none where all were."""
    missing = dataset.images.image_id[values == ""].tolist()
    if not missing:
        return []
    ids = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
    message = f"{what} of every image should be given, got none for {len(missing)} of {len(values)}: {ids}"
    return [Finding("unnamed-images", file, "", "", message)]
