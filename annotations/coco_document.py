"""A COCO JSON file, checked entry by entry: ids, names, sizes and boxes, each fault with its place.

Any id serves, also 0 and text. Source: the data format page of the COCO data set; bbox is [x, y, width, height] in
pixels from the top left corner.
"""

import gc
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from annotations.notes import FileRefused, is_plain, shown
from annotations.plain_files import read_plain
from annotations.tables import Boxes

LARGEST_FILE = 2**31
"""Bytes; the annotations of COCO's own 118,000 pictures are a fifth of it."""
LARGEST = 10**9
"""Pixels: no picture is as wide, and up to here the arithmetic of boxes is exact to a millionth of a pixel."""

_LONGEST_TEXT = 1000
# Of a whole number beyond 64 bits orjson makes a fraction.
_HUGE_ID = re.compile(rb'id"\s*:\s*-?\d{19}')

_PLAIN_NAMES = re.compile(r"(?:[A-Za-z0-9_-]++\.[A-Za-z0-9]++/)*+")

Entries = Sequence[Mapping[str, Any]]
OnFault = Callable[[str, int, str], None]
"""Called with the list, the index of an entry in it and what is wrong there; may raise."""


@dataclass(frozen=True, slots=True, eq=False)
class CocoDocument:
    """What a COCO JSON file says, as columns; entries at fault were told of, and have the values named below.

    `names` are the categories in the order of their ids. `image_rows` and `class_ids` give the row of each id. Of I
    images: `files`, their file names ("" without), `width` and `height` in pixels (0 without). Of N annotations:
    `image_row` and `class_id` (-1 at fault), `xyxy` (N, 4) pixels (NaN without, or at fault), and whether it is a
    `crowd`, or one to `ignore`.
    """

    info: Mapping[str, Any]
    names: tuple[str, ...]
    image_rows: Mapping[Hashable, int]
    class_ids: Mapping[Hashable, int]
    images: Entries
    files: Sequence[str]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    annotations: Entries
    image_row: NDArray[np.int64]
    class_id: NDArray[np.int64]
    xyxy: Boxes
    crowd: NDArray[np.bool_]
    ignore: NDArray[np.bool_]

    def image_names(self) -> list[str]:
        """Return a different name for each image: its own `image_id`, its file's stem, its path or its number.

        The first of these that no other image has.
        """
        stems, paths = self._stems_and_paths()
        own = [entry.get("image_id") for entry in self.images]
        namings = [
            [name if isinstance(name, str) and is_plain(name, _LONGEST_TEXT) else "" for name in own],
            stems,
            paths,
            [str(entry.get("id")) for entry in self.images],
        ]
        return first_unique(namings) or [f"images[{row}]" for row in range(len(self.images))]

    @property
    def has_plain_files(self) -> bool:
        """Return whether every image has a file whose name can be nothing else: no folder, no drive, one suffix."""
        return _PLAIN_NAMES.fullmatch("".join(f"{file}/" for file in self.files)) is not None

    def _stems_and_paths(self) -> tuple[list[str], list[str]]:
        """Return the stem of each image's file, and its path without suffix."""
        if self.has_plain_files:
            # Nearly all are like this, and pathlib would take longer than all else that is done with the file.
            stems = [file.rpartition(".")[0] for file in self.files]
            return stems, stems
        paths = [PurePosixPath(file.replace("\\", "/")) for file in self.files]
        return [path.stem for path in paths], [str(path.with_suffix("")) if path.name else "" for path in paths]


def read_coco_document(path: Path, on_fault: OnFault) -> CocoDocument:
    """Return what a COCO JSON file says; `on_fault` is called for each image and annotation at fault.

    Raises:
        FileRefused: the file cannot be read, is no COCO JSON, or its categories are at fault.
    """
    with _no_collecting():
        return _document(read_json(path), on_fault)


def _document(document: object, on_fault: OnFault) -> CocoDocument:
    if not isinstance(document, dict):
        wanted = "an object with images, annotations and categories"
        raise FileRefused("bad-file", f"truth must be {wanted}, got {kind_of(document)}")
    images, rows = (entries_of(document, name, on_fault) for name in ("images", "annotations"))
    names, class_ids = _categories(document)
    image_rows = numbered("images", images, on_fault)
    if any("id" in entry for entry in rows):
        numbered("annotations", rows, on_fault)
    info = document.get("info")
    return CocoDocument(
        info=info if isinstance(info, dict) else {},
        names=names,
        image_rows=image_rows,
        class_ids=class_ids,
        images=images,
        files=texts("images", images, "file_name", on_fault),
        width=_sizes(images, "width", on_fault),
        height=_sizes(images, "height", on_fault),
        annotations=rows,
        image_row=looked_up("annotations", rows, "image_id", image_rows, on_fault),
        class_id=looked_up("annotations", rows, "category_id", class_ids, on_fault),
        xyxy=boxes("annotations", rows, on_fault, optional=True),
        crowd=_marks(rows, "iscrowd", on_fault),
        ignore=_marks(rows, "ignore", on_fault),
    )


def read_json(path: Path) -> object:
    """Return what a JSON file holds; NaN and numbers of any length are read.

    Raises:
        FileRefused: it cannot be read, or is no JSON.
    """
    return parsed(read_plain(path, LARGEST_FILE))


def parsed(data: bytes) -> object:
    """Return what JSON text holds; NaN and numbers of any length are read.

    Raises:
        FileRefused: it is no JSON.
    """
    try:
        if not _HUGE_ID.search(data):
            return orjson.loads(data)
    except ValueError:
        pass  # what orjson refuses, as NaN, may still be a file with one bad entry
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileRefused("bad-json", f"file must be JSON, got {error}") from error


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Collect no garbage for a while: of what is read there is none, and looking for it takes half of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def kind_of(value: object) -> str:
    """Return what a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def entries_of(document: Mapping[str, Any], name: str, on_fault: OnFault) -> Entries:
    """Return the objects of a list in a document; one that is no object is at fault, and empty.

    Raises:
        FileRefused: there is no such list.
    """
    entries = document.get(name)
    if not isinstance(entries, list):
        got = kind_of(entries) if name in document else "nothing"
        raise FileRefused("bad-file", f"{name} must be a list, got {got}")
    if set(map(type, entries)) <= {dict}:
        return entries
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            on_fault(name, index, f"entry must be an object, got {kind_of(entry)}")
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _values(entries: Entries, key: str) -> list[Any]:
    """Return the value of each entry's `key`, None where it has none."""
    try:
        # As nearly always, all have it: then this takes half of the time.
        return list(map(itemgetter(key), entries))
    except KeyError:
        return [entry.get(key) for entry in entries]


def numbered(name: str, entries: Entries, on_fault: OnFault) -> dict[Hashable, int]:
    """Return the row of each id; an id that is missing, is neither number nor text, or stands twice is at fault."""
    ids = _values(entries, "id")
    rows: dict[Hashable, int] = {}
    if set(map(type, ids)) <= {int, str}:
        rows = dict(zip(ids, range(len(ids)), strict=True))
        if len(rows) == len(ids):
            return rows
        rows = {}
    for index, value in enumerate(ids):
        if not isinstance(value, int | str) or isinstance(value, bool):
            on_fault(name, index, f"id must be a whole number or text, got {value!r}")
        elif rows.setdefault(value, index) != index:
            on_fault(name, index, f"id must be unique, got {value!r} as {name}[{rows[value]}]")
    return rows


def looked_up(
    name: str, entries: Entries, key: str, known: Mapping[Hashable, int], on_fault: OnFault
) -> NDArray[np.int64]:
    """Return the (N,) places that `known` gives for the entries' `key`; -1, and at fault, where it gives none."""
    values = _values(entries, key)
    if set(map(type, values)) <= {int, str}:
        places = [known.get(value, -1) for value in values]
    else:
        # true is 1 to Python, and no id.
        ids = [isinstance(value, int | str) and not isinstance(value, bool) for value in values]
        places = [known.get(value, -1) if fine else -1 for value, fine in zip(values, ids, strict=True)]
    if -1 in places:
        some = ", ".join(repr(value) for value in list(known)[:5]) + (", ..." if len(known) > 5 else "")
        for index, place in enumerate(places):
            if place == -1:
                got = f"{values[index]!r:.200}{_of_image(entries[index], key)}"
                on_fault(name, index, f"{key} must be one of the truth's ({some or 'none'}), got {got}")
    return np.array(places, np.int64)


def numbers(
    name: str, entries: Entries, key: str, length: int, on_fault: OnFault, *, optional: bool = False
) -> NDArray[np.float64]:
    """Return the finite numbers of the entries' `key`: (N,) for length 0, else (N, length) of lists of that length.

    NaN, and at fault, where there is something else; not at fault where it is `optional` and there is nothing.
    """
    values = _values(entries, key)
    whole = _finite(values, length)
    if whole is not None:
        return whole
    result = np.full((len(values), length) if length else len(values), np.nan)
    for index, value in enumerate(values):
        row = _finite([value], length)
        if row is not None:
            result[index] = row[0]
        elif not (optional and value is None):
            what = f"{length} finite numbers" if length else "a finite number"
            on_fault(name, index, f"{key} must be {what}, got {value!r:.200}{_of_image(entries[index], key)}")
    return result


def _finite(values: list[Any], length: int) -> NDArray[np.float64] | None:
    """Return the values as (N,) or (N, length) finite numbers, or None where they are something else."""
    flat = values
    if length:
        if not (set(map(type, values)) <= {list} and set(map(len, values)) <= {length}):
            return None
        flat = list(chain.from_iterable(values))
    if not set(map(type, flat)) <= {int, float}:
        return None
    try:
        array = np.array(flat, np.float64)
    except OverflowError:
        return None
    return (array.reshape(-1, length) if length else array) if np.isfinite(array).all() else None


def _of_image(entry: Mapping[str, Any], key: str) -> str:
    """Return which image an entry whose `key` is at fault is of, for the end of a message; "" for an image itself."""
    image_id = entry.get("image_id")
    return f" (image_id {image_id!r:.80})" if key != "image_id" and isinstance(image_id, int | str) else ""


def texts(name: str, entries: Entries, key: str, on_fault: OnFault) -> list[str]:
    """Return the text under `key` of each entry, "" where it has none.

    What is no text, or (half a surrogate pair) none that can be written into a file, is at fault.
    """
    values = _values(entries, key)
    wrong = [value is not None and not (isinstance(value, str) and is_plain(value, _LONGEST_TEXT)) for value in values]
    for index in np.flatnonzero(wrong).tolist():
        on_fault(name, index, f"{key} must be writable text, got {values[index]!a:.200}")
    return ["" if bad else value or "" for value, bad in zip(values, wrong, strict=True)]


def boxes(name: str, entries: Entries, on_fault: OnFault, *, optional: bool = False) -> Boxes:
    """Return the (N, 4) xyxy pixels of the entries' bbox, which may be inverted or without area.

    NaN, and at fault, where a bbox is not four finite numbers or is absurdly far out; not at fault where it is
    `optional` and there is none.
    """
    xywh = numbers(name, entries, "bbox", 4, on_fault, optional=optional)
    with np.errstate(invalid="ignore"):
        far = (np.abs(xywh) > LARGEST).any(axis=1)
    for index in np.flatnonzero(far).tolist():
        got = f"{xywh[index].tolist()}{_of_image(entries[index], 'bbox')}"
        on_fault(name, index, f"bbox must be within {LARGEST} pixels, got {got}")
    xywh[far] = np.nan
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def first_unique(namings: Sequence[Sequence[str]]) -> list[str]:
    """Return for each row its name of the first naming in which it has one that no other row has.

    Each naming gives a name for each row, "" for none. Where two rows would then be called the same, the first naming
    that has different names for all; [] where none has.
    """
    for names in namings:
        if all(names) and len(set(names)) == len(names):
            return list(names)
        if any(names):
            break
    counts = [Counter(names) for names in namings]
    chosen = [
        next((name for name, count in zip(row, counts, strict=True) if name and count[name] == 1), "")
        for row in zip(*namings, strict=True)
    ]
    whole = (list(names) for names in (chosen, *namings) if all(names) and len(set(names)) == len(names))
    return next(whole, [])


def _sizes(entries: Entries, key: str, on_fault: OnFault) -> NDArray[np.int64]:
    """Return the (I,) widths or heights of the images, 0 where there is none, or one at fault."""
    sizes = numbers("images", entries, key, 0, on_fault, optional=True)
    with np.errstate(invalid="ignore"):
        wrong = (sizes < 1) | (sizes > LARGEST) | (sizes != np.rint(sizes)) & ~np.isnan(sizes)
    for index in np.flatnonzero(wrong).tolist():
        got = shown(entries[index][key])
        on_fault("images", index, f"{key} must be a whole number from 1 to {LARGEST}, got {got}")
    return np.where(wrong | np.isnan(sizes), 0, sizes).astype(np.int64)


def _marks(entries: Entries, key: str, on_fault: OnFault) -> NDArray[np.bool_]:
    """Return the (N,) mask of the entries whose `key` is 1 or true; what is neither that nor 0 or false is at fault."""
    values = _values(entries, key)
    if set(map(type, values)) <= {int, bool, type(None)} and set(values) <= {0, 1, None}:
        return np.fromiter(map(bool, values), np.bool_, len(values))
    for index, value in enumerate(values):
        if not (value is None or (isinstance(value, int | float) and value in (0, 1))):
            got = f"{value!r:.200}{_of_image(entries[index], key)}"
            on_fault("annotations", index, f"{key} must be 0 or 1, got {got}")
    return np.array([isinstance(value, int | float) and value == 1 for value in values], np.bool_)


def _categories(document: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[Hashable, int]]:
    """Return the categories' names in the order of their ids, and the place of each id.

    Raises:
        FileRefused: one of them is at fault: without its name, no box of its class can be read.
    """

    def refuse(name: str, index: int, message: str) -> None:
        raise FileRefused("bad-file", message, f"{name}[{index}]")

    listed = entries_of(document, "categories", refuse)
    ids = numbered("categories", listed, refuse)
    named = texts("categories", listed, "name", refuse)
    order = sorted(range(len(listed)), key=lambda row: _sort_key(listed[row]["id"]))
    # One text object a name: boxes are renamed by its identity, a million at a time.
    names = [sys.intern(named[row] or str(listed[row]["id"])) for row in order]
    if len(set(names)) < len(names):
        raise FileRefused("bad-file", f"categories: name must be unique, got {', '.join(names)}")
    value_of = {row: value for value, row in ids.items()}
    return tuple(names), {value_of[row]: place for place, row in enumerate(order)}


def _sort_key(value: object) -> tuple[bool, int, str]:
    """Return what sorts numbers by size and then texts by letter."""
    return (not isinstance(value, int), value if isinstance(value, int) else 0, str(value))
