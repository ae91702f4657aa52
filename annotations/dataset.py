"""A box dataset's directory: dataset.json, images.csv, boxes.csv and findings.csv, whole or not there."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.collector import collector_at_rest
from annotations.columns import fixed
from annotations.csvtable import (
    Column,
    CsvTable,
    Part,
    Sparse,
    box_columns,
    csv_parts,
    csv_text,
    parent_column,
    read_csv,
)
from annotations.errors import AnnotationError, UsageError
from annotations.findings import Finding, count_by_severity, findings_text
from annotations.processes import can_be_copied, in_turn
from annotations.tables import NO_PARENT, SPLITS, Annotations, BoxDataset, Images
from annotations.version import VERSION
from annotations.whole import is_free, whole_directory
from annotations.words import Words

SCHEMA = 1
Attach = Callable[[Path, Images], tuple[Images, list[Finding]]]
IMAGE_COLUMNS = ("image_id", "path", "width", "height", "split", "group", "flags", "source")
LABELS = "labels"
"""The column of images.csv that only a dataset with label images has."""
BOX_COLUMNS = (
    "image_id", "object_id", "parent_id", "group_id", "label", "xmin", "ymin", "xmax", "ymax", "shape_type",
)  # fmt: skip
_NOT_NORMAL = ("//", "/.", "\n.", "\n/", "/\n", "\n\n")
"""What `posixpath.normpath` may change of lines of paths has one of these."""
_ANY_NAME = "name"
UNCOUNTED = ("crowd", "ignore")
"""The columns of boxes.csv, 1 or 0, that only a dataset with such boxes has."""


def read_dataset(directory: Path) -> BoxDataset:
    """Return the box dataset that a directory holds; its `summary` is dataset.json as it stands.

    Raises:
        AnnotationError: the directory or one of its files is missing or damaged; file, row and column are named.
    """
    if not directory.is_dir():
        got = "a file" if directory.exists() else "no such directory"
        raise AnnotationError(f"{directory}: dataset must be a directory, got {got}")
    summary = _read_summary(directory / "dataset.json")
    classes, parts = tuple(summary["classes"]), dict(summary["parts"])
    images = _images_of(read_csv(directory / "images.csv", IMAGE_COLUMNS))
    annotations = _annotations_of(read_csv(directory / "boxes.csv", BOX_COLUMNS), images, classes)
    return BoxDataset(directory, classes, parts, images, annotations, summary)


@collector_at_rest()
def write_dataset(
    directory: Path,
    dataset: BoxDataset,
    findings: Iterable[Finding],
    *,
    command: str,
    attach: Attach | None = None,
    masks: str | None = None,
    workers: int = 1,
) -> BoxDataset:
    """Return the dataset as it was written to `directory`: whole, or not at all.

    The images' paths, relative to `dataset.root`, are made relative to `directory`. `command` is what a user would
    type to make the dataset again; dataset.json keeps it. `attach` may write further files into the directory before
    it is given its name, and returns the images with what it changed of them and its own findings; `masks` is the kind
    of its label images, which dataset.json keeps. `workers` processes make the table of boxes, if it is long.

    Raises:
        UsageError: `directory` is there already and not empty; it is left untouched.
        AnnotationError: the directory cannot be written.
    """
    refuse_existing(directory)
    final = Path(os.path.realpath(directory))
    found = list(findings)
    written = replace(dataset, root=final, images=_rebased(dataset.images, dataset.root, final))
    try:
        with whole_directory(final) as aside:
            if attach is not None:
                images, more = attach(aside, written.images)
                written, found = replace(written, images=images), found + more
            kind = {} if masks is None else {"masks": masks}
            summary = {**_summary(written, found), **kind, "command": command, "version": VERSION}
            _write(aside / "dataset.json", [json.dumps(summary, indent=2, ensure_ascii=False).encode(), b"\n"])
            _write_tables(aside, written, found, workers)
    except OSError as error:
        refuse_existing(directory)  # made or filled by another process since
        raise AnnotationError(f"{directory}: destination must be writable, got {error.strerror or error}") from error
    return replace(written, root=directory, summary=summary)


def refuse_existing(destination: Path) -> None:
    """Do nothing where `destination` does not exist or is an empty directory (one that can be replaced by a rename).

    Raises:
        UsageError: it exists; it is left untouched.
    """
    if not is_free(destination):
        got = "an existing one (left untouched)"
        raise UsageError(f"{destination}: destination must not exist yet, or be an empty directory, got {got}")


def table_hashes(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of images.csv, of boxes.csv, and of the classes and parts; runs remember them.

    That of images.csv leaves out where the photographs and their annotation files lie, so that both can be moved.

    Raises:
        AnnotationError: a file is missing or damaged.
    """
    summary = _read_summary(directory / "dataset.json")
    names = json.dumps([summary["classes"], sorted(summary["parts"].items())], ensure_ascii=False)
    return {
        "images.csv": _hash_of_text(_placeless_text(directory / "images.csv")),
        "boxes.csv": _hash_of(directory / "boxes.csv"),
        "classes": _hash_of_text(names),
    }


def counts(dataset: BoxDataset) -> dict[str, Any]:
    """Return the dataset's counts by split ("" is without one): images, images without boxes, boxes, and by class."""
    all_images, split = np.ones(len(dataset.images), np.bool_), dataset.images.split
    by_split = {name: _counts_of(dataset, split == name) for name in (*SPLITS, "") if (split == name).any()}
    return {**_counts_of(dataset, all_images), "by_split": by_split}


def images_text(images: Images) -> str:
    """Return the text of an images.csv."""
    names = (*IMAGE_COLUMNS, LABELS) if (images.labels != "").any() else IMAGE_COLUMNS
    return csv_text(names, [getattr(images, name) for name in names])


def _counts_of(dataset: BoxDataset, images: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the counts of the images for which the (I,) mask is true."""
    mine = images[dataset.annotations.image_row]
    boxes = np.bincount(dataset.annotations.class_id[mine], minlength=len(dataset.classes)).tolist()
    with_boxes = np.zeros(len(images), np.bool_)
    with_boxes[dataset.annotations.image_row[mine]] = True
    return {
        "images": int(images.sum()),
        "images_without_boxes": int((images & ~with_boxes).sum()),
        "boxes": sum(boxes),
        "by_class": dict(zip(dataset.classes, boxes, strict=True)),
    }


def _summary(dataset: BoxDataset, findings: list[Finding]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "classes": list(dataset.classes),
        "parts": dict(dataset.parts),
        "counts": {**counts(dataset), "findings": count_by_severity(findings)},
    }


def _rebased(images: Images, root: Path, final: Path) -> Images:
    # The real paths: "..", taken from behind a symbolic link, leads elsewhere.
    base = os.path.relpath(os.path.realpath(root), final)
    if base == ".":
        return images
    together = "\n".join(["", *images.path.tolist(), ""])
    if not any(mark in together for mark in _NOT_NORMAL):
        return replace(images, path=fixed(np.strings.add(base.replace(os.sep, "/") + "/", images.path)))
    # Few folders hold many pictures: the path of each is worked out once.
    before: dict[str, str] = {}
    paths = []
    for path in images.path.tolist():
        cut = path.rfind("/") + 1
        folder, name = path[:cut], path[cut:]
        if folder not in before:
            before[folder] = _moved(base, f"{folder}{_ANY_NAME}").removesuffix(_ANY_NAME)
        paths.append(_moved(base, path) if name in ("", ".", "..") else before[folder] + name)
    return replace(images, path=np.array(paths, np.str_))


def _moved(base: str, path: str) -> str:
    return os.path.normpath(Path(base, path)).replace(os.sep, "/")


def _boxes_parts(dataset: BoxDataset) -> list[Part]:
    table = dataset.annotations
    image_id = Words(tuple(dataset.images.image_id.tolist()), table.image_row)
    parent_id, label = Sparse(table.parent_id, NO_PARENT), Words(dataset.classes, table.class_id)
    ids: list[Column] = [image_id, table.object_id, parent_id, table.group_id, label]
    marks = {name: getattr(table, name).astype(np.int64) for name in UNCOUNTED if getattr(table, name).any()}
    return csv_parts((*BOX_COLUMNS, *marks), [*ids, table.xyxy_rel, table.shape_type, *marks.values()])


def _write_tables(directory: Path, dataset: BoxDataset, findings: list[Finding], workers: int) -> None:
    files: dict[str, list[Part]] = {
        "boxes.csv": _boxes_parts(dataset),
        "images.csv": [partial(images_text, dataset.images)],
        "findings.csv": [partial(findings_text, findings)],
    }
    # A process is worth its start where there is more than a part of the boxes; what it would need cannot be sent.
    helping = workers if len(files["boxes.csv"]) > 1 and can_be_copied() else 1
    with contextlib.closing(in_turn(_encoded, [part for parts in files.values() for part in parts], helping)) as texts:
        for name, parts in files.items():
            _write(directory / name, islice(texts, len(parts)))


def _encoded(part: Part) -> bytes:
    return part().encode()


def _write(path: Path, portions: Iterable[bytes]) -> None:
    with path.open("wb") as handle:
        handle.writelines(portions)


def _placeless_text(path: Path) -> str:
    columns = read_csv(path, IMAGE_COLUMNS).columns
    kept = {name: cells for name, cells in columns.items() if name not in ("path", "source", LABELS)}
    return csv_text(list(kept), kept.values())


def _hash_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise AnnotationError(f"{path}: table must be readable, got {error.strerror or error}") from error


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        must = "directory must be a box dataset, which has a dataset.json"
        raise AnnotationError(f"{path.parent}: {must}, got none; ppnlab convert makes one from annotations") from error
    except OSError as error:
        raise AnnotationError(f"{path}: file must be readable, got {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: file must be JSON, got {error}") from error
    if not isinstance(summary, dict):
        raise AnnotationError(f"{path}: file must be an object, got {type(summary).__name__}")
    schema = summary.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        hint = "; a newer ppnlab wrote it" if type(schema) is int and schema > SCHEMA else ""
        raise AnnotationError(f"{path}: schema must be {SCHEMA}, got {schema!r}{hint}")
    _check_names(path, summary)
    return summary


def _check_names(path: Path, summary: Mapping[str, Any]) -> None:
    classes, parts = summary.get("classes"), summary.get("parts")
    named = isinstance(classes, list) and all(isinstance(name, str) and name for name in classes)
    if not named or len(set(classes or [])) != len(classes or []):
        raise AnnotationError(f"{path}: classes must be a list of different names, got {classes!r}")
    if not isinstance(parts, dict) or not all(isinstance(name, str) for name in parts.values()):
        raise AnnotationError(f"{path}: parts must be an object of part: object, got {parts!r}")
    for part, whole in parts.items():
        if whole not in (classes or []) or part not in (classes or []) or whole in parts:
            raise AnnotationError(f"{path}: parts must name classes, the object no part itself, got {part}: {whole}")


def _images_of(table: CsvTable) -> Images:
    table.distinct("image_id", table.columns["image_id"])
    for name in ("image_id", "path"):
        table.refuse(_mask(table, name, {""}), name, "a text")
    table.refuse(~_mask(table, "split", {*SPLITS, ""}), "split", f"{', '.join(SPLITS)} or empty")
    columns: dict[str, Any] = {name: np.array(table.columns[name], np.str_) for name in IMAGE_COLUMNS}
    for name in ("width", "height"):
        columns[name] = table.integers(name, least=1)
    if LABELS in table.columns:
        columns[LABELS] = np.array(table.columns[LABELS], np.str_)
    return Images(**columns)


def _mask(table: CsvTable, name: str, words: set[str]) -> NDArray[np.bool_]:
    return np.array([cell in words for cell in table.columns[name]], np.bool_)


def _annotations_of(table: CsvTable, images: Images, classes: tuple[str, ...]) -> Annotations:
    row_of = {image_id: row for row, image_id in enumerate(images.image_id.tolist())}
    image_row = table.places("image_id", row_of, "an image_id of images.csv")
    object_id = table.integers("object_id", least=0)
    table.distinct("object_id", object_id.tolist())
    xyxy_rel = box_columns(table)
    for column, name in enumerate(("xmin", "ymin", "xmax", "ymax")):
        values = xyxy_rel[:, column]
        table.refuse((values < 0) | (values > 1), name, "in [0, 1]")
    return Annotations(
        image_row=image_row,
        object_id=object_id,
        parent_id=parent_column(table, object_id, image_row, NO_PARENT),
        group_id=np.array(table.columns["group_id"], np.str_),
        class_id=table.places("label", {name: row for row, name in enumerate(classes)}, "a class of dataset.json"),
        xyxy_rel=xyxy_rel,
        shape_type=np.array(table.columns["shape_type"], np.str_),
        **{name: _marks(table, name) for name in UNCOUNTED if name in table.columns},
    )


def _marks(table: CsvTable, name: str) -> NDArray[np.bool_]:
    table.refuse(~_mask(table, name, {"0", "1", ""}), name, "1, 0 or empty")
    return _mask(table, name, {"1"})
