"""Picture files: their displayed size from the header alone, and their pixels, refused by name where they are unfit."""

import io
import logging
import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from annotations.errors import AnnotationError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
LARGEST = 500_000_000
"""Pixels; a picture that would unpack to more is refused (a bomb of 30,000 x 30,000 is a file of 100 kB)."""

# What Pillow has to say of a damaged picture, our findings say; on stderr it would stand without a file's name.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# Pillow raises at twice its own limit, which is below ours.
Image.MAX_IMAGE_PIXELS = LARGEST

# EXIF orientations 5 to 8 lay the stored rows along the displayed columns. Source: Exif 2.32, tag 0x0112.
_TRANSPOSED = frozenset({5, 6, 7, 8})

# Source: TIFF 6.0, ImageWidth and ImageLength.
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257

# What Pillow's header readers raise on damaged files, besides OSError.
_DAMAGED = (SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error)


def picture_size(path: Path) -> tuple[int, int]:
    """Return the displayed (width, height) in pixels of a picture file; only its header is read.

    Raises:
        AnnotationError: the file is missing, is no picture, or holds more than LARGEST pixels.
    """
    return displayed_and_stored_size(path)[0]


def displayed_and_stored_size(picture: Path | bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return a picture's (width, height) as displayed and as stored, before its EXIF turn; only the header is read.

    Raises:
        AnnotationError: the file is missing, is no picture, or holds more than LARGEST pixels.
    """
    name = _name(picture)
    if isinstance(picture, Path) and not picture.is_file():
        got = "no file" if picture.exists() else "no such file"
        raise AnnotationError(f"{name}: picture must be a file, got {got}")
    try:
        with warnings.catch_warnings():
            # Pillow warns at its limit; at ours, we refuse.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as header:
                width, height = _stored_size(header)
                turned = _orientation(header) in _TRANSPOSED
    except Image.DecompressionBombError as error:
        raise AnnotationError(
            f"{name}: picture must be at most {LARGEST:,} pixels, got more than twice that"
        ) from error
    except (OSError, *_DAMAGED) as error:
        got = "no known picture format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise AnnotationError(f"{name}: picture must be readable, got {got}") from error
    if width * height > LARGEST:
        raise AnnotationError(f"{name}: picture must be at most {LARGEST:,} pixels, got {width} x {height}")
    return ((height, width) if turned else (width, height)), (width, height)


def _stored_size(header: Image.Image) -> tuple[int, int]:
    # Pillow turns the size of a TIFF, and of nothing else.
    tags = getattr(header, "tag_v2", None) if header.format == "TIFF" else None
    return (int(tags[_TIFF_WIDTH]), int(tags[_TIFF_HEIGHT])) if tags else header.size


def _orientation(header: Image.Image) -> object:
    try:
        # Not header.getexif(): for a PNG without EXIF it unpacks the whole picture, to look behind the pixels.
        return Image.Image.getexif(header).get(ExifTags.Base.Orientation, 1)
    except _DAMAGED:
        return 1  # as OpenCV reads a picture whose EXIF is damaged


def read_picture(picture: Path | bytes, frame: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Return the (H, W, 3) RGB pixels of a picture, a file or its bytes, as it is displayed (EXIF orientation applied).

    Grey, RGBA, CMYK and 16-bit pictures become 8-bit RGB. `frame` is the (width, height) that boxes are relative to;
    where it is the picture's size without its EXIF turn (finding `unrotated-size`), the pixels are given so.

    Raises:
        AnnotationError: the file is missing, is no picture, is damaged, or holds more than LARGEST pixels.
    """
    import cv2  # a tenth of a second, which a header does not need

    displayed, stored = displayed_and_stored_size(picture)
    try:
        data = np.frombuffer(picture, np.uint8) if isinstance(picture, bytes) else np.fromfile(picture, np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    except (cv2.error, OSError) as error:
        raise AnnotationError(f"{_name(picture)}: picture must be readable, got {error}") from error
    if pixels is None:
        raise AnnotationError(f"{_name(picture)}: picture must be readable, got a damaged or unsupported file")
    decoded = np.asarray(pixels, np.uint8)
    return _turned_back(picture, decoded) if frame == stored != displayed else decoded


def _name(picture: Path | bytes) -> str:
    return "imageData" if isinstance(picture, bytes) else str(picture)


def _turned_back(picture: Path | bytes, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Not by a flag of OpenCV's: it turns a TIFF whatever one asks.
    with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as header:
        orientation = _orientation(header)
    transposed = pixels.transpose(1, 0, 2)
    turns = {5: transposed, 6: transposed[::-1], 7: transposed[::-1, ::-1], 8: transposed[:, ::-1]}
    return np.ascontiguousarray(turns.get(orientation, pixels) if isinstance(orientation, int) else pixels)


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) RGB pixels; the suffix of `path` names the format.

    Raises:
        AnnotationError: the format is not known.
    """
    import cv2

    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise AnnotationError(f"{path}: picture's suffix must be one of {sorted(SUFFIXES)}") from error
    if not done:
        raise AnnotationError(f"{path}: picture must be writable as {path.suffix}")
    path.write_bytes(data.tobytes())
