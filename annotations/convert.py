"""A folder of Labelme files to a box dataset: each file converted or refused by name, nothing changed in silence."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations.dataset import counts, refuse_existing, write_dataset
from annotations.drawn import DrawnImage, Reading, dataset_of, placed
from annotations.errors import AnnotationError
from annotations.findings import Finding, count_by_code, count_by_severity
from annotations.frames import frame_of
from annotations.imagepaths import SourceFolder
from annotations.labelme import read_labelme, split_of_flags, true_flags
from annotations.naming import Naming
from annotations.notes import FileRefused, Note
from annotations.shapes import regions_of
from annotations.sources import annotation_files, image_ids
from annotations.tables import BoxDataset

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
    read = read_labelme_folder(source, naming, progress)
    written = write_dataset(destination, read.dataset, read.findings, command=command)
    return ConvertReport(written, tuple(read.findings), read.files, strict)


def read_labelme_folder(source: Path, naming: Naming, progress: Progress | None = None) -> Reading:
    """Return what the Labelme files below `source` hold.

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
    images: list[DrawnImage] = []
    for done, (name, image_id) in enumerate(zip(sources, image_ids(sources), strict=True), start=1):
        image, notes = convert_file(folder, name, image_id, naming)
        if image is not None:
            images.append(image)
        findings += [Finding(note.code, name, note.shape, image_id if image else "", note.message) for note in notes]
        if progress is not None:
            progress(done, len(sources))
    _refuse_foreign(source, images, findings)
    dataset, more = dataset_of(folder.root, images, naming)
    return Reading(dataset, findings + more, len(sources))


def convert_file(
    folder: SourceFolder, source: str, image_id: str, naming: Naming
) -> tuple[DrawnImage | None, list[Note]]:
    """Return the image of one annotation file (relative to the folder), and the notes; no image where it is refused."""
    notes: list[Note] = []
    try:
        return _converted(folder, source, image_id, naming, notes), notes
    except FileRefused as error:
        return None, [error.note]


def _converted(
    folder: SourceFolder, source: str, image_id: str, naming: Naming, notes: list[Note]
) -> DrawnImage | None:
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
    kept = placed(drawn, width, height, naming, notes)
    split, true = split_of_flags(flags, notes), ";".join(flags)
    return DrawnImage(image_id, place.path, width, height, split, true, source, *kept)


def _refuse_foreign(source: Path, images: list[DrawnImage], findings: list[Finding]) -> None:
    """Do nothing where a file was converted, or refused: a folder of other programs' JSON is the wrong folder.

    Raises:
        AnnotationError: all files are whole JSON of another kind.
    """
    foreign = [finding.source for finding in findings if finding.code == "not-labelme"]
    if foreign and len(foreign) == len(findings) and not images:
        got = f"{len(foreign)} JSON file(s) of another kind, such as {foreign[0]}"
        raise AnnotationError(f"{source}: source must hold Labelme files, got {got}")
