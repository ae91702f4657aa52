"""A Pascal VOC folder, read: each annotation file converted or refused by name."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from annotations.drawn import DrawnImage, Progress, Reading, placed, reading_of
from annotations.errors import AnnotationError
from annotations.files_below import files_below, image_ids_of
from annotations.findings import Finding
from annotations.forms import ReadOptions
from annotations.imagepaths import ImagePlace, SourceFolder
from annotations.linking import NONE
from annotations.naming import Naming
from annotations.notes import FileRefused, Note, shown
from annotations.shapes import Region
from annotations.tables import SPLITS
from annotations.voc_lists import VocName, splits_of_lists, voc_name
from annotations.voc_objects import VocObjects, objects_of
from annotations.voc_parts import kept_parents, parts_of
from annotations.voc_pictures import VocPictures, annotated_size_of
from annotations.voc_xml import read_xml
from annotations.yolo_folder import split_of_path

SUFFIX = ".xml"


def read_voc(source: Path, naming: Naming, options: ReadOptions, progress: Progress | None = None) -> Reading:
    """Return what the Pascal VOC files below `source` hold: Annotations beside JPEGImages, or XML beside pictures.

    Splits are those of `ImageSets/Main`, else those that folders name. A `<part>` belongs to the `<object>` that it
    stands in. Objects marked `difficult` are to be ignored in an evaluation, as VOC's own does.

    Raises:
        AnnotationError: `source` is no folder, or holds no Pascal VOC file.
    """
    if not source.is_dir():
        got = "a file" if source.exists() else "no such one"
        raise AnnotationError(f"{source}: source must be a folder, got {got}")
    root = Path(os.path.realpath(source))
    findings: list[Finding] = []
    paths = files_below(root, "", {SUFFIX}, findings)
    if not paths:
        why = "".join(f"; {finding.source}: {finding.message}" for finding in findings[:1])
        raise AnnotationError(f"{source}: source must hold Pascal VOC files (*.xml) in it or below, got none{why}")
    inside = SourceFolder(root)
    pictures = VocPictures(inside, options)
    folder = _VocFolder(inside, options.first_pixel, pictures, paths, [voc_name(path) for path in paths], findings)
    files = list(folder.files(progress))
    _refuse_foreign(source, files, findings)
    names = naming.with_source(parts=parts_of((file.objects for file in files), naming.rename))
    # Parts that nobody nested can only be found by what the user says of them.
    images = [folder.image(file, names, link=bool(naming.parts)) for file in files]
    findings += folder.told_of_all(files)
    reading = reading_of(root, images, names, findings, len(paths))
    return _with_ignored(reading, {file.image_id: file.objects.difficult for file in files})


class _VocFile(NamedTuple):
    """One annotation file as it was read: where, which image, its picture, size, splits and objects."""

    path: str
    image_id: str
    place: ImagePlace
    size: tuple[int, int]
    splits: frozenset[str]
    objects: VocObjects


@dataclass(slots=True)
class _VocFolder:
    """Reads the annotation files of a folder; `findings` gathers what is found."""

    folder: SourceFolder
    first_pixel: int
    pictures: VocPictures
    paths: Sequence[str]
    names: Sequence[VocName]
    found: list[Finding]

    def files(self, progress: Progress | None) -> Iterator[_VocFile]:
        """Yield each annotation file that is not refused."""
        ids = image_ids_of(self.paths, [name.key for name in self.names])
        splits = splits_of_lists(self.folder, self.names, self.found)
        for row, (path, image_id) in enumerate(zip(self.paths, ids, strict=True)):
            named = frozenset({split_of_path(path)[0]} - {""}) if splits is None else splits[row]
            notes: list[Note] = []
            try:
                file = self._file(row, image_id, named, notes)
            except FileRefused as error:
                file, notes = None, [error.note]
            self._tell(path, image_id if file else "", notes)
            if file is not None:
                yield file
            if progress is not None:
                progress(row + 1, len(self.paths))

    def image(self, file: _VocFile, naming: Naming, *, link: bool) -> DrawnImage:
        """Return the image of a file, its boxes placed in its frame; `link` finds the objects of parts not nested."""
        notes: list[Note] = []
        nested = any(parent != NONE for parent in file.objects.parents)
        parents = kept_parents(file.objects, naming, notes) if nested or not link else None
        width, height = file.size
        kept = placed(_in_families(file.objects), width, height, naming, notes, parents)
        regions = [region._replace(group_id="") for region in kept.regions]
        self._tell(file.path, file.image_id, notes)
        split = next(iter(file.splits)) if len(file.splits) == 1 else ""
        return DrawnImage(file.image_id, file.place.path, width, height, split, "", file.path, regions, *kept[1:])

    def told_of_all(self, files: Sequence[_VocFile]) -> Iterator[Finding]:
        """Yield what is told once for all files."""
        marks: Counter[str] = sum((file.objects.other for file in files), Counter())
        for mark, count in sorted(marks.items()):
            yield Finding("left-out", "", "", "", f"{mark} of {count} objects was left out: a box dataset has no place")
        torn = [file for file in files if len(file.splits) > 1]
        for splits in sorted({tuple(name for name in SPLITS if name in file.splits) for file in torn}):
            among = [file.image_id for file in torn if file.splits == set(splits)]
            message = f"an image must be in one split, got {len(among)} in {' and '.join(splits)}, {among[0]} first"
            yield Finding("split-conflict", "", "", "", f"{message}; they are in none")

    def _tell(self, path: str, image_id: str, notes: Sequence[Note]) -> None:
        self.found += [Finding(note.code, path, note.shape, image_id, note.message) for note in notes]

    def _file(self, row: int, image_id: str, splits: frozenset[str], notes: list[Note]) -> _VocFile | None:
        path = self.paths[row]
        if not self.folder.has_file(path):
            raise FileRefused("unreadable-file", "file must be an ordinary file inside the source folder, got another")
        root = read_xml(self.folder.root / path)
        if root.tag != "annotation":
            notes.append(Note("not-voc", "", f"root element must be annotation, got {shown(root.tag)}; left out"))
            return None
        objects = objects_of(root, self.first_pixel, notes)
        annotated = annotated_size_of(root)
        place = self.pictures.place(self.names[row], path, root, annotated is not None, notes)
        size = self.pictures.size(place, annotated, notes)
        return _VocFile(path, image_id, place, size, splits, objects)


def _in_families(objects: VocObjects) -> list[Region]:
    """Return the regions with a group for each object that has parts, and these.

    Two such objects, or parts of two, may be drawn in one place, and are not the same one drawn twice for that.
    """
    wholes = {*objects.parents}
    families = [
        region.number if region.number in wholes else parent
        for region, parent in zip(objects.regions, objects.parents, strict=True)
    ]
    return [
        region if family == NONE else region._replace(group_id=str(family))
        for region, family in zip(objects.regions, families, strict=True)
    ]


def _with_ignored(reading: Reading, difficult: Mapping[str, frozenset[int]]) -> Reading:
    """Return the reading with the boxes of these numbers, by image_id, marked to be ignored."""
    boxes, images = reading.dataset.annotations, reading.dataset.images
    ignore = np.zeros(len(boxes), np.bool_)
    first = np.searchsorted(boxes.image_row, np.arange(len(images) + 1)).tolist()
    for row, image_id in enumerate(images.image_id.tolist()):
        mine = slice(first[row], first[row + 1])
        ignore[mine] = np.isin(reading.numbers[mine], list(difficult[image_id]))
    if not ignore.any():
        return reading
    return replace(reading, dataset=replace(reading.dataset, annotations=replace(boxes, ignore=ignore)))


def _refuse_foreign(source: Path, files: Sequence[_VocFile], findings: Sequence[Finding]) -> None:
    """Do nothing where a file was read, or refused: a folder of other programs' XML is the wrong folder.

    Raises:
        AnnotationError: all files are whole XML of another kind.
    """
    foreign = [finding.source for finding in findings if finding.code == "not-voc"]
    if foreign and len(foreign) == len(findings) and not files:
        got = f"{len(foreign)} XML file(s) of another kind, such as {foreign[0]}"
        raise AnnotationError(f"{source}: source must hold Pascal VOC files, got {got}")
