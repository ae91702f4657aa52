"""A box dataset to a Pascal VOC folder: Annotations, JPEGImages and ImageSets/Main."""

import itertools
import posixpath
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotations.files_below import image_ids_of
from annotations.findings import Finding
from annotations.not_kept import classes_not_kept, facts_not_kept, ids_not_kept, twins_not_kept
from annotations.picture_files import PictureFiles
from annotations.tables import NO_PARENT, SPLITS, BoxDataset, pixels
from annotations.written_keys import keys_of

_UNSPLIT = "all"
# Source: XML 1.0, production 2, Char: what cannot stand in XML, escaped or not.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {"\r": "&#13;"}
_COLOURS = 3
# What Pillow raises on files that are missing, damaged or no picture.
_DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip


def write_voc(aside: Path, final: Path, dataset: BoxDataset, pictures: PictureFiles) -> list[Finding]:
    """Return what Pascal VOC cannot hold of a dataset, which is written into `aside` as its folders.

    Boxes are edges in pixels at full precision, counted from 0. A part stands in its object as a `<part>`; a part
    without one is an object of its own. What an evaluation ignores, and regions of many objects, are `difficult`.
    """
    keys = keys_of(dataset.images)
    objects = _objects_of(dataset)
    for row, key in enumerate(keys):
        suffix = posixpath.splitext(str(dataset.images.path[row]))[1]
        path = pictures.place(aside, final, dataset, row, f"JPEGImages/{key}{suffix}")
        text = _document_text(dataset, row, path, objects.text(row))
        _write(aside / "Annotations" / f"{key}.xml", text)
    for split in (*SPLITS, ""):
        members = [keys[row] for row in dataset.images.rows_of(split).tolist()]
        if members or split in ("train", "val"):
            _write(aside / "ImageSets/Main" / f"{split or _UNSPLIT}.txt", "".join(f"{key}\n" for key in members))
    told = [*facts_not_kept("Pascal VOC", dataset, kept=("parents", "ignore")), *objects.not_kept()]
    told += classes_not_kept("Pascal VOC", dataset)
    told += twins_not_kept("Pascal VOC", dataset, objects.families())
    ids = image_ids_of([f"Annotations/{key}.xml" for key in keys], keys)
    return [*told, *ids_not_kept("Pascal VOC", dataset.images, ids)]


@dataclass(frozen=True, slots=True)
class _Objects:
    """The objects of a dataset as elements: the rows of each image, each row's box in pixels, and what it stands in."""

    dataset: BoxDataset
    rows: Sequence[Sequence[int]]
    boxes: Sequence[Sequence[float]]
    parents: Sequence[int]

    def text(self, image: int) -> str:
        """Return the elements of one image's objects, their parts in them."""
        inside: dict[int, list[int]] = {}
        for row in self.rows[image]:
            inside.setdefault(self.parents[row], []).append(row)
        return "".join(self._object(row, inside.get(row, [])) for row in inside.get(NO_PARENT, []))

    def families(self) -> NDArray[np.int64]:
        """Return the (N,) rows of the objects that have parts, for themselves and their parts; else NO_PARENT."""
        parents = np.array(self.parents, np.int64)
        families = parents.copy()
        wholes = np.unique(parents[parents != NO_PARENT])
        families[wholes] = wholes
        return families

    def not_kept(self) -> Iterator[Finding]:
        """Yield what is lost of parts and names."""
        table = self.dataset.annotations
        nested = np.array(self.parents, np.int64) != NO_PARENT
        orphans = np.isin(table.class_id, self.dataset.part_class_ids) & ~nested
        if orphans.any():
            message = f"{np.count_nonzero(orphans)} parts stand in no object; each is written as an object of its own"
            yield Finding("orphan-part", "", "", "", message)
        shown = {self.dataset.classes[class_id] for class_id in np.unique(table.class_id[nested]).tolist()}
        lost = [part for part in self.dataset.parts if part not in shown]
        if lost:
            message = f"Pascal VOC has no place for which labels are parts but by nesting them: {', '.join(lost)}"
            yield Finding("not-kept", "", "", "", f"{message}; say --parts when it is read")
        spoiled = [name for name in self.dataset.classes if _NO_CHARACTER.search(name)]
        if spoiled:
            message = f"labels with letters that XML cannot hold are changed: {', '.join(map(repr, spoiled))}"
            yield Finding("not-kept", "", "", "", message)

    def _object(self, row: int, parts: Sequence[int]) -> str:
        margin = "    "
        marks = f"{margin}<pose>Unspecified</pose>\n{margin}<truncated>0</truncated>\n{self._difficult(row, margin)}"
        inside = "".join(self._part(part) for part in parts)
        return f"  <object>\n{self._name(row, margin)}{marks}{self._box(row, margin)}{inside}  </object>\n"

    def _part(self, row: int) -> str:
        margin = "      "
        marks = self._difficult(row, margin) if self._is_ignored(row) else ""
        return f"    <part>\n{self._name(row, margin)}{marks}{self._box(row, margin)}    </part>\n"

    def _name(self, row: int, margin: str) -> str:
        label = self.dataset.classes[self.dataset.annotations.class_id[row]]
        kept = "" if label == label.strip() else ' xml:space="preserve"'
        return f"{margin}<name{kept}>{_text(label)}</name>\n"

    def _is_ignored(self, row: int) -> bool:
        return bool(self.dataset.annotations.ignore[row] or self.dataset.annotations.crowd[row])

    def _difficult(self, row: int, margin: str) -> str:
        return f"{margin}<difficult>{int(self._is_ignored(row))}</difficult>\n"

    def _box(self, row: int, margin: str) -> str:
        edges = zip(("xmin", "ymin", "xmax", "ymax"), self.boxes[row], strict=True)
        lines = "".join(f"{margin}  <{edge}>{_number(value)}</{edge}>\n" for edge, value in edges)
        return f"{margin}<bndbox>\n{lines}{margin}</bndbox>\n"


def _objects_of(dataset: BoxDataset) -> _Objects:
    table = dataset.annotations
    order = np.argsort(table.image_row, kind="stable")
    bounds = np.searchsorted(table.image_row[order], np.arange(len(dataset.images) + 1)).tolist()
    rows = [order[first:last].tolist() for first, last in itertools.pairwise(bounds)]
    boxes = pixels(dataset.images, table.image_row, table.xyxy_rel).tolist()
    return _Objects(dataset, rows, boxes, _parent_rows(dataset).tolist())


def _parent_rows(dataset: BoxDataset) -> NDArray[np.int64]:
    """Return the (N,) rows of the objects that the boxes stand in, or NO_PARENT; a part of a part stands in none."""
    table = dataset.annotations
    row_of = {object_id: row for row, object_id in enumerate(table.object_id.tolist())}
    parents = np.array([row_of.get(parent, NO_PARENT) for parent in table.parent_id.tolist()], np.int64)
    inside = (parents != NO_PARENT) & (table.image_row[parents] == table.image_row)
    is_top = ~inside
    return np.where(inside & is_top[parents], parents, NO_PARENT)


def _document_text(dataset: BoxDataset, row: int, picture: str, objects: str) -> str:
    images = dataset.images
    folder, name = posixpath.split(picture)
    size = f"<width>{images.width[row]}</width><height>{images.height[row]}</height>"
    return (
        "<annotation>\n"
        f"  <folder>{_text(folder)}</folder>\n"
        f"  <filename>{_text(name)}</filename>\n"
        f"  <size>{size}<depth>{_depth(dataset.picture(row))}</depth></size>\n"
        "  <segmented>0</segmented>\n"
        f"{objects}"
        "</annotation>\n"
    )


def _depth(picture: Path) -> int:
    """Return the number of a picture's colours, from its header; of one that cannot be read, what most have."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's at a large picture, whose pixels nobody asks for here
            with Image.open(picture) as header:
                return _COLOURS if header.mode == "P" else len(header.getbands())
    except _DAMAGED:
        return _COLOURS


def _number(value: float) -> str:
    # Whole numbers without ".0": some readers take integers alone.
    return str(int(value)) if value.is_integer() else repr(value)


def _text(text: str) -> str:
    return escape(_NO_CHARACTER.sub("\ufffd", text), _ESCAPES)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
