"""Pictures that lie inside annotation files, written as files of a dataset where no other file is there."""

import io
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from annotations.errors import AnnotationError
from annotations.findings import Finding
from annotations.frames import is_resized
from annotations.notes import FileRefused, Note
from annotations.picture_files import safe_stems
from annotations.pictures import displayed_and_stored_size
from annotations.tables import Images

FOLDER = "images"

# Source: the formats' own signatures; WebP's stands behind the length of its RIFF file.
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}
# What Pillow raises on damaged pictures.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error)
_LEAST = 64
"""Pixels to a side, at least, that a JPEG may be shrunk to while it is looked through for damage."""


def write_embedded(
    aside: Path, images: Images, embedded: Mapping[int, Callable[[], bytes]]
) -> tuple[Images, list[Finding]]:
    """Return the images with the paths of the pictures that were written to `images/` in `aside`, and what was found.

    `embedded` gives for an image row the bytes of its picture. One is in memory at a time; it is written as it is. A
    picture that is damaged, too large, of no known format or of another size is a finding, and its path stays.
    """
    paths = images.path.tolist()
    stems = safe_stems(images) if embedded else []
    findings: list[Finding] = []
    for row, read in sorted(embedded.items()):
        frame = int(images.width[row]), int(images.height[row])
        notes: list[Note] = []
        try:
            data = read()
            path = f"{FOLDER}/{stems[row]}{_suffix_of(data, frame, notes)}"
        except FileRefused as error:
            notes.append(error.note)
        except AnnotationError as error:
            notes.append(Note("bad-embedded", "", str(error)))
        else:
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            (aside / path).write_bytes(data)
            notes.append(Note("embedded-image", "", f"{paths[row]} is not there; imageData was written to {path}"))
            paths[row] = path
        source, image_id = str(images.source[row]), str(images.image_id[row])
        findings += [Finding(note.code, source, note.shape, image_id, note.message) for note in notes]
    return replace(images, path=np.array(paths, np.str_)), findings


def _suffix_of(data: bytes, frame: tuple[int, int], notes: list[Note]) -> str:
    """Return the suffix for a picture's bytes, which is whole and shows an image of `frame` (width, height).

    Raises:
        AnnotationError: it is not, or does not.
    """
    suffix = next((suffix for magic, suffix in _MAGIC.items() if data.startswith(magic)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        suffix = ".webp"
    if not suffix:
        raise AnnotationError(f"imageData must be a PNG, JPEG, BMP, TIFF or WebP, got bytes {data[:8].hex() or 'none'}")
    displayed, stored = displayed_and_stored_size(data)
    _compare(frame, displayed, stored, notes)
    _look_through(data)
    return suffix


def _look_through(data: bytes) -> None:
    """Do nothing where a picture can be unpacked to its end.

    Raises:
        AnnotationError: it is cut off or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags
            with Image.open(io.BytesIO(data)) as picture:
                picture.draft(picture.mode, (_LEAST, _LEAST))
                picture.load()
    except _DAMAGED as error:
        raise AnnotationError(f"imageData must be a whole picture, got {error}") from error


def _compare(frame: tuple[int, int], displayed: tuple[int, int], stored: tuple[int, int], notes: list[Note]) -> None:
    sizes = f"imageData must be {frame[0]} x {frame[1]} as annotated, got {displayed[0]} x {displayed[1]}"
    if displayed == frame:
        return
    if is_resized(frame, displayed):
        notes.append(Note("stale-size", "", f"{sizes}, the same picture resized; the boxes keep their place"))
    elif stored == frame:
        message = f"{sizes} after its EXIF rotation; the boxes are kept as drawn on the picture without it"
        notes.append(Note("unrotated-size", "", message))
    else:
        raise FileRefused("size-mismatch", f"{sizes}: another picture, which was not written")
