"""Many ordinary Labelme files at once: what `labelme_folder.convert_file` makes of each, in columns.

An ordinary file is one about which there is nothing to tell (but corners in another order). This reader takes such
files alone; it leaves out every file about which it is in the least doubt, and `convert_file`, which is the definition
of what a file means, reads those. Nothing here decides what is an error, or words it.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from annotations import shapes as rules
from annotations.drawn_columns import DrawnColumns, ImageRow, joined
from annotations.findings import Finding
from annotations.frames import LARGEST_SIDE
from annotations.imagepaths import SourceFolder
from annotations.labelme import LARGEST_FILE, split_of_flags, true_flags
from annotations.linking import NONE
from annotations.linking_columns import NO_GROUP, NO_PART, parents, repeated
from annotations.naming import Naming
from annotations.notes import FileRefused, Note, is_plain
from annotations.picture_headers import plain_displayed_size
from annotations.words import Words, coded

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_READ_AT_ONCE = 2**16
"""Bytes of the first read: nearly every file without image data is smaller."""
_WORTH_CUTTING = 2**14
"""Bytes of a file from which on looking for image data in it pays."""
_IMAGE_DATA = re.compile(rb'(?<!\\)"imageData"\s*:\s*"')
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

_SHAPES_TOGETHER = 100
"""Shapes that are taken apart together: few enough that Python's garbage collector does not go through them."""
_NUMBERS_TOGETHER = 100_000
"""Coordinates that are worked on together; they bound the memory."""


class OrdinaryFiles(NamedTuple):
    """What the ordinary ones of some files hold: `files` are their (I,) places among them, ascending.

    `columns` has an image for each of them, in that order, and `inverted` the finding of each that has one.
    """

    files: Ints
    columns: DrawnColumns
    inverted: dict[int, Finding]


def read_ordinary(
    folder: SourceFolder, sources: Sequence[str], image_ids: Sequence[str], naming: Naming, *, check_images: bool
) -> OrdinaryFiles:
    """Return what the ordinary files among `sources` (relative to the folder, with `/`) hold."""
    done = [
        _settled(opened, naming) for opened in _opened(_Heads(folder, check_images), sources, image_ids) if opened.heads
    ]
    return OrdinaryFiles(
        np.concatenate([np.zeros(0, np.int64), *(part.files for part in done)]),
        joined(part.columns for part in done),
        {file: finding for part in done for file, finding in part.inverted.items()},
    )


# --- From files to flat lists ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Opened:
    """Files taken apart: what each says of its image, and the values of all their shapes, one after the other."""

    files: list[int] = field(default_factory=list)
    heads: list[ImageRow] = field(default_factory=list)
    shapes: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    groups: list[int | None] = field(default_factory=list)
    types: list[str | None] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)

    def take(self, heads: Sequence[tuple[int, ImageRow, list[Any]]]) -> None:
        """Add these files' shapes, but those of files in which a value has not its usual type."""
        parts = _parts(list(chain.from_iterable(map(itemgetter(2), heads))))
        if parts is not None:
            self.files += map(itemgetter(0), heads)
            self.heads += map(itemgetter(1), heads)
            self.shapes += [len(shapes) for _, _, shapes in heads]
            for mine, more in zip(
                (self.labels, self.groups, self.types, self.points, self.numbers), parts, strict=True
            ):
                mine += more
        elif len(heads) > 1:
            for head in heads:
                self.take([head])


def _parts(shapes: list[Any]) -> tuple[list[Any], ...] | None:
    """Return the labels, groups, types, numbers of points and coordinates of shapes, or None where one is unusual."""
    try:
        labels = [shape.get("label") for shape in shapes]
        groups = [shape.get("group_id") for shape in shapes]
        types = [shape.get("shape_type") for shape in shapes]
        points = [shape.get("points") for shape in shapes]
        corners = list(chain.from_iterable(points))
        numbers = list(chain.from_iterable(corners))
        counts = list(map(len, points))
        usual = (
            set(map(type, labels)) <= _TEXT
            and set(map(type, groups)) <= _GROUP
            and set(map(type, types)) <= _TYPE
            and set(map(type, points)) <= _LIST
            and set(map(type, corners)) <= _LIST
            and set(map(len, corners)) <= _PAIR
            and set(map(type, numbers)) <= _NUMBER
            and 0 not in counts
        )
    except (AttributeError, TypeError):
        return None
    return (labels, groups, types, counts, numbers) if usual else None


# A set of types holds no subclass: JSON gives none, and a boolean is no number here.
_TEXT, _LIST, _PAIR = {str}, {list}, {2}
_GROUP, _TYPE, _NUMBER = {int, type(None)}, {str, type(None)}, {float, int}


def _opened(heads: "_Heads", sources: Sequence[str], image_ids: Sequence[str]) -> Iterator[_Opened]:
    opened = _Opened()
    waiting: list[tuple[int, ImageRow, list[Any]]] = []
    shapes = 0
    for file, (source, image_id) in enumerate(zip(sources, image_ids, strict=True)):
        document = heads.document(source)
        head = None if document is None else heads.head(source, image_id, document)
        if document is None or head is None:
            continue
        waiting.append((file, head, document["shapes"]))
        shapes += len(document["shapes"])
        if shapes >= _SHAPES_TOGETHER:
            opened.take(waiting)
            waiting, shapes = [], 0
            if len(opened.numbers) >= _NUMBERS_TOGETHER:
                yield opened
                opened = _Opened()
    opened.take(waiting)
    yield opened


class _Heads:
    """Reads what an ordinary file says besides its shapes; None stands for a file that is not ordinary."""

    def __init__(self, folder: SourceFolder, check_images: bool) -> None:
        self.folder = folder
        self.prefix = f"{folder.root}{os.sep}"
        self.check_images = check_images
        self.splits: dict[tuple[str, ...], tuple[str, str] | None] = {}

    def document(self, source: str) -> dict[str, Any] | None:
        """Return the JSON object of a file with shapes, without its image data."""
        data = _bytes_of(self.prefix + source) if self.folder.is_ordinary(source) else None
        if data is None:
            return None
        try:
            document = orjson.loads(_without_image_data(data) if len(data) > _WORTH_CUTTING else data)
        except orjson.JSONDecodeError:
            return None
        shapes = document.get("shapes") if type(document) is dict else None
        return document if type(shapes) is list and len(shapes) <= rules.MOST_SHAPES else None

    def head(self, source: str, image_id: str, document: Mapping[str, Any]) -> ImageRow | None:
        """Return what a file says of its image."""
        flags = self._flags(document.get("flags"))
        width, height, image_path = document.get("imageWidth"), document.get("imageHeight"), document.get("imagePath")
        if flags is None or not (_is_side(width) and _is_side(height) and type(image_path) is str):
            return None
        path = self.folder.plain_path(source.rpartition("/")[0], image_path)
        if path is None:
            return None
        if self.check_images:
            if not self.folder.is_ordinary(path) or plain_displayed_size(self.prefix + path) != (width, height):
                return None
        elif not is_plain(path, len(path)):
            return None
        return ImageRow(image_id, path, width, height, *flags, source)

    def _flags(self, flags: object) -> tuple[str, str] | None:
        """Return the split and the true flags' names, joined."""
        if flags is None:
            return "", ""
        if type(flags) is not dict or not set(map(type, flags.values())) <= {bool}:
            return None
        true = tuple([name for name, is_true in flags.items() if is_true])
        if true not in self.splits:
            self.splits[true] = _split_and_flags(true)
        return self.splits[true]


def _is_side(value: object) -> bool:
    return type(value) is int and 0 < value <= LARGEST_SIDE


def _split_and_flags(true: tuple[str, ...]) -> tuple[str, str] | None:
    notes: list[Note] = []
    try:
        names = true_flags({"flags": dict.fromkeys(true, True)}, notes)
    except FileRefused:
        return None
    split = split_of_flags(names, notes)
    return None if notes else (split, ";".join(names))


def _bytes_of(path: str) -> bytes | None:
    """Return the bytes of an ordinary file, or None where it cannot be read, is too large or has just been changed."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        data = os.read(handle, _READ_AT_ONCE)
        if len(data) < _READ_AT_ONCE:
            return data
        size = os.fstat(handle).st_size
        if size > LARGEST_FILE:
            return None
        os.lseek(handle, 0, os.SEEK_SET)
        data = os.read(handle, size + 1)
        return data if len(data) == size else None
    except OSError:
        return None
    finally:
        os.close(handle)


def _without_image_data(data: bytes) -> bytes:
    """Return a JSON text without the text of its first `imageData`, of which one in Labelme's place is the only one.

    What follows an unescaped quote is a key, and what is cut is plain ASCII without quotes and backslashes, so the rest
    is JSON just if the whole is. No other value of this name means anything, and an emptied text stays a text.
    """
    found = _IMAGE_DATA.search(data)
    if found is None:
        return data
    begin, end = found.end(), data.find(b'"', found.end())
    if end <= begin or data.find(b"\\", begin, end) >= 0:
        return data
    text = np.frombuffer(data, np.uint8, end - begin, begin)
    return data[:begin] + data[end:] if text.min() >= ord(" ") and text.max() <= ord("~") else data


# --- From flat lists to columns ----------------------------------------------------------------------------------


class _Boxes(NamedTuple):
    """Columns of shapes: the row of their file, the codes of label, group and type, the box in pixels."""

    file: Ints
    label: Ints
    group: Ints
    kind: Ints
    xyxy: NDArray[np.float64]
    inverted: Mask

    def take(self, rows: Mask) -> "_Boxes":
        return _Boxes(*(column[rows] for column in self))


class _Meanings(NamedTuple):
    """What the codes of _Boxes stand for: labels as drawn, groups ("" for none) and types."""

    labels: tuple[str, ...]
    groups: tuple[str, ...]
    kinds: tuple[str, ...]


def _settled(opened: _Opened, naming: Naming) -> OrdinaryFiles:
    """Return the ordinary ones of some opened files."""
    boxes, meanings, odd = _boxes(opened, naming)
    ordinary = np.ones(len(opened.files), np.bool_)
    ordinary[boxes.file[odd]] = False
    boxes = boxes if ordinary.all() else boxes.take(ordinary[boxes.file])
    # Two labels may have been given one new name; then they are one label.
    names, name_of = coded([naming.rename.get(label, label) for label in meanings.labels])
    name = name_of[boxes.label]
    parent, unsettled = _parents(boxes, name, names, meanings.groups, naming.parts)
    unsettled |= repeated(boxes.file, name, boxes.group, boxes.xyxy)
    ordinary[boxes.file[unsettled]] = False
    keep = ordinary[boxes.file]
    labels = Words(tuple(naming.rename.get(label, label) for label in meanings.labels), boxes.label[keep])
    renamed = frozenset(naming.rename) & Words(meanings.labels, labels.codes).used()
    boxes = boxes.take(keep)
    files = np.flatnonzero(ordinary)
    first = np.searchsorted(boxes.file, boxes.file)
    columns = DrawnColumns(
        images=[opened.heads[file] for file in files.tolist()],
        boxes=np.array(opened.shapes, np.int64)[files],
        label=labels,
        group_id=Words(meanings.groups, boxes.group),
        shape_type=Words(meanings.kinds, boxes.kind),
        xyxy=boxes.xyxy,
        parent=parent[keep],
        number=np.arange(len(first)) - first,
        renamed=renamed,
    )
    return OrdinaryFiles(np.array(opened.files, np.int64)[files], columns, _inverted(opened, boxes))


def _boxes(opened: _Opened, naming: Naming) -> tuple[_Boxes, _Meanings, Mask]:
    """Return the box of each shape, and a mask of the shapes that are not ordinary by themselves."""
    labels, label = coded(opened.labels)
    groups, group = coded(opened.groups)
    kinds, kind = coded(opened.types)
    names = tuple(rules.UNTYPED if name is None else name for name in kinds)
    points, xy = np.array(opened.points, np.int64), np.array(opened.numbers, np.float64).reshape(-1, 2)
    file = np.repeat(np.arange(len(opened.files)), opened.shapes)
    odd = _each([not _is_label(text, naming) for text in labels])[label]
    odd |= _each([number is not None and abs(number) >= rules.LARGEST_GROUP for number in groups])[group]
    odd |= ~_have_counts(names, kind, points)
    xyxy, inverted, negative = _envelopes(names, kind, points, xy)
    size = np.array([head[2:4] for head in opened.heads], np.int64)[file]
    odd |= negative | ~_have_area_inside(xyxy, size)
    texts = tuple("" if number is None else str(number) for number in groups)
    return _Boxes(file, label, group, kind, xyxy, inverted), _Meanings(labels, texts, names), odd


def _each(values: list[bool]) -> Mask:
    return np.array(values, np.bool_)


def _is_label(text: str, naming: Naming) -> bool:
    known = naming.classes is None or naming.rename.get(text, text) in naming.classes
    return known and text != "" and is_plain(text, rules.LONGEST_LABEL)


def _have_counts(kinds: Sequence[str], kind: Ints, points: Ints) -> Mask:
    """Return whether each shape is of a type that has a box, and has as many points as the type; no mask has."""
    right = np.zeros(len(kind), np.bool_)
    for code, name in enumerate(kinds):
        if name == "polygon":
            right |= (kind == code) & (points >= rules.LEAST_OF_POLYGON)
        elif name != "mask":
            right |= (kind == code) & np.isin(points, rules.POINT_COUNTS.get(name, ()))
    return right


def _envelopes(
    kinds: Sequence[str], kind: Ints, points: Ints, xy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Mask, Mask]:
    """Return each shape's (N, 4) box, whether it is an inverted rectangle, and whether a coordinate is negative.

    A negative zero is negative as well: which of two zeros is the smaller one is not to be told.
    """
    first = np.cumsum(points) - points
    xyxy = np.concatenate([np.minimum.reduceat(xy, first), np.maximum.reduceat(xy, first)], axis=1)
    inverted = (xy[first] != xyxy[:, :2]).any(axis=1) & _is_kind(kinds, kind, "rectangle")
    negative = np.logical_or.reduceat(np.signbit(xy).any(axis=1), first) if np.signbit(xy).any() else inverted & False
    # One by one: numpy's hypot may differ from Python's in the last digit.
    for row in np.flatnonzero(_is_kind(kinds, kind, "circle") & (points == 2)).tolist():
        (x, y), (rim_x, rim_y) = xy[first[row] : first[row] + 2].tolist()
        radius = math.hypot(rim_x - x, rim_y - y)
        xyxy[row] = x - radius, y - radius, x + radius, y + radius
    return xyxy, inverted, negative


def _is_kind(kinds: Sequence[str], kind: Ints, name: str) -> Mask:
    return _each([name == other for other in kinds])[kind]


def _have_area_inside(xyxy: NDArray[np.float64], size: Ints) -> Mask:
    """Return whether each box lies inside its frame and has an area there, divided as the files hold it."""
    low, high = xyxy[:, :2], xyxy[:, 2:]
    return np.asarray(((low >= 0) & (high <= size) & (low / size < high / size)).all(axis=1), np.bool_)


def _parents(
    boxes: _Boxes, name: Ints, names: Sequence[str], groups: Sequence[str], parts: Mapping[str, str]
) -> tuple[Ints, Mask]:
    """Return each box's parent as a place among the boxes of its file, and a mask that names unsettled files."""
    group_of = np.array([code if text else NO_GROUP for code, text in enumerate(groups)], np.int64)
    code_of = {label: code for code, label in enumerate(names)}
    # An object that nobody drew has a number that no label has.
    wholes = [code_of.setdefault(parts[label], len(code_of)) if label in parts else NO_PART for label in names]
    linked = parents(boxes.file, name, group_of[boxes.group], boxes.xyxy, np.array(wholes, np.int64))
    first = np.searchsorted(boxes.file, boxes.file)
    return np.where(linked.parent == NONE, NONE, linked.parent - first), linked.unsettled


def _inverted(opened: _Opened, boxes: _Boxes) -> dict[int, Finding]:
    """Return the finding about each file in which rectangles are inverted."""
    counts = np.bincount(boxes.file[boxes.inverted], minlength=len(opened.files))
    findings = {}
    for row in np.flatnonzero(counts).tolist():
        head, note = opened.heads[row], rules.inverted_note(int(counts[row]), opened.shapes[row])
        findings[opened.files[row]] = Finding(note.code, head.source, note.shape, head.image_id, note.message)
    return findings
