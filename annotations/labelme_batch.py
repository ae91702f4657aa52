"""Many ordinary Labelme files at once: what `labelme_folder.convert_file` makes of each, in columns.

An ordinary file is one about which there is nothing to tell (but corners in another order). Files about which there is
the least doubt are left out, and `convert_file`, which is the definition of what a file means, reads those. Nothing
here decides what is an error, or words it. `labelme_opening` takes the files apart; here they become boxes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations import shapes as rules
from annotations.drawn_columns import DrawnColumns, ImageRow, image_table, joined
from annotations.findings import Finding
from annotations.imagepaths import SourceFolder
from annotations.labelme_heads import Heads
from annotations.labelme_opening import OpenedFiles, opened_files
from annotations.linking import NONE
from annotations.linking_columns import NO_GROUP, NO_PART, parents, repeated
from annotations.naming import Naming
from annotations.notes import is_plain
from annotations.words import Words, coded

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


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
    heads = Heads(folder, check_images)
    done = [
        _settled(opened, heads.rows(opened, sources, image_ids), naming) for opened in opened_files(folder, sources)
    ]
    return OrdinaryFiles(
        np.concatenate([np.zeros(0, np.int64), *(part.files for part in done)]),
        joined(part.columns for part in done),
        {file: finding for part in done for file, finding in part.inverted.items()},
    )


class _Boxes(NamedTuple):
    """Columns of shapes: the row of their file, the codes of label, group and type, the box in pixels."""

    file: Ints
    label: Ints
    group: Ints
    kind: Ints
    xyxy: Floats
    inverted: Mask

    def take(self, rows: Mask) -> "_Boxes":
        """Return the boxes of a mask's true rows."""
        if rows.all():
            return self
        file, label, group, kind, xyxy, inverted = self
        return _Boxes(file[rows], label[rows], group[rows], kind[rows], xyxy[rows], inverted[rows])


class _Meanings(NamedTuple):
    """What the codes of _Boxes stand for: labels as drawn and as named, groups ("" for none) and types."""

    labels: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    kinds: tuple[str, ...]


def _settled(opened: OpenedFiles, heads: Sequence[ImageRow | None], naming: Naming) -> OrdinaryFiles:
    """Return the ordinary ones of some opened files; one without a head is none."""
    ordinary = np.array([head is not None for head in heads], np.bool_)
    size = np.array([head[2:4] if head is not None else (1, 1) for head in heads], np.float64).reshape(-1, 2)
    boxes, meanings, odd = _boxes(opened, size, naming)
    ordinary[boxes.file[odd]] = False
    boxes = boxes.take(ordinary[boxes.file])
    parent, unsettled = _parents(boxes, meanings, naming.parts)
    ordinary[boxes.file[unsettled]] = False
    keep = ordinary[boxes.file]
    boxes, parent = boxes.take(keep), parent[keep]
    rows = np.flatnonzero(ordinary)
    images = [head for head, is_ordinary in zip(heads, ordinary.tolist(), strict=True) if is_ordinary and head]
    columns = DrawnColumns(
        images=image_table(images),
        boxes=np.array(opened.shapes, np.int64)[rows],
        label=Words(meanings.names, boxes.label),
        group_id=Words(meanings.groups, boxes.group),
        shape_type=Words(meanings.kinds, boxes.kind),
        xyxy=boxes.xyxy,
        parent=parent,
        number=np.arange(len(parent)) - _first_of_file(boxes.file),
        renamed=frozenset(naming.rename) & Words(meanings.labels, boxes.label).used(),
        embedded={},
    )
    inverted = np.bincount(boxes.file[boxes.inverted], minlength=len(heads))[rows].tolist()
    files = np.array(opened.files, np.int64)[rows]
    return OrdinaryFiles(files, columns, _findings(files.tolist(), images, inverted, columns.boxes.tolist()))


def _findings(
    files: Sequence[int], images: Sequence[ImageRow], inverted: Sequence[int], shapes: Sequence[int]
) -> dict[int, Finding]:
    findings = {}
    for file, image, count, of in zip(files, images, inverted, shapes, strict=True):
        if count:
            note = rules.inverted_note(count, of)
            findings[file] = Finding(note.code, image.source, note.shape, image.image_id, note.message)
    return findings


def _boxes(opened: OpenedFiles, size: Floats, naming: Naming) -> tuple[_Boxes, _Meanings, Mask]:
    """Return the box of each shape, and a mask of the shapes that are not ordinary by themselves."""
    meaning, points, x, y = opened.columns
    columns = list(zip(*opened.meanings, strict=True)) or [()] * 3
    (labels, label_of), (groups, group_of), (kinds, kind_of) = map(coded, columns)
    label, group, kind = label_of[meaning], group_of[meaning], kind_of[meaning]
    file = np.repeat(np.arange(len(size)), opened.shapes)
    odd = _each([not _is_label(text, naming) for text in labels])[label]
    odd |= _each([number is not None and abs(number) >= rules.LARGEST_GROUP for number in groups])[group]
    odd |= ~_have_counts(kinds, kind, points)
    xyxy, inverted, negative = _envelopes(kinds, kind, points, x, y)
    odd |= negative | ~_have_area_inside(xyxy, size[file])
    meanings = _Meanings(
        labels=labels,
        names=tuple(naming.rename.get(text, text) for text in labels),
        groups=tuple("" if number is None else str(number) for number in groups),
        kinds=tuple(rules.UNTYPED if name is None else name for name in kinds),
    )
    return _Boxes(file, label, group, kind, xyxy, inverted), meanings, odd


def _each(values: list[bool]) -> Mask:
    return np.array(values, np.bool_)


def _is_label(text: str, naming: Naming) -> bool:
    if not text or not is_plain(text, rules.LONGEST_LABEL):
        return False
    return naming.classes is None or naming.rename.get(text, text) in naming.classes


def _have_counts(kinds: Sequence[str | None], kind: Ints, points: Ints) -> Mask:
    """Return whether each shape is of a type that has a box, and has as many points as the type; no mask has."""
    right = np.zeros(len(kind), np.bool_)
    for code, name in enumerate(kinds):
        if name is None or name == "polygon":
            right |= (kind == code) & (points >= rules.LEAST_OF_POLYGON)
        elif name != "mask":
            for count in rules.POINT_COUNTS.get(name, ()):
                right |= (kind == code) & (points == count)
    return right


def _envelopes(
    kinds: Sequence[str | None], kind: Ints, points: Ints, x: Floats, y: Floats
) -> tuple[Floats, Mask, Mask]:
    """Return each shape's (N, 4) box, whether it is an inverted rectangle, and whether a coordinate is negative.

    A negative zero is negative as well: which of two zeros is the smaller one is not to be told.
    """
    first = np.cumsum(points) - points
    xyxy = np.empty((len(points), 4))
    for column, (smallest, values) in enumerate([(np.minimum, x), (np.minimum, y), (np.maximum, x), (np.maximum, y)]):
        xyxy[:, column] = smallest.reduceat(values, first)
    is_rectangle, is_circle = (_each([name == wanted for name in kinds])[kind] for wanted in ("rectangle", "circle"))
    inverted = is_rectangle & (points == 2) & ((x[first] != xyxy[:, 0]) | (y[first] != xyxy[:, 1]))
    negative = np.zeros(len(points), np.bool_)
    for values in (x, y):
        if np.signbit(values).any():
            negative |= np.logical_or.reduceat(np.signbit(values), first)
    circles = np.flatnonzero(is_circle & (points == 2))
    xyxy[circles] = _around(x[first[circles]], y[first[circles]], x[first[circles] + 1], y[first[circles] + 1])
    return xyxy, inverted, negative


def _around(x: Floats, y: Floats, rim_x: Floats, rim_y: Floats) -> Floats:
    """Return the (N, 4) boxes of circles by their centres and a point on their rims."""
    with np.errstate(over="ignore"):
        # Python's hypot: numpy's may differ in the last digit.
        radius = np.array(list(map(math.hypot, (rim_x - x).tolist(), (rim_y - y).tolist())), np.float64)
        return np.stack([x - radius, y - radius, x + radius, y + radius], axis=1)


def _have_area_inside(xyxy: Floats, size: Floats) -> Mask:
    """Return whether each box lies inside its frame and has an area there, divided as the files hold it."""
    inside = np.ones(len(xyxy), np.bool_)
    for axis in (0, 1):
        low, high, side = xyxy[:, axis], xyxy[:, axis + 2], size[:, axis]
        inside &= (low >= 0) & (high <= side) & (low / side < high / side)
    return inside


def _first_of_file(file: Ints) -> Ints:
    """Return for each box the row of the first box of its file."""
    counts = np.bincount(file)
    return np.asarray(np.repeat(np.cumsum(counts) - counts, counts), np.int64)


def _parents(boxes: _Boxes, meanings: _Meanings, parts: Mapping[str, str]) -> tuple[Ints, Mask]:
    """Return each box's parent as a place among the boxes of its file, and a mask that names unsettled files."""
    # Two labels may have been given one name; then they are one label.
    names, name_of = coded(meanings.names)
    name = name_of[boxes.label]
    group_of = np.array([code if text else NO_GROUP for code, text in enumerate(meanings.groups)], np.int64)
    code_of = {label: code for code, label in enumerate(names)}
    # An object that nobody drew has a number that no label has.
    wholes = [code_of.setdefault(parts[label], len(code_of)) if label in parts else NO_PART for label in names]
    linked = parents(boxes.file, name, group_of[boxes.group], boxes.xyxy, np.array(wholes, np.int64))
    parent = np.where(linked.parent == NONE, NONE, linked.parent - _first_of_file(boxes.file))
    return parent, linked.unsettled | repeated(boxes.file, name, boxes.group, boxes.xyxy)
