"""A picture's size from its header agrees with its pixels, whatever the format and the EXIF turn."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotations.pictures import displayed_and_stored_size, picture_size, read_picture


def write_turned(path: Path, orientation: int) -> Path:
    """Write a picture of 30 x 20 stored pixels, red in its stored top left corner."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:8, :8, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_displayed_pixels(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = write_turned(tmp_path / f"a{suffix}", orientation)
    height, width, _ = read_picture(path).shape
    assert picture_size(path) == (width, height)
    assert displayed_and_stored_size(path) == ((width, height), (30, 20))
    assert (width, height) == ((20, 30) if orientation >= 5 else (30, 20))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(5, 9))
def test_picture_annotated_without_its_turn_is_read_without_it(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = write_turned(tmp_path / f"a{suffix}", orientation)
    pixels = read_picture(path, frame=(30, 20))
    assert pixels.shape == (20, 30, 3)
    assert pixels[2, 2, 0] > 200
    np.testing.assert_array_equal(read_picture(path, frame=(20, 30)), read_picture(path))


def test_size_of_bytes_is_that_of_the_file(tmp_path: Path) -> None:
    path = write_turned(tmp_path / "a.jpg", 6)
    assert displayed_and_stored_size(path.read_bytes()) == displayed_and_stored_size(path)
