"""A folder of Labelme files to a box dataset: each file converted or refused by name, nothing changed in silence."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from annotations.dataset import counts, refuse_existing, write_dataset
from annotations.errors import AnnotationError
from annotations.findings import Finding, count_by_code, count_by_severity
from annotations.frames import frame_of
from annotations.imagepaths import SourceFolder
from annotations.labelme import read_labelme, split_of_flags, true_flags
from annotations.linking import NONE, link_parts, without_duplicates
from annotations.naming import Naming
from annotations.notes import FileRefused, Note
from annotations.shapes import Region, inside_frame, regions_of
from annotations.sources import annotation_files, image_ids
from annotations.tables import NO_PARENT, SPLITS, Annotations, BoxDataset, Images

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class ConvertReport:
    """What a conversion made: the dataset as written, all findings, how many annotation files there were."""

    dataset: BoxDataset
    findings: tuple[Finding, ...]
    files: int
    strict: bool

    @property
    def exit_status(self) -> int:
        """Return 3 where there are findings of severity error (or, when strict, warn), else 0."""
        severities = count_by_severity(self.findings)
        return 3 if severities["error"] or (self.strict and severities["warn"]) else 0

    def summary(self) -> dict[str, Any]:
        """Return the report, ready for JSON: files read and refused, the dataset's counts, findings by code."""
        return {
            "schema": 1,
            "files": self.files,
            "refused": len(
                {found.source for found in self.findings if found.severity == "error" and not found.image_id}
            ),
            "classes": list(self.dataset.classes),
            "parts": dict(self.dataset.parts),
            **counts(self.dataset),
            "findings": {**count_by_severity(self.findings), "by_code": count_by_code(self.findings)},
        }


class LabelmeImage(NamedTuple):
    """One converted Labelme file: its image, its boxes in pixels inside the frame, and each box's parent among them."""

    image_id: str
    path: str
    width: int
    height: int
    split: str
    flags: str
    source: str
    regions: list[Region]
    parents: list[int]
    renamed: set[str]


def convert_labelme(
    source: Path,
    destination: Path,
    *,
    parts: Mapping[str, str],
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    strict: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> ConvertReport:
    """Return what became of the Labelme files below `source`; the box dataset is written to `destination`.

    A damaged file is refused by name and the others are converted. Images are found inside `source` only. `progress`
    is called with the number of files done and of all files.

    Raises:
        UsageError: `destination` is there already and not empty, or parts, classes and rename contradict each other.
        AnnotationError: `source` holds no Labelme file, or `destination` cannot be written.
    """
    naming = Naming(dict(parts), None if classes is None else tuple(classes), dict(rename or {}))
    refuse_existing(destination)
    dataset, findings, files = read_labelme_folder(source, naming, progress)
    written = write_dataset(destination, dataset, findings, command=command)
    return ConvertReport(written, tuple(findings), files, strict)


def read_labelme_folder(
    source: Path, naming: Naming, progress: Progress | None = None
) -> tuple[BoxDataset, list[Finding], int]:
    """Return the box dataset of the Labelme files below `source`, the findings, and the number of files.

    Raises:
        AnnotationError: `source` is no folder, or holds no Labelme file.
    """
    if not source.is_dir():
        raise AnnotationError(
            f"{source}: source must be a folder, got {'a file' if source.exists() else 'no such one'}"
        )
    folder = SourceFolder(Path(os.path.realpath(source)))
    findings: list[Finding] = []
    sources = annotation_files(folder.root, findings)
    if not sources:
        why = "".join(f"; {finding.source}: {finding.message}" for finding in findings[:1])
        raise AnnotationError(f"{source}: source must hold Labelme files (*.json) in it or below, got none{why}")
    images: list[LabelmeImage] = []
    for done, (name, image_id) in enumerate(zip(sources, image_ids(sources), strict=True), start=1):
        image, notes = convert_file(folder, name, image_id, naming)
        if image is not None:
            images.append(image)
        findings += [Finding(note.code, name, note.shape, image_id if image else "", note.message) for note in notes]
        if progress is not None:
            progress(done, len(sources))
    _refuse_foreign(source, images, findings)
    findings += _shared_images(images)
    images = _without_conflicts(images, findings)
    seen = {region.label for image in images for region in image.regions}
    findings += naming.unused(seen, {old for image in images for old in image.renamed})
    return _tables(folder.root, images, *naming.classes_of(seen)), findings, len(sources)


def convert_file(
    folder: SourceFolder, source: str, image_id: str, naming: Naming
) -> tuple[LabelmeImage | None, list[Note]]:
    """Return the image of one annotation file (relative to the folder), and the notes; no image where it is refused."""
    notes: list[Note] = []
    try:
        return _converted(folder, source, image_id, naming, notes), notes
    except FileRefused as error:
        return None, [error.note]


def _converted(
    folder: SourceFolder, source: str, image_id: str, naming: Naming, notes: list[Note]
) -> LabelmeImage | None:
    if not folder.has_file(source):
        raise FileRefused("unreadable-file", "file must be an ordinary file inside the source folder, got another")
    document = read_labelme(folder.root / source)
    if document is None:
        notes.append(Note("not-labelme", "", "file must have Labelme's keys shapes and imagePath, got none; left out"))
        return None
    flags = true_flags(document, notes)
    drawn = regions_of(document["shapes"], notes)
    place = folder.image(source, document.get("imagePath"), notes)
    width, height = frame_of(document, folder.root, place, notes)
    renamed = {region.label for region in drawn if region.label in naming.rename}
    named = _known([_named(region, naming.rename) for region in drawn], naming, notes)
    boxes = [box for region in named if (box := inside_frame(region, width, height, notes)) is not None]
    regions = without_duplicates(boxes, notes)
    parents = link_parts(regions, naming.parts, notes)
    split, true = split_of_flags(flags, notes), ";".join(flags)
    return LabelmeImage(image_id, place.path, width, height, split, true, source, regions, parents, renamed)


def _named(region: Region, rename: Mapping[str, str]) -> Region:
    # One text object a label, not one a box: files repeat a few labels a million times.
    label = sys.intern(rename.get(region.label, region.label))
    return region if label is region.label else region._replace(label=label)


def _known(regions: list[Region], naming: Naming, notes: list[Note]) -> list[Region]:
    if naming.classes is None:
        return regions
    for region in regions:
        if region.label not in naming.classes:
            message = f"label must be one of {', '.join(naming.classes)}, got {region.label!r}; dropped"
            notes.append(Note("unknown-label", region.place, message))
    return [region for region in regions if region.label in naming.classes]


def _refuse_foreign(source: Path, images: list[LabelmeImage], findings: list[Finding]) -> None:
    """Do nothing where a file was converted, or refused: a folder of other programs' JSON is the wrong folder.

    Raises:
        AnnotationError: all files are whole JSON of another kind.
    """
    foreign = [finding.source for finding in findings if finding.code == "not-labelme"]
    if foreign and len(foreign) == len(findings) and not images:
        got = f"{len(foreign)} JSON file(s) of another kind, such as {foreign[0]}"
        raise AnnotationError(f"{source}: source must hold Labelme files, got {got}")


def _shared_images(images: list[LabelmeImage]) -> Iterable[Finding]:
    first: dict[str, LabelmeImage] = {}
    for image in images:
        other = first.setdefault(image.path, image)
        if other is not image:
            message = f"{image.path} is the image of {other.source} too"
            yield Finding("shared-image", image.source, "", image.image_id, message)


def _without_conflicts(images: list[LabelmeImage], findings: list[Finding]) -> list[LabelmeImage]:
    """Return the images, without a split where another file puts the same image into another one; findings are added.

    To train on an image and to test on it would flatter the figures, and which file is right is not ours to guess.
    """
    splits: dict[str, set[str]] = {}
    for image in images:
        splits.setdefault(image.path, set()).update({image.split} - {""})
    torn = {path for path, names in splits.items() if len(names) > 1}
    for image in images:
        if image.path in torn:
            got = " and ".join(name for name in SPLITS if name in splits[image.path])
            message = f"split of {image.path} must be the same in all its annotation files, got {got}; left empty"
            findings.append(Finding("split-conflict", image.source, "", image.image_id, message))
    return [image._replace(split="") if image.path in torn else image for image in images]


def _tables(root: Path, images: list[LabelmeImage], classes: tuple[str, ...], parts: Mapping[str, str]) -> BoxDataset:
    class_of = {name: row for row, name in enumerate(classes)}
    rows = np.repeat(np.arange(len(images)), [len(image.regions) for image in images])
    regions = [region for image in images for region in image.regions]
    # A parent is a place in its own image; its object_id is that place after the boxes of the images before.
    first = np.concatenate([[0], np.cumsum([len(image.regions) for image in images])])[rows].astype(np.int64)
    parents = np.array([parent for image in images for parent in image.parents], np.int64)
    table = _image_table(images)
    size = np.stack([table.width, table.height, table.width, table.height], axis=1)[rows]
    annotations = Annotations(
        image_row=rows,
        object_id=np.arange(len(regions)),
        parent_id=np.where(parents == NONE, NO_PARENT, first + parents),
        group_id=np.array([region.group_id for region in regions], np.str_),
        class_id=np.array([class_of[region.label] for region in regions], np.int64),
        xyxy_rel=np.array([region[2:6] for region in regions], np.float64).reshape(-1, 4) / size,
        shape_type=np.array([region.shape_type for region in regions], np.str_),
    )
    return BoxDataset(root, classes, parts, table, annotations)


def _image_table(images: list[LabelmeImage]) -> Images:
    def text(name: str) -> np.ndarray[Any, np.dtype[np.str_]]:
        return np.array([getattr(image, name) for image in images], np.str_)

    return Images(
        image_id=text("image_id"),
        path=text("path"),
        width=np.array([image.width for image in images], np.int64),
        height=np.array([image.height for image in images], np.int64),
        split=text("split"),
        group=np.full(len(images), "", np.str_),
        flags=text("flags"),
        source=text("source"),
    )
