"""Truth and results as COCO JSON holds them; any id serves, also 0 and text.

Source: the data format page of the COCO data set (bbox is [x, y, width, height] in pixels from the top left corner).
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Boxes, Detections, Images, relative

_IDS = "coco_ids"
_LARGEST = 10**9
"""Pixels: no picture is as wide, and up to here the arithmetic of boxes is exact to a millionth of a pixel."""
Entries = Sequence[Mapping[str, Any]]


def read_coco_truth(path: Path) -> BoxDataset:
    """Return the truth of a COCO JSON file; classes stand in the order of their ids, `image_id` is the file's stem.

    Where stems clash it is the file's name without suffix, and where files have no name the image's number.

    Raises:
        AnnotationError: the file cannot be read, or an entry is at fault; file, list and place are named.
    """
    document = _read_json(path)
    if not isinstance(document, dict):
        raise AnnotationError(
            f"{path}: truth must be an object with images, annotations and categories, got {_kind(document)}"
        )
    images, rows, categories = (_entries(path, document, name) for name in ("images", "annotations", "categories"))
    image_rows = _numbered(path, "images", images)
    categories = sorted(categories, key=lambda entry: _sort_key(entry.get("id")))
    class_ids = _numbered(path, "categories", categories)
    named = _texts(path, "categories", categories, "name")
    names = [name or str(entry["id"]) for name, entry in zip(named, categories, strict=True)]
    if len(set(names)) < len(names):
        raise AnnotationError(f"{path}: categories: name must be unique, got {', '.join(names)}")
    _refuse_crowds(path, rows)
    if any("id" in entry for entry in rows):
        _numbered(path, "annotations", rows)
    table = _image_table(path, images)
    image_row = _looked_up(path, "annotations", rows, "image_id", image_rows)
    annotations = Annotations(
        image_row=image_row,
        object_id=np.arange(len(rows)),
        parent_id=np.full(len(rows), NO_PARENT),
        group_id=np.full(len(rows), ""),
        class_id=_looked_up(path, "annotations", rows, "category_id", class_ids),
        xyxy_rel=relative(table, image_row, _boxes(path, "annotations", rows)),
        shape_type=np.full(len(rows), "rectangle"),
    )
    summary = {_IDS: {"images": image_rows, "categories": class_ids}}
    return BoxDataset(path.parent, tuple(names), {}, table, annotations, summary)


def read_coco_results(path: Path, truth: BoxDataset) -> Detections:
    """Return the detections of a COCO results file (a list of image_id, category_id, bbox and score).

    Ids are those of the COCO file that `truth` was read from. For a box dataset, image_id must be its image_id and
    category_id the name of a class: its numbers would be a guess.

    Raises:
        AnnotationError: the file cannot be read, or an entry is at fault; file and place are named.
    """
    document = _read_json(path)
    if not isinstance(document, list):
        raise AnnotationError(f"{path}: results must be a list, got {_kind(document)}")
    rows = _entries(path, {"results": document}, "results")
    ids = truth.summary.get(_IDS) or {
        "images": {name: row for row, name in enumerate(truth.images.image_id.tolist())},
        "categories": {name: class_id for class_id, name in enumerate(truth.classes)},
    }
    image_row = _looked_up(path, "results", rows, "image_id", ids["images"])
    return Detections(
        image_row=image_row,
        object_id=np.arange(len(rows)),
        parent_id=np.full(len(rows), NO_PARENT),
        class_id=_looked_up(path, "results", rows, "category_id", ids["categories"]),
        score=_numbers(path, "results", rows, "score", ()),
        xyxy_rel=relative(truth.images, image_row, _boxes(path, "results", rows)),
    )


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"{path}: file must be readable, got {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: file must be JSON, got {error}") from error


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _entries(path: Path, document: Mapping[str, Any], name: str) -> Entries:
    entries = document.get(name)
    if not isinstance(entries, list):
        got = _kind(entries) if name in document else "nothing"
        raise AnnotationError(f"{path}: {name} must be a list, got {got}")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise AnnotationError(f"{path}: {name}[{index}]: entry must be an object, got {_kind(entry)}")
    return entries


def _numbered(path: Path, name: str, entries: Entries) -> dict[Hashable, int]:
    """Return the row of each id.

    Raises:
        AnnotationError: an id is missing, is neither number nor text, or stands twice.
    """
    rows: dict[Hashable, int] = {}
    for index, entry in enumerate(entries):
        value = entry.get("id")
        if not isinstance(value, int | str) or isinstance(value, bool):
            raise AnnotationError(f"{path}: {name}[{index}]: id must be a whole number or text, got {value!r}")
        if rows.setdefault(value, index) != index:
            raise AnnotationError(f"{path}: {name}[{index}]: id must be unique, got {value!r} as {name}[{rows[value]}]")
    return rows


def _sort_key(value: object) -> tuple[bool, int, str]:
    """Return what sorts numbers by size and then texts by letter."""
    return (not isinstance(value, int), value if isinstance(value, int) else 0, str(value))


def _looked_up(path: Path, name: str, entries: Entries, key: str, known: Mapping[Hashable, int]) -> NDArray[np.int64]:
    """Return the (N,) places that `known` gives for the entries' `key`.

    Raises:
        AnnotationError: an entry without it, or with one that is not known.
    """
    values = [entry.get(key) for entry in entries]
    places = [known.get(value, -1) if isinstance(value, int | str) else -1 for value in values]
    if -1 in places:
        index = places.index(-1)
        some = ", ".join(repr(value) for value in list(known)[:5]) + (", ..." if len(known) > 5 else "")
        raise AnnotationError(
            f"{path}: {name}[{index}]: {key} must be one of the truth's ({some or 'none'}), got {values[index]!r}"
        )
    return np.array(places, np.int64)


def _numbers(path: Path, name: str, entries: Entries, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the (N, *shape) finite numbers of the entries' `key`.

    Raises:
        AnnotationError: the first entry that has something else.
    """
    values = [entry.get(key) for entry in entries]
    whole = _finite(values, shape)
    if whole is not None:
        return whole
    rows = [_finite([value], shape) for value in values]
    for index, row in enumerate(rows):
        if row is None:
            what = f"{shape[0]} finite numbers" if shape else "a finite number"
            raise AnnotationError(f"{path}: {name}[{index}]: {key} must be {what}, got {values[index]!r:.200}")
    return np.concatenate([row for row in rows if row is not None])


def _finite(values: list[Any], shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Return the values as (N, *shape) finite numbers, or None where they are something else."""
    if not values:
        return np.zeros((0, *shape))
    try:
        array = np.array(values)
    except ValueError:
        return None
    fits = array.dtype.kind in "iuf" and array.shape == (len(values), *shape) and bool(np.isfinite(array).all())
    return array.astype(np.float64) if fits else None


def _sizes(path: Path, entries: Entries, key: str) -> NDArray[np.int64]:
    """Return the (N,) widths or heights of the images.

    Raises:
        AnnotationError: one that is no whole number of pixels.
    """
    sizes = _numbers(path, "images", entries, key, ())
    for index in np.flatnonzero((sizes < 1) | (sizes > _LARGEST) | (sizes != np.rint(sizes)))[:1]:
        raise AnnotationError(
            f"{path}: images[{index}]: {key} must be a whole number from 1 to {_LARGEST}, got {entries[index][key]!r}"
        )
    return sizes.astype(np.int64)


def _texts(path: Path, name: str, entries: Entries, key: str) -> list[str]:
    """Return the text under `key` of each entry, "" where it has none.

    Raises:
        AnnotationError: it is no text, or (half a surrogate pair) none that can be written into a file.
    """
    values = [entry.get(key) for entry in entries]
    for index, value in enumerate(values):
        if value is not None and not (isinstance(value, str) and _writable(value)):
            raise AnnotationError(f"{path}: {name}[{index}]: {key} must be writable text, got {value!a:.200}")
    return [value or "" for value in values]


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _boxes(path: Path, name: str, entries: Entries) -> Boxes:
    """Return the (N, 4) xyxy pixels of the entries' bbox.

    Raises:
        AnnotationError: a bbox that is not four finite numbers, has no area, or is absurdly far out.
    """
    xywh = _numbers(path, name, entries, "bbox", (4,))
    for index in np.flatnonzero((np.abs(xywh) > _LARGEST).any(axis=1))[:1]:
        raise AnnotationError(
            f"{path}: {name}[{index}]: bbox must be within {_LARGEST} pixels, got {xywh[index].tolist()}"
        )
    for index in np.flatnonzero((xywh[:, 2:] <= 0).any(axis=1))[:1]:
        raise AnnotationError(
            f"{path}: {name}[{index}]: bbox must have a width and a height above 0, got {xywh[index].tolist()}"
        )
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _refuse_crowds(path: Path, entries: Entries) -> None:
    for index, entry in enumerate(entries):
        if entry.get("iscrowd"):
            raise AnnotationError(
                f"{path}: annotations[{index}]: iscrowd must be 0 (regions of many objects cannot be scored), got "
                f"{entry['iscrowd']!r}"
            )


def _image_table(path: Path, entries: Entries) -> Images:
    files, count = _texts(path, "images", entries, "file_name"), len(entries)
    blank = np.full(count, "")
    return Images(
        image_id=np.array(_image_ids(files, [str(entry["id"]) for entry in entries]), np.str_),
        path=np.array([_inside(file) for file in files], np.str_),
        width=_sizes(path, entries, "width"),
        height=_sizes(path, entries, "height"),
        split=blank,
        group=blank,
        flags=blank,
        source=np.full(count, path.name),
    )


def _inside(file: str) -> str:
    """Return the path of a picture below the folder of the truth, or "" for one that would lead out of it."""
    path = PurePosixPath(file.replace("\\", "/"))
    leads_out = path.is_absolute() or ".." in path.parts or PureWindowsPath(file).is_absolute()
    return "" if leads_out or not path.name else str(path)


def _image_ids(files: list[str], numbers: list[str]) -> list[str]:
    """Return the first naming of the images in which no two have the same name."""
    paths = [PurePosixPath(file.replace("\\", "/")) for file in files]
    namings = [[path.stem for path in paths], [str(path.with_suffix("")) if path.name else "" for path in paths]]
    for names in namings:
        if all(names) and len(set(names)) == len(names):
            return names
    return numbers
