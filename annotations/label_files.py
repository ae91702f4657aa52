"""Label images as files: pictures whose values are numbers of objects or of classes, written and read exactly."""

import struct
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotations.errors import AnnotationError
from annotations.pictures import displayed_and_stored_size

SUFFIXES = frozenset({".bmp", ".png", ".tif", ".tiff"})
"""Formats that keep every value; a JPEG or a lossy WebP changes them."""

# Pillow's modes of one whole number a pixel, and the coloured ones that may yet be grey.
_WHOLE = frozenset({"1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_COLOURED = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "LA", "La", "RGBa"})
# What Pillow raises on damaged files.
_UNREADABLE = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip
# Pillow stretches pixels of 2 and 4 bits to 0..255. Source: PNG specification, 13.12, "Sample depth rescaling".
_STRETCHED = {"L;2": 85, "L;4": 17}


def write_label_image(stem: Path, labels: NDArray[Any]) -> Path:
    """Return the path of a label image written from (H, W) numbers: `stem` and `.png`, of 16 bits.

    With a number above 65,535 it is a TIFF of 32 bits, `.tif`.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    if labels.dtype == np.uint16 or not labels.size or labels.max() < 2**16:
        path = stem.with_name(stem.name + ".png")
        path.write_bytes(cv2.imencode(".png", labels.astype(np.uint16, copy=False))[1].tobytes())
    else:
        path = stem.with_name(stem.name + ".tif")
        Image.fromarray(labels.astype(np.int32, copy=False)).save(path, compression="tiff_adobe_deflate")
    return path


def read_label_image(path: Path, size: tuple[int, int] | None = None) -> NDArray[Any]:
    """Return the (H, W) numbers of a label image: PNG, TIFF or BMP of 1 to 32 bits, grey.

    They are uint8, uint16 or int32, as the file holds them, for a picture may be large. `size` is the (width, height)
    that it must have.

    Raises:
        AnnotationError: the file is missing, is no such picture, is damaged, is of another size, or has colours, more
            than one page, fractions or negative numbers.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise AnnotationError(
            f"{path}: label image must be PNG, TIFF or BMP, which keep every value, got {path.suffix}"
        )
    stored = displayed_and_stored_size(path)[1]
    if size is not None and stored != size:
        raise AnnotationError(f"{path}: label image must be {_text(size)} as its image, got {_text(stored)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags; what cannot be read is an error
            with Image.open(path) as picture:
                return _numbers(picture, path)
    except _UNREADABLE as error:
        raise AnnotationError(f"{path}: label image must be readable, got {error}") from error


def _numbers(picture: Image.Image, path: Path) -> NDArray[Any]:
    pages = getattr(picture, "n_frames", 1)
    if pages > 1:
        raise AnnotationError(f"{path}: label image must be of one page, got a stack of {pages}")
    if picture.mode in _WHOLE:
        stretch = _STRETCHED.get(_raw_mode(picture))  # told before the pixels are read
        numbers = np.asarray(picture)
        numbers = numbers // stretch if stretch else numbers
    elif picture.mode == "F":
        numbers = _whole(np.asarray(picture), path)
    elif picture.mode in _COLOURED:
        numbers = _grey(picture, path)
    else:
        raise AnnotationError(f"{path}: label image must be grey, got colours ({picture.mode})")
    if numbers.dtype.kind == "i" and numbers.size and numbers.min() < 0:
        raise AnnotationError(f"{path}: label image must hold 0 to {2**31 - 1}, got {numbers.min()}")
    if numbers.dtype == np.bool_:
        return np.asarray(numbers.view(np.uint8) != 0, np.uint8)  # the byte of Pillow's true is 255
    native: NDArray[Any] = np.asarray(numbers, numbers.dtype.newbyteorder("="))
    return native


def _raw_mode(picture: Image.Image) -> str:
    tiles = getattr(picture, "tile", [])
    return str(tiles[0][3]) if tiles else ""


def _whole(values: NDArray[Any], path: Path) -> NDArray[Any]:
    # NaN is not equal to itself, and beyond 2**24 a float of 32 bits skips numbers.
    if not ((values == np.floor(values)) & (np.abs(values) <= 2**24)).all():
        raise AnnotationError(f"{path}: label image must hold whole numbers to 2**24, got others")
    return values.astype(np.int32)


def _grey(picture: Image.Image, path: Path) -> NDArray[Any]:
    """Return the grey values of a picture that is stored with colours, where all of them are grey."""
    kind = "a palette of colours" if picture.mode in ("P", "PA") else "colours"
    channels = np.asarray(picture.convert("RGB"))
    if (channels != channels[..., :1]).any():
        hint = "save the numbers themselves, as grey values of 8 or 16 bits"
        raise AnnotationError(f"{path}: label image must be grey, got {kind}; {hint}")
    return channels[..., 0]


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def pages_of(path: Path) -> int:
    """Return the number of pages of a TIFF, and 1 for other pictures: what a camera adds to a JPEG is no page.

    Raises:
        AnnotationError: it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                return int(getattr(picture, "n_frames", 1)) if picture.format == "TIFF" else 1
    except _UNREADABLE as error:
        raise AnnotationError(f"{path}: picture must be readable, got {error}") from error
