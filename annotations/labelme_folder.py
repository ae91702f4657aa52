"""The Labelme files below a folder, read: each converted or refused by name, nothing changed in silence."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from annotations.collector import collector_at_rest
from annotations.drawn import DrawnImage, Progress, Reading, columns_of, placed, reading_of_columns
from annotations.drawn_columns import DrawnColumns, joined
from annotations.errors import AnnotationError
from annotations.findings import Finding
from annotations.frames import annotated_size, frame_of
from annotations.imagepaths import ImagePlace, SourceFolder
from annotations.labelme import embedded_picture, read_labelme, split_of_flags, true_flags
from annotations.labelme_batch import read_ordinary
from annotations.naming import Naming
from annotations.notes import FileRefused, Note
from annotations.picture_search import PicturesApart
from annotations.processes import shared_out
from annotations.shapes import regions_of
from annotations.sources import find_files, image_ids

_FILES_TOGETHER = 250
"""Files that are handed out together: few enough that two processes end at nearly the same time."""


class FileBatch(NamedTuple):
    """What some files hold: the images of those that were not refused, and what was found, in the files' order."""

    columns: DrawnColumns
    findings: list[Finding]


@collector_at_rest()
def read_labelme_folder(
    source: Path,
    naming: Naming,
    progress: Progress | None = None,
    *,
    check_images: bool = True,
    workers: int = 1,
    pictures: Path | None = None,
) -> Reading:
    """Return what the Labelme files below `source` hold.

    Pictures that are not where the files say are looked for in the folder `pictures`, by the end of their paths.
    Without `check_images`, pictures are neither looked for (but in `pictures`) nor opened, unless the file gives no
    size or names none: an image's path is then the one that the file names, and its size the file's. `workers` is the
    number of processes; what comes back does not depend on it.

    Raises:
        AnnotationError: `source` is no folder, or holds no Labelme file.
    """
    if not source.is_dir():
        raise AnnotationError(
            f"{source}: source must be a folder, got {'a file' if source.exists() else 'no such one'}"
        )
    root = Path(os.path.realpath(source))
    findings: list[Finding] = []
    found = find_files(root, findings)
    sources = found.annotations
    if not sources:
        why = "".join(f"; {finding.source}: {finding.message}" for finding in findings[:1])
        raise AnnotationError(f"{source}: source must hold Labelme files (*.json) in it or below, got none{why}")
    apart = None if pictures is None else PicturesApart(root, pictures)
    job = _Job(SourceFolder(root, found.ordinary), naming, check_images, apart)
    ids = image_ids(sources)
    starts = range(0, len(sources), _FILES_TOGETHER)
    chunks = [
        _Files(sources[start : start + _FILES_TOGETHER], ids[start : start + _FILES_TOGETHER]) for start in starts
    ]

    def tell(ready: int) -> None:
        if progress is not None:
            progress(min(ready * _FILES_TOGETHER, len(sources)), len(sources))

    batches = shared_out(job.batch, chunks, workers, tell)
    findings += [finding for batch in batches for finding in batch.findings]
    drawn = joined(batch.columns for batch in batches)
    _refuse_foreign(source, drawn, findings)
    return reading_of_columns(root, drawn, naming, findings, len(sources))


class _Job(NamedTuple):
    folder: SourceFolder
    naming: Naming
    check_images: bool
    apart: PicturesApart | None

    def batch(self, files: "_Files") -> FileBatch:
        """Return what these files hold."""
        folder, naming, check_images, apart = self
        return read_files(folder, files.sources, files.image_ids, naming, check_images=check_images, apart=apart)


class _Files(NamedTuple):
    sources: Sequence[str]
    image_ids: Sequence[str]


@collector_at_rest()
def read_files(
    folder: SourceFolder,
    sources: Sequence[str],
    ids: Sequence[str],
    naming: Naming,
    *,
    check_images: bool,
    apart: PicturesApart | None = None,
) -> FileBatch:
    """Return what these annotation files (relative to the folder) hold: the ordinary ones together, others each alone.

    What comes back is what `convert_file` makes of each.
    """
    # A picture that may lie apart must be looked for, which the ordinary ones are not where none is opened.
    together = sources if check_images or apart is None else []
    ordinary = read_ordinary(folder, together, ids, naming, check_images=check_images)
    if len(ordinary.files) == len(sources):
        return FileBatch(ordinary.columns, list(ordinary.inverted.values()))
    findings = {file: [finding] for file, finding in ordinary.inverted.items()}
    images: list[DrawnImage] = []
    places = ordinary.files.tolist()
    for file in sorted(set(range(len(sources))) - set(places)):
        image, notes = convert_file(folder, sources[file], ids[file], naming, check_images=check_images, apart=apart)
        if image is not None:
            images.append(image)
            places.append(file)
        image_id = ids[file] if image else ""
        findings[file] = [Finding(note.code, sources[file], note.shape, image_id, note.message) for note in notes]
    columns = joined([ordinary.columns, columns_of(images)]).in_order(np.argsort(np.array(places, np.int64)))
    return FileBatch(columns, [finding for file in sorted(findings) for finding in findings[file]])


def convert_file(
    folder: SourceFolder,
    source: str,
    image_id: str,
    naming: Naming,
    *,
    check_images: bool = True,
    apart: PicturesApart | None = None,
) -> tuple[DrawnImage | None, list[Note]]:
    """Return the image of one annotation file (relative to the folder), and the notes; no image where it is refused."""
    notes: list[Note] = []
    try:
        return _converted(folder, source, image_id, naming, check_images, apart, notes), notes
    except FileRefused as error:
        return None, [error.note]


def _converted(
    folder: SourceFolder,
    source: str,
    image_id: str,
    naming: Naming,
    check_images: bool,
    apart: PicturesApart | None,
    notes: list[Note],
) -> DrawnImage | None:
    if not folder.has_file(source):
        raise FileRefused("unreadable-file", "file must be an ordinary file inside the source folder, got another")
    document = read_labelme(folder.root / source)
    if document is None:
        notes.append(Note("not-labelme", "", "file must have Labelme's keys shapes and imagePath, got none; left out"))
        return None
    flags = true_flags(document, notes)
    drawn = regions_of(document["shapes"], notes)
    is_checked = check_images or annotated_size(document) is None
    is_looked_for = is_checked or apart is not None
    place = _place(folder, source, document.get("imagePath"), is_looked_for, apart, notes)
    width, height = frame_of(document, folder.root, place if is_checked else replace(place, found=False), notes)
    kept = placed(drawn, width, height, naming, notes)
    split, true = split_of_flags(flags, notes), ";".join(flags)
    is_lost = is_looked_for and not place.found and isinstance(document.get("imageData"), str) and document["imageData"]
    embedded = partial(embedded_picture, folder.root / source) if is_lost else None
    return DrawnImage(image_id, place.path, width, height, split, true, source, *kept, embedded=embedded)


def _place(
    folder: SourceFolder,
    source: str,
    image_path: object,
    is_looked_for: bool,
    apart: PicturesApart | None,
    notes: list[Note],
) -> ImagePlace:
    """Return the place of the image that `source` names: where it says, else among the pictures that lie apart.

    Raises:
        FileRefused: `imagePath` is no text that can be a path.
    """
    told: list[Note] = []
    place = (folder.image if is_looked_for else folder.unchecked_image)(source, image_path, told)
    if apart is None or place.found:
        notes += told
        return place
    lost: list[Note] = []
    name = image_path if isinstance(image_path, str) and image_path else PurePosixPath(source).stem
    found = apart.named(name, lost)
    if found is None:
        notes += [
            note._replace(message=f"{note.message}; in the folder of the pictures: {lost[0].message}") for note in told
        ]
    return found or place


def _refuse_foreign(source: Path, drawn: DrawnColumns, findings: list[Finding]) -> None:
    """Do nothing where a file was converted, or refused: a folder of other programs' JSON is the wrong folder.

    Raises:
        AnnotationError: all files are whole JSON of another kind.
    """
    foreign = [finding.source for finding in findings if finding.code == "not-labelme"]
    if foreign and len(foreign) == len(findings) and not len(drawn.images):
        got = f"{len(foreign)} JSON file(s) of another kind, such as {foreign[0]}"
        raise AnnotationError(f"{source}: source must hold Labelme files, got {got}")
