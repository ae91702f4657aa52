"""COCO JSON files as a source: each image read or refused by name, and its objects' pixels where they are wanted."""

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotations.coco_document import CocoDocument, first_unique, read_coco_document
from annotations.drawn import DrawnImage, Patch, Progress, Reading, placed, reading_of
from annotations.errors import AnnotationError, UsageError
from annotations.files_below import files_below
from annotations.findings import Finding
from annotations.forms import ReadOptions, holds_coco
from annotations.given_frames import given_frame
from annotations.label_images import Patches, rows_by_image
from annotations.labelme import SPLIT_OF_FLAG
from annotations.linking import NONE
from annotations.naming import Naming
from annotations.notes import FileRefused, Note, is_plain, shown
from annotations.patches import DrawnPatches, box_patch
from annotations.picture_search import PictureSearch
from annotations.rle import patch_of
from annotations.shapes import Region
from annotations.split_names import split_of_name
from annotations.tables import SPLITS
from annotations.told_parents import checked_parents, parts_of_pairs

OWN = "ppnlab"
"""The key of `info` under which our writer keeps what COCO has no place for."""

_LONGEST_GROUP = 40
_LONGEST_TEXT = 500


def read_coco(source: Path, naming: Naming, options: ReadOptions, progress: Progress | None = None) -> Reading:
    """Return what a COCO JSON file, or those in a folder and below, hold; of a folder, each file may be a split.

    A file that is no COCO JSON is refused whole; an entry at fault refuses its image. Pictures are looked for below the
    source's folder, in `options.pictures`, and for a single file in the folders beside its own that COCO uses.

    Raises:
        AnnotationError: the file is no COCO JSON, or the folder holds none that can be read.
    """
    root = Path(os.path.realpath(source if source.is_dir() else source.parent))
    findings: list[Finding] = []
    files = _read_files(source, root, findings)
    search = PictureSearch(root, _places_beside(source), options.pictures)
    naming = naming.with_source(_classes(files), _parts(files))
    images: list[DrawnImage] = []
    total, done = sum(len(file.document.images) for file in files), 0
    for file, names in zip(files, _image_ids(files), strict=True):
        reader = _ImageReader(file, root, search, naming, options)
        for row, image_id in enumerate(names):
            image = reader.read(row, image_id, findings)
            images += [] if image is None else [image]
            done += 1
            if progress is not None:
                progress(done, total)
    read = reading_of(root, images, naming, findings, len(files))
    return _with_marks_and_patches(read, files, options)


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """A COCO JSON file, and its faults: by image row the first one, each a place and a message."""

    source: str
    document: CocoDocument
    faults: Mapping[int, Note]
    rows: Sequence[Sequence[int]] = field(default_factory=list)


def _read_files(source: Path, root: Path, findings: list[Finding]) -> list[_File]:
    if not source.is_dir():
        try:
            return [_read_file(root, source.name, findings)]
        except FileRefused as error:
            raise AnnotationError(f"{source}: {error}") from error
    names = [name for name in files_below(root, "", {".json"}, findings) if holds_coco(root / name)]
    files = []
    for name in names:
        try:
            files.append(_read_file(root, name, findings))
        except FileRefused as error:
            findings.append(Finding(error.note.code, name, error.note.shape, "", error.note.message))
    if not files:
        why = "".join(f"; {found.source}: {found.message}" for found in findings[:1])
        raise AnnotationError(f"{source}: source must hold COCO JSON files in it or below, got none{why}")
    return files


def _read_file(root: Path, name: str, findings: list[Finding]) -> _File:
    faults: list[tuple[str, int, str]] = []
    document = read_coco_document(root / name, lambda *fault: faults.append(fault))
    rows: list[list[int]] = [[] for _ in document.images]
    for place, row in enumerate(document.image_row.tolist()):
        if row >= 0:
            rows[row].append(place)
    by_image: dict[int, Note] = {}
    first = {(where, index): message for where, index, message in reversed(faults)}
    for (where, index), message in sorted(first.items()):
        note = Note("bad-entry", f"{where}[{index}]", message)
        refused = _rows_refused(document, where, index)
        for row in refused:
            by_image.setdefault(row, note)
        if not refused:
            findings.append(Finding(note.code, name, note.shape, "", f"{message}; left out"))
    return _File(name, document, by_image, rows)


def _rows_refused(document: CocoDocument, where: str, index: int) -> set[int]:
    """Return the images that a fault refuses: of two with one id both, for whose the annotations are is unknown."""
    if where == "annotations":
        return {int(document.image_row[index])} - {-1}
    twin = _place(document.image_rows, document.images[index].get("id"))
    return {index} if twin is None else {index, twin}


def _places_beside(source: Path) -> list[Path]:
    """Return the folders beside a file's own that hold its pictures: of `annotations/x.json`, all of the folder above.

    Source: COCO's own layout is `annotations/instances_train2017.json` beside `train2017/`.
    """
    here = Path(os.path.realpath(source)).parent
    if source.is_dir():
        return []
    return [here.parent] if here.name == "annotations" else [here.parent / "images"]


def _classes(files: Sequence[_File]) -> list[str]:
    return list(dict.fromkeys(name for file in files for name in file.document.names))


def _parts(files: Sequence[_File]) -> dict[str, str]:
    """Return which category is a part of which: as our writer says it, else as the annotations' parents do."""
    told: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for file in files:
        told |= _told_parts(file)
        document = file.document
        place_of = _places_of_ids(document)
        for place, entry in enumerate(document.annotations):
            parent = _place(place_of, entry.get("parent_id"))
            if parent is not None:
                classes = int(document.class_id[place]), int(document.class_id[parent])
                pairs += [] if -1 in classes else [(document.names[classes[0]], document.names[classes[1]])]
    return told or parts_of_pairs(pairs)


def _told_parts(file: _File) -> dict[str, str]:
    own = file.document.info.get(OWN)
    told = own.get("parts") if isinstance(own, dict) else None
    if told is None:
        return {}
    names = set(file.document.names)
    try:
        if not isinstance(told, dict) or not {*told, *told.values()} <= names:
            raise UsageError("parts")
        return dict(Naming(told, None, {}).parts)
    except (UsageError, TypeError) as error:
        message = f"{file.source}: info.{OWN}.parts must be an object of part: object, both categories"
        raise AnnotationError(f"{message}, got {shown(told)}") from error


def _places_of_ids(document: CocoDocument) -> dict[Hashable, int]:
    if not any("parent_id" in entry for entry in document.annotations):
        return {}
    ids = [entry.get("id") for entry in document.annotations]
    return {value: place for place, value in enumerate(ids) if isinstance(value, int | str)}


def _place(place_of: Mapping[Hashable, int], value: object) -> int | None:
    return place_of.get(value) if isinstance(value, int | str) else None


def _image_ids(files: Sequence[_File]) -> list[list[str]]:
    """Return each image's name by file: its own, or with the file's name before it where another has the same."""
    names = [file.document.image_names() for file in files]
    flat = [name for own in names for name in own]
    paths = [
        f"{file.source.removesuffix('.json')}/{name}" for file, own in zip(files, names, strict=True) for name in own
    ]
    chosen = iter(first_unique([flat, paths]) or [f"{path} {row}" for row, path in enumerate(paths)])
    return [[next(chosen) for _ in own] for own in names]


class _ImageReader:
    """Reads the images of one COCO file."""

    def __init__(self, file: _File, root: Path, search: PictureSearch, naming: Naming, options: ReadOptions) -> None:
        self._file, self._root, self._search, self._naming, self._options = file, root, search, naming, options
        self._document = file.document
        self._place_of = _places_of_ids(file.document)
        self._knows_parents = any("parent_id" in entry for entry in file.document.annotations)
        self._split = split_of_name(file.source)
        # As plain lists: to take a number out of an array costs more than all that is done with it.
        self._boxes, self._boxed = file.document.xyxy.tolist(), (~np.isnan(file.document.xyxy[:, 0])).tolist()
        self._classes, self._crowd = file.document.class_id.tolist(), file.document.crowd.tolist()

    def read(self, row: int, image_id: str, findings: list[Finding]) -> DrawnImage | None:
        """Return one image, or None where it is refused; what is found is added."""
        notes: list[Note] = []
        name = self._document.files[row] or image_id
        try:
            if row in self._file.faults:
                fault = self._file.faults[row]
                raise FileRefused(fault.code, fault.message, fault.shape)
            image = self._image(row, image_id, notes)
        except FileRefused as error:
            place = error.note.shape or f"images[{row}]"
            message = f"{error.note.message}; image {shown(name)} refused"
            findings.append(Finding(error.note.code, self._file.source, place, "", message))
            return None
        findings += [
            Finding(note.code, self._file.source, note.shape or f"images[{row}]", image_id, note.message)
            for note in notes
        ]
        return image

    def _image(self, row: int, image_id: str, notes: list[Note]) -> DrawnImage:
        document, entry = self._document, self._document.images[row]
        found: list[Note] = []
        place = self._search.named(document.files[row] or image_id, found)
        width, height = int(document.width[row]), int(document.height[row])
        checked = self._options.check_images
        notes += [note for note in found if checked or note.code != "missing-image"]
        size = (width, height) if width and height else None
        width, height = given_frame(size, self._root, place, checked, notes)
        drawn = [region for place in self._file.rows[row] if (region := self._region(place, width, height, notes))]
        parents = (
            checked_parents(drawn, self._parents(drawn, notes), self._naming, notes) if self._knows_parents else None
        )
        kept = placed(drawn, width, height, self._naming, notes, parents)
        split = self._split_of(entry, notes)
        flags, group = _flags(entry, notes), _text(entry, "group")
        return DrawnImage(image_id, place.path, width, height, split, flags, self._file.source, *kept, group)

    def _region(self, place: int, width: int, height: int, notes: list[Note]) -> Region | None:
        document, entry = self._document, self._document.annotations[place]
        where = f"annotations[{place}]"
        if self._crowd[place]:
            message = "iscrowd: the region stands for many objects; it is kept as a crowd, and counts as none"
            notes.append(Note("crowd", where, message))
        box = self._boxes[place]
        if not self._boxed[place]:
            box = _extent(entry.get("segmentation"), width, height, where)
        if not box:
            notes.append(Note("zero-area", where, "segmentation must have a pixel, got none; dropped"))
            return None
        xmin, ymin, xmax, ymax = box
        label, group = document.names[self._classes[place]], _group(entry, where, notes)
        return Region(label, group, xmin, ymin, xmax, ymax, _shape_type(entry), place, "annotations[{}]")

    def _parents(self, drawn: Sequence[Region], notes: list[Note]) -> list[int]:
        """Return the place in `drawn` of each region's parent, or NONE."""
        places = {region.number: number for number, region in enumerate(drawn)}
        parents = []
        for region in drawn:
            value = self._document.annotations[region.number].get("parent_id")
            number = _place(self._place_of, value)
            parent = NONE if number is None else places.get(number, NONE)
            if value is not None and parent == NONE:
                message = f"parent_id must be the id of an annotation of the same image, got {shown(value)}"
                notes.append(Note("orphan-part", region.place, f"{message}; no parent given"))
            parents.append(parent)
        return parents

    def _split_of(self, entry: Mapping[str, Any], notes: list[Note]) -> str:
        told = entry.get("split", self._split)
        if told in ("", None):
            return ""
        if isinstance(told, str) and told in SPLIT_OF_FLAG:
            return SPLIT_OF_FLAG[told]
        message = f"split must be {', '.join(SPLITS)} or empty, got {shown(told)}; no split given"
        notes.append(Note("odd-flag", "", message))
        return ""


def _extent(segmentation: object, width: int, height: int, where: str) -> list[float]:
    """Return the xyxy pixels around a segmentation; [] where it is empty.

    Raises:
        FileRefused: there is none, or it cannot be used.
    """
    if segmentation is None or segmentation == []:
        raise FileRefused("bad-entry", "bbox must be 4 finite numbers, got none, and no segmentation either", where)
    try:
        patch = patch_of(segmentation, width, height)
    except AnnotationError as error:
        raise FileRefused("bad-entry", str(error), where) from error
    rows, columns = patch.pixels.shape
    corners = (patch.left, patch.top, patch.left + columns, patch.top + rows)
    return [float(corner) for corner in corners] if patch.pixels.size else []


def _shape_type(entry: Mapping[str, Any]) -> str:
    told = entry.get("shape_type")
    if isinstance(told, str) and is_plain(told, _LONGEST_GROUP):
        return told
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, dict):
        return "mask"
    return "polygon" if segmentation else "rectangle"


def _group(entry: Mapping[str, Any], where: str, notes: list[Note]) -> str:
    value = entry.get("group_id")
    if value is None:
        return ""
    if (type(value) is int and abs(value) < 10**18) or (isinstance(value, str) and is_plain(value, _LONGEST_GROUP)):
        return str(value)
    notes.append(Note("odd-group", where, f"group_id must be an integer or a text, got {shown(value)}; left out"))
    return ""


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) and is_plain(value, _LONGEST_TEXT) else ""


def _flags(entry: Mapping[str, Any], notes: list[Note]) -> str:
    value = entry.get("flags")
    if value is None:
        return ""
    if isinstance(value, dict):
        value = [name for name, state in value.items() if state is True]
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        text = ";".join(value)
        if is_plain(text, _LONGEST_TEXT):
            return text
    notes.append(Note("odd-flag", "", f"flags must be a list of names, got {shown(value)}; left out"))
    return ""


def _with_marks_and_patches(read: Reading, files: Sequence[_File], options: ReadOptions) -> Reading:
    documents = {file.source: file.document for file in files}
    table, images = read.dataset.annotations, read.dataset.images
    order, bounds = rows_by_image(images, table)
    crowd, ignore = np.zeros(len(table), np.bool_), np.zeros(len(table), np.bool_)
    for row, source in enumerate(images.source.tolist()):
        own = order[bounds[row] : bounds[row + 1]]
        crowd[own] = documents[source].crowd[read.numbers[own]]
        ignore[own] = documents[source].ignore[read.numbers[own]]
    marked = replace(read.dataset, annotations=replace(table, crowd=crowd, ignore=ignore))
    outlined = any(entry.get("segmentation") for document in documents.values() for entry in document.annotations)
    patches = _patches(read, documents) if options.masks is not None and outlined else None
    return replace(read, dataset=marked, patches=patches)


def _patches(read: Reading, documents: Mapping[str, CocoDocument]) -> Patches:
    """Return what gives the pixels of an image's boxes; the whole box where there is no segmentation."""
    images = read.dataset.images
    order, bounds = rows_by_image(images, read.dataset.annotations)

    def patches(row: int) -> Sequence[Patch]:
        document = documents[str(images.source[row])]
        width, height = int(images.width[row]), int(images.height[row])
        places = read.numbers[order[bounds[row] : bounds[row + 1]]].tolist()

        def draw(number: int) -> Patch:
            place = places[number]
            segmentation = document.annotations[place].get("segmentation")
            if segmentation:
                return patch_of(segmentation, width, height)
            return box_patch(document.xyxy[place].tolist(), width, height)

        return DrawnPatches(draw, len(places))

    return patches
