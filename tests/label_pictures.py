"""Pictures, label images and patches for the tests."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotations.drawn import Patch


def write_labels(path: Path, numbers: Any, mode: str | None = None) -> Path:  # noqa: ANN401
    """Write (H, W) numbers as a picture of 16 bits, or as Pillow converts them to `mode`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.array(numbers, np.uint16 if mode is None else np.uint8))
    (picture if mode is None else picture.convert(mode)).save(path)
    return path


def write_photograph(path: Path, width: int, height: int, **options: object) -> Path:
    """Write a grey picture of that size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (width, height), 90).save(path, **options)
    return path


def picture_bytes(kind: str, width: int, height: int, orientation: int = 1) -> bytes:
    """Return the bytes of a picture of noise, which is as long as its pixels are many."""
    out = io.BytesIO()
    noise = np.random.default_rng(7).integers(0, 255, (height, width, 3)).astype(np.uint8)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(noise).save(out, kind, exif=exif)
    return out.getvalue()


def in_frame(patch: Patch, width: int, height: int) -> NDArray[np.bool_]:
    """Return a patch's pixels in their whole frame; those that would lie outside are an error."""
    pixels = np.zeros((height, width), np.bool_)
    rows, columns = patch.pixels.shape
    pixels[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.pixels
    return pixels
