"""Label images and probability maps from files: PNG of 8 or 16 bits, TIFF of one page or many (a stack)."""

import io
import re
import struct
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError, UsageError
from evaluation.label_overlaps import size_text
from evaluation.tiff_pages import TiffPage, tiff_pages

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    _PageReader = Callable[[Path, ImageFile, str, bool], NDArray[Any]]

SUFFIXES = frozenset({".bmp", ".png", ".tif", ".tiff"})
"""Formats that keep every pixel's number; JPEG does not."""

PICTURE_SUFFIXES = SUFFIXES | {".jpeg", ".jpg"}
"""Formats of the pictures whose intensities are measured."""

LARGEST_STACK = 2_000_000_000
"""Voxels; a stack of more is refused before it is unpacked."""

_MODES = frozenset({"1", "L", "P", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
"""Pillow's modes of one channel. A palette's pixels are the numbers of its colours: VOC's class pictures are such."""

_COLOURED = frozenset({"P", "RGB", "RGBA", "LA"})
"""Pillow's modes of pictures with colours, all of which may be grey."""

# ImageJ writes a large stack as one page, and says how many there are in the description only.
# Source: ImageJ `ij.io.TiffEncoder`.
_IMAGEJ_PAGES = re.compile(r"^ImageJ=.*^images=(\d+)", re.MULTILINE | re.DOTALL)

# What Pillow raises on damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)


def read_labels(path: Path) -> NDArray[np.integer]:
    """Return the (H, W), or of a file of several pages the (D, H, W), whole numbers of a label image.

    Whole numbers that are stored as floats are taken as what they are.

    Raises:
        AnnotationError: the file is missing, damaged, too large, or no label image.
    """
    pixels = _read(path, "label image")
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    if pixels.dtype.kind == "f":
        whole = np.isfinite(pixels) & (pixels == np.rint(pixels)) & (pixels < 2.0**53)
        if not whole.all():
            raise AnnotationError(f"{path}: label image must hold whole numbers, got {pixels[~whole][0]}")
        pixels = pixels.astype(np.int64)
    if pixels.size and pixels.min() < 0:
        raise AnnotationError(f"{path}: label image must hold numbers from 0, got {pixels.min()}")
    return pixels


def read_probabilities(path: Path) -> NDArray[Any]:
    """Return the (H, W) or (D, H, W) probabilities of a file: floats 0 to 1, or whole numbers of 8 or 16 bits.

    Raises:
        AnnotationError: the file is missing, damaged, too large, or holds no probabilities.
    """
    pixels = _read(path, "probability map")
    if pixels.dtype == np.bool_:
        return pixels.astype(np.float32)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    fine = (pixels >= 0) & (pixels <= 1)
    if pixels.dtype.kind != "f" or not fine.all():
        got = pixels[~fine][0] if not fine.all() else pixels.dtype
        raise AnnotationError(f"{path}: probability map must hold floats 0 to 1, or 8 or 16 bits, got {got}")
    return pixels


def read_intensities(path: Path) -> NDArray[Any]:
    """Return the (H, W) or (D, H, W) intensities of a grey picture, as the file holds them: whole numbers or floats.

    A picture that is stored with colours, all of which are grey, is a grey one.

    Raises:
        AnnotationError: the file is missing, damaged, too large, or has colours.
    """
    pixels = _read(path, "picture", PICTURE_SUFFIXES, _grey_page)
    return pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels


def _read(
    path: Path, what: str, suffixes: Collection[str] = SUFFIXES, page_of: "_PageReader | None" = None
) -> NDArray[Any]:
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path}: {what} must be a file of {', '.join(sorted(suffixes))}, got {path.suffix or 'none'}")
    if not path.is_file():
        # A device or a pipe would be read without end.
        got = "no plain file" if path.exists() else "no such file"
        raise AnnotationError(f"{path}: {what} must be a file, got {got}")
    try:
        data = path.read_bytes()
        tiff = tiff_pages(data)
        _check_header(path, tiff, what)
        with warnings.catch_warnings():
            # A damaged file is refused below; what Pillow only warns of, it reads.
            warnings.simplefilter("ignore")
            pages = _pillow_pages(path, data, what, tiff, page_of or _number_page)
        if tiff and len(pages) != len(tiff):
            raise ValueError(f"{len(pages)} pages of {len(tiff)}")
    except _DAMAGED as error:
        raise AnnotationError(f"{path}: {what} must be readable, got {error}") from error
    for number, page in enumerate(pages):
        if page.shape != pages[0].shape:
            needed, got = size_text(pages[0].shape), size_text(page.shape)
            raise AnnotationError(f"{path}: {what} must have pages of one size, {needed}, got {got} on page {number}")
    whole = np.stack(pages) if len(pages) > 1 else pages[0]
    return whole.astype(whole.dtype.newbyteorder("="), copy=False)


def _check_header(path: Path, tiff: Sequence[TiffPage], what: str) -> None:
    voxels = sum(page.width * page.height for page in tiff)
    if voxels > LARGEST_STACK:
        raise AnnotationError(f"{path}: {what} must be at most {LARGEST_STACK:,} voxels, got {voxels:,}")
    described = _IMAGEJ_PAGES.search(tiff[0].description) if tiff else None
    if described and int(described[1]) != len(tiff):
        raise AnnotationError(f"{path}: {what} must hold its {described[1]} pages as TIFF pages, got {len(tiff)}")


def _pillow_pages(
    path: Path, data: bytes, what: str, tiff: Sequence[TiffPage], page_of: "_PageReader"
) -> list[NDArray[Any]]:
    from PIL import Image, UnidentifiedImageError

    # Its import sets Pillow's limit to ours.
    from annotations.pictures import LARGEST

    try:
        with Image.open(io.BytesIO(data)) as picture:
            pages = []
            for page in range(getattr(picture, "n_frames", 1)):
                picture.seek(page)
                if picture.width * picture.height > LARGEST:
                    raise Image.DecompressionBombError(f"{picture.width} x {picture.height}")
                pages.append(page_of(path, picture, what, page < len(tiff) and tiff[page].white_is_zero))
            return pages
    except UnidentifiedImageError:
        if not tiff:
            raise ValueError("no known picture format") from None
        return _wide_pages(path, data, what)
    except Image.DecompressionBombError as error:
        raise AnnotationError(f"{path}: {what} must be at most {LARGEST:,} pixels a page, got {error}") from error


def _number_page(path: Path, picture: "ImageFile", what: str, white_is_zero: bool) -> NDArray[Any]:
    _check_mode(path, picture.mode, _raw_mode(picture), what)
    pixels: NDArray[Any] = np.array(picture)
    # Pillow turns grey of up to 8 bits over where white is 0; labels are numbers and not shades.
    return ~pixels if white_is_zero and pixels.dtype in (np.bool_, np.uint8) else pixels


def _grey_page(path: Path, picture: "ImageFile", what: str, white_is_zero: bool) -> NDArray[Any]:
    if picture.mode in _MODES - {"P"}:
        return np.array(picture)
    if picture.mode in _COLOURED:
        channels = np.asarray(picture.convert("RGB"))
        if (channels == channels[..., :1]).all():
            return channels[..., 0]
    raise AnnotationError(f"{path}: {what} must be grey, got colours ({picture.mode}); measure each channel by itself")


def _raw_mode(picture: "ImageFile") -> str:
    """Return Pillow's name for how pixels lie in the file: `L;4` are shades of 4 bits, which it stretches to 8."""
    arguments = picture.tile[0][3] if picture.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _check_mode(path: Path, mode: str, raw: str, what: str) -> None:
    if mode not in _MODES:
        hint = " (slices of a stack must be pages)" if path.suffix.lower() in (".tif", ".tiff") else ""
        raise AnnotationError(f"{path}: {what} must have one channel{hint}, got {mode}")
    if raw.startswith(("L;2", "L;4")):
        raise AnnotationError(f"{path}: {what} must have 1, 8, 16 or more bits a pixel, got {raw[2]}")


def _wide_pages(path: Path, data: bytes, what: str) -> list[NDArray[Any]]:
    """Return the pages of a TIFF of numbers that Pillow does not know: of 64 bits, mostly."""
    import cv2

    before = cv2.utils.logging.setLogLevel(0)  # what goes wrong, we say ourselves
    try:
        done, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(str(error)) from error
    finally:
        cv2.utils.logging.setLogLevel(before)
    if not done or not pages:
        raise ValueError("an unknown or damaged layout")
    for page in pages:
        if page.ndim > 2:
            raise AnnotationError(f"{path}: {what} must have one channel, got {page.shape[2]}")
    return list(pages)
