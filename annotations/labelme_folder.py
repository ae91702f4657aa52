"""The Labelme files below a folder, read: each converted or refused by name, nothing changed in silence."""

import os
from pathlib import Path

from annotations.drawn import DrawnImage, Progress, Reading, placed, reading_of
from annotations.errors import AnnotationError
from annotations.findings import Finding
from annotations.frames import frame_of
from annotations.imagepaths import SourceFolder
from annotations.labelme import read_labelme, split_of_flags, true_flags
from annotations.naming import Naming
from annotations.notes import FileRefused, Note
from annotations.shapes import regions_of
from annotations.sources import annotation_files, image_ids


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
    return reading_of(folder.root, images, naming, findings, len(sources))


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
