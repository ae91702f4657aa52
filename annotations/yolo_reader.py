"""A YOLO folder, read: each picture with the boxes of its label file, or refused by name."""

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from annotations.drawn import DrawnImage, Patch, Progress, Reading, placed, reading_of
from annotations.errors import AnnotationError
from annotations.files_below import files_below, image_ids_of
from annotations.findings import Finding
from annotations.forms import ReadOptions
from annotations.naming import Naming
from annotations.notes import FileRefused, Note, is_plain
from annotations.outlines import polygon_patch
from annotations.patches import DrawnPatches, box_patch
from annotations.picture_search import PictureSearch
from annotations.pictures import SUFFIXES, displayed_and_stored_size
from annotations.plain_files import read_utf8
from annotations.tables import SPLITS
from annotations.yolo_folder import YoloFolder, label_path, read_yolo_folder, split_of_path
from annotations.yolo_labels import LARGEST_LABELS, LabelLine, label_lines, regions_of_lines

_LONGEST_PATH = 4096
# What a line of numbers looks like; lists, readme and class names stand in .txt files too.
_LABEL_START = re.compile(r"\s*[0-9]+(?:\.0+)?(?:[ \t]+[+\-]?[0-9.]+(?:[eE][+\-]?[0-9]+)?){4}")


def read_yolo(source: Path, naming: Naming, options: ReadOptions, progress: Progress | None = None) -> Reading:
    """Return what a YOLO folder (or its data.yaml) holds: all pictures that it lists, those without a label file too.

    YOLO gives coordinates in fractions, so that each picture's header is read for its size, whatever the options say.

    Raises:
        AnnotationError: `source` is no such folder, or says nothing of its classes or pictures.
    """
    findings: list[Finding] = []
    folder = read_yolo_folder(source, options.pictures, findings)
    labels = {picture: label_path(picture) for picture in sorted(folder.splits)}
    present = {picture: label_path(picture) for picture in files_below(folder.files.root, "", SUFFIXES, [])}
    findings += _unlisted(folder, present)
    labels |= _found_apart(folder, labels, set(present.values()), options.pictures, findings)
    if not labels:
        got = "".join(f"; {finding.source}: {finding.message}" for finding in findings[:1])
        raise AnnotationError(f"{source}: source must hold pictures for its labels, got none{got}")
    naming = naming.with_source(folder.names)
    reader = _PictureReader(folder, naming, findings)
    ids = image_ids_of(list(labels), [folder.keys[picture] for picture in labels])
    images: list[DrawnImage] = []
    for done, (picture, image_id) in enumerate(zip(labels, ids, strict=True), start=1):
        image = reader.image(picture, labels[picture], image_id)
        images += [] if image is None else [image]
        if progress is not None:
            progress(done, len(labels))
    findings += _told_of_all(folder, reader)
    reading = reading_of(folder.files.root, images, naming, findings, len(labels))
    outlined = bool((reading.dataset.annotations.shape_type == "polygon").any())
    return replace(reading, patches=_patches_of(folder, reading)) if outlined else reading


@dataclass(slots=True)
class _PictureReader:
    """Reads pictures' label files; counts what is told once, for all of them."""

    folder: YoloFolder
    naming: Naming
    findings: list[Finding]
    keypoint_lines: int = 0
    torn: list[str] = field(default_factory=list)

    def image(self, picture: str, label: str, image_id: str) -> DrawnImage | None:
        """Return the picture with its boxes; None where it is refused, which is a finding."""
        notes: list[Note] = []
        labelled = os.path.lexists(self.folder.files.root / label)
        source = label if labelled else picture
        try:
            image = self._drawn(picture, label if labelled else "", image_id, notes)
        except FileRefused as error:
            image, notes = None, [error.note]
        self.findings += [
            Finding(note.code, source, note.shape, image_id if image else "", note.message) for note in notes
        ]
        return image

    def _drawn(self, picture: str, label: str, image_id: str, notes: list[Note]) -> DrawnImage:
        width, height = self._size(picture)
        lines = self._lines(label) if label else []
        regions = regions_of_lines(lines, self.folder.names, width, height)
        kept = placed(regions, width, height, self.naming, notes)
        splits = self.folder.splits[picture]
        if len(splits) > 1:
            self.torn.append(picture)
        split = next(iter(splits)) if len(splits) == 1 else ""
        return DrawnImage(image_id, picture, width, height, split, "", label or picture, *kept)

    def _size(self, picture: str) -> tuple[int, int]:
        if not is_plain(picture, _LONGEST_PATH):
            raise FileRefused("bad-name", "picture's name must be UTF-8 text; rename it")
        if not self.folder.has_file(picture):
            message = "picture must be an ordinary file inside the source folder"
            raise FileRefused("unreadable-image", f"{message}, got another, or a link out of it (see --images)")
        path = self.folder.files.root / picture
        try:
            return displayed_and_stored_size(path)[0]
        except AnnotationError as error:
            raise FileRefused("unreadable-image", str(error).replace(str(path), picture)) from error

    def _lines(self, label: str) -> list[LabelLine]:
        if not self.folder.has_file(label):
            raise FileRefused("unreadable-file", "file must be an ordinary file inside the source folder, got another")
        text = read_utf8(self.folder.files.root / label, LARGEST_LABELS)
        lines = label_lines(text, len(self.folder.names), self.folder.keypoints)
        self.keypoint_lines += len(lines) if self.folder.keypoints else 0
        return lines


def _told_of_all(folder: YoloFolder, reader: _PictureReader) -> Iterator[Finding]:
    if reader.keypoint_lines:
        message = f"keypoints of {reader.keypoint_lines} boxes were left out: a box dataset has none"
        yield Finding("left-out", "", "", "", message)
    for names in sorted({tuple(name for name in SPLITS if name in folder.splits[path]) for path in reader.torn}):
        paths = [path for path in reader.torn if folder.splits[path] == set(names)]
        message = f"a picture must be in one split, got {len(paths)} in {' and '.join(names)}, {paths[0]} first"
        yield Finding("split-conflict", "", "", "", f"{message}; they are in none")


def _unlisted(folder: YoloFolder, present: Mapping[str, str]) -> Iterator[Finding]:
    root = folder.files.root
    found = [path for path, label in present.items() if path not in folder.splits and (root / label).is_file()]
    if found:
        message = f"{len(found)} pictures with label files are in no list of data.yaml, {found[0]} first; left out"
        yield Finding("unlisted", "", "", "", message)


def _found_apart(
    folder: YoloFolder, labels: dict[str, str], present: set[str], pictures: Path | None, findings: list[Finding]
) -> dict[str, str]:
    """Return the pictures of label files that no picture has, where the user says where pictures lie.

    `present` are the label files of all pictures in the folder, listed or not.

    The other such files are findings, for their boxes are lost.
    """
    search = PictureSearch(folder.files.root, (), pictures) if pictures is not None else None
    apart: dict[str, str] = {}
    for label in _orphans(folder, set(labels.values()), present):
        key = posixpath.splitext(label)[0]
        place = search.of_image(key, []) if search is not None else None
        if place is not None and place.found and place.path not in labels:
            split, base = split_of_path(label)
            folder.add(place.path, split, "")
            folder.keys[place.path] = posixpath.relpath(key, base or "labels")
            apart[place.path] = label
        else:
            message = "label file must have a picture of its name, got none: its boxes are lost"
            findings.append(Finding("unknown-size", label, "", "", message))
    return apart


def _orphans(folder: YoloFolder, known: set[str], present: set[str]) -> list[str]:
    """Return the label files without a picture in the folders of `known` ones; of all folders, where none is known."""
    folders = {posixpath.dirname(label) for label in known}
    root = folder.files.root
    texts = {path for place in sorted(folders or {""}) for path in files_below(root, place, {".txt"}, [])}
    found = [path for path in texts - known - present if not folders or posixpath.dirname(path) in folders]
    return sorted(path for path in found if _is_label(folder, path))


def _is_label(folder: YoloFolder, path: str) -> bool:
    try:
        return bool(folder.has_file(path) and _LABEL_START.match(read_utf8(folder.files.root / path, LARGEST_LABELS)))
    except FileRefused:
        return False


def _patches_of(folder: YoloFolder, reading: Reading) -> Callable[[int], Sequence[Patch]]:
    """Return what gives the pixels of an image's boxes: of an outline its inside, of a box the whole of it."""
    images, boxes = reading.dataset.images, reading.dataset.annotations
    first = np.searchsorted(boxes.image_row, np.arange(len(images) + 1))

    def patches(row: int) -> Sequence[Patch]:
        size = int(images.width[row]), int(images.height[row])
        numbers = reading.numbers[first[row] : first[row + 1]].tolist()
        if not numbers:
            return []
        text = read_utf8(folder.files.root / str(images.source[row]), LARGEST_LABELS)
        lines = {line.number: line for line in label_lines(text, len(folder.names), folder.keypoints)}
        return DrawnPatches(lambda place: _patch(lines[numbers[place]], *size), len(numbers))

    return patches


def _patch(line: LabelLine, width: int, height: int) -> Patch:
    size = np.array([width, height], np.float64)
    if line.outline:
        return polygon_patch(np.array(line.outline, np.float64).reshape(-1, 2) * size, width, height)
    return box_patch((line.xmin * width, line.ymin * height, line.xmax * width, line.ymax * height), width, height)
