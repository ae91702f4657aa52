"""Label images and probability maps from files: PNG of 8 or 16 bits, TIFF of one page or many (a stack)."""

import re
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError, UsageError
from evaluation.label_overlaps import check_same_size, size_text

SUFFIXES = frozenset({".bmp", ".png", ".tif", ".tiff"})
"""Formats that keep every pixel's number; JPEG does not."""

LARGEST_STACK = 2_000_000_000
"""Voxels; a stack of more is refused before it is unpacked."""

_MODES = frozenset({"1", "L", "P", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
"""Pillow's modes of one channel. A palette's pixels are the numbers of its colours: VOC's class pictures are such."""

# ImageJ writes a large stack as one page, and says how many there are in the description only.
# Source: ImageJ `ij.io.FileInfo`, TIFF 6.0 ImageDescription (270).
_DESCRIPTION = 270
_IMAGEJ_PAGES = re.compile(r"^ImageJ=.*^images=(\d+)", re.MULTILINE | re.DOTALL)

_NAMED = 5
"""Missing files that a message names before it counts the rest."""

# What Pillow raises on damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)


@dataclass(frozen=True, slots=True)
class FilePair:
    """The truth's and the predicted file of one image, by the stem `name` that both have."""

    name: str
    truth: Path
    predicted: Path


@dataclass(frozen=True, slots=True)
class FilePairs:
    """The pairs of two folders by name, and the files of each that have no partner in the other."""

    pairs: tuple[FilePair, ...]
    truth_alone: tuple[Path, ...]
    predicted_alone: tuple[Path, ...]


def file_pairs(truth: Path, predicted: Path, *, lenient: bool = False) -> FilePairs:
    """Return the files of two folders that have one stem, in the order of their names.

    Hidden files, and files that are no pictures, are passed over. `lenient` leaves files without a partner out.

    Raises:
        AnnotationError: no folder, two files of one stem, no pair at all, or, unless lenient, a file without a partner.
    """
    left, right = _pictures(truth), _pictures(predicted)
    both = sorted(left.keys() & right.keys())
    alone = tuple(left[name] for name in sorted(left.keys() - right.keys()))
    strange = tuple(right[name] for name in sorted(right.keys() - left.keys()))
    if not lenient:
        for folder, files in ((predicted, alone), (truth, strange)):
            if files:
                raise AnnotationError(
                    f"{folder}: folder must have a partner for every file, got none for {_list(files)}"
                )
    if not both:
        raise AnnotationError(f"{predicted}: folder must have files with the names of those in {truth}, got none")
    return FilePairs(tuple(FilePair(name, left[name], right[name]) for name in both), alone, strange)


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


def read_pair(
    pair: FilePair, read_predicted: Callable[[Path], NDArray[Any]] = read_labels
) -> tuple[NDArray[np.integer], NDArray[Any]]:
    """Return the label image of a pair's truth, and what `read_predicted` makes of the other; both have one size.

    Raises:
        AnnotationError: a file cannot be used, or the sizes differ.
    """
    truth, predicted = read_labels(pair.truth), read_predicted(pair.predicted)
    check_same_size(truth.shape, predicted.shape, truth_name=str(pair.truth), name=str(pair.predicted))
    return truth, predicted


def _pictures(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise AnnotationError(f"{folder}: folder of pictures must be a directory, got {got}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            if path.stem in found:
                raise AnnotationError(
                    f"{folder}: files must have names of their own, got {found[path.stem].name} and {path.name}"
                )
            found[path.stem] = path
    return found


def _list(files: tuple[Path, ...]) -> str:
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return ", ".join(path.name for path in files[:_NAMED]) + more


def _read(path: Path, what: str) -> NDArray[Any]:
    from PIL import Image

    from annotations.pictures import picture_size

    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: {what} must be a file of {', '.join(sorted(SUFFIXES))}, got {path.suffix}")
    picture_size(path)  # refuses what is missing, damaged or a bomb
    try:
        with warnings.catch_warnings():
            # A damaged file is refused below; what Pillow only warns of, it reads.
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                _check_header(path, picture, what)
                return _pages(path, picture, what)
    except _DAMAGED as error:
        raise AnnotationError(f"{path}: {what} must be readable, got {error}") from error


def _check_header(path: Path, picture: Any, what: str) -> None:  # noqa: ANN401 - Pillow's class, loaded when needed
    pages = getattr(picture, "n_frames", 1)
    if picture.mode not in _MODES:
        raise AnnotationError(f"{path}: {what} must have one channel, got {picture.mode}")
    if picture.width * picture.height * pages > LARGEST_STACK:
        size = f"{picture.width} x {picture.height} x {pages}"
        raise AnnotationError(f"{path}: {what} must be at most {LARGEST_STACK:,} voxels, got {size}")
    described = _IMAGEJ_PAGES.search(str(getattr(picture, "tag_v2", {}).get(_DESCRIPTION, "")))
    if described and int(described[1]) != pages:
        raise AnnotationError(f"{path}: {what} must hold its {described[1]} pages as TIFF pages, got {pages}")


def _pages(path: Path, picture: Any, what: str) -> NDArray[Any]:  # noqa: ANN401 - as above
    pages: list[NDArray[Any]] = []
    for page in range(getattr(picture, "n_frames", 1)):
        picture.seek(page)
        if pages and picture.size[::-1] != pages[0].shape:
            got = size_text(picture.size[::-1])
            raise AnnotationError(
                f"{path}: {what} must have pages of one size, {size_text(pages[0].shape)}, got {got} on page {page}"
            )
        pages.append(np.array(picture))
    whole = np.stack(pages) if len(pages) > 1 else pages[0]
    return whole.astype(whole.dtype.newbyteorder("="), copy=False)
