"""COCO's run lengths and polygons to pixels and back, and all the rubbish that pycocotools would crash on."""

import json
from typing import Any

import numpy as np
import pytest
from label_pictures import in_frame
from numpy.typing import NDArray

from annotations.drawn import Patch
from annotations.errors import AnnotationError
from annotations.rle import LONGEST_OUTLINE, patch_of, rle_of

# pycocotools' own decoding warns with NumPy 2.
AS_DECODED = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_counts_run_down_the_columns_background_first() -> None:
    # 3 rows, 4 columns: 4 background pixels, then rows 1 and 2 of column 1 and row 0 of column 2.
    patch = patch_of({"size": [3, 4], "counts": [4, 3, 5]}, 4, 3)
    assert (patch.left, patch.top) == (1, 0)
    assert patch.pixels.astype(int).tolist() == [[0, 1], [1, 0], [1, 0]]


def test_compressed_text_is_that_of_pycocotools() -> None:
    from pycocotools.mask import encode

    pixels = np.zeros((30, 50), np.uint8)
    pixels[3:20, 10:40] = 1
    pixels[5:9, 12:30] = 0
    expected = encode(np.asfortranarray(pixels))
    rle = rle_of(Patch(10, 3, pixels[3:20, 10:40] != 0), 50, 30)
    assert rle == {"size": [30, 50], "counts": expected["counts"].decode()}
    json.dumps(rle)
    np.testing.assert_array_equal(in_frame(patch_of(rle, 50, 30), 50, 30), pixels)


@AS_DECODED
@pytest.mark.parametrize(
    "pixels", [np.ones((3, 4)), np.zeros((3, 4)), np.eye(3), np.array([[1.0]]), np.zeros((1, 7)), np.ones((7, 1))]
)
def test_whole_and_empty_frames_come_back(pixels: NDArray[np.float64]) -> None:
    from pycocotools.mask import decode

    height, width = pixels.shape
    rle = rle_of(Patch(0, 0, pixels != 0), width, height)
    np.testing.assert_array_equal(decode(rle), pixels)
    np.testing.assert_array_equal(in_frame(patch_of(rle, width, height), width, height), pixels)


def test_segmentation_without_a_pixel_is_an_empty_patch() -> None:
    assert patch_of({"size": [3, 4], "counts": [12]}, 4, 3).pixels.shape == (0, 0)
    assert patch_of([[20.0, 20.0, 30.0, 20.0, 30.0, 30.0]], 10, 10).pixels.shape == (0, 0)


@AS_DECODED
def test_polygons_are_filled_as_pycocotools_does_and_together() -> None:
    from pycocotools.mask import decode, frPyObjects, merge

    outlines = [[1.3, 2.0, 30.7, 4.2, 20.0, 40.5, -5.0, 20.0], [35, 35, 60, 36.5, 45, 70]]
    expected = decode(merge(frPyObjects(outlines, 50, 50)))
    np.testing.assert_array_equal(in_frame(patch_of(outlines, 50, 50), 50, 50), expected)


def test_runs_of_zero_pixels_are_kept_apart_nowhere() -> None:
    patch = patch_of({"size": [4, 2], "counts": [0, 2, 0, 2, 4]}, 2, 4)
    assert (patch.left, patch.top, patch.pixels.tolist()) == (0, 0, [[True]] * 4)


RUBBISH: list[Any] = [
    None,
    [],
    {},
    "text",
    3,
    [None],
    [[]],
    [[1, 2, 3, 4]],
    [[1, 2, 3, 4, 5, 6, 7]],
    [[1, 2, 3, 4, 5, float("nan")]],
    [[1, 2, 3, 4, 5, float("inf")]],
    [[1, 2, 3, 4, 5, 10**400]],
    [[1, 2, 3, 4, 5, True]],
    [[1, 2, 3, 4, 5, "6"]],
    [[0, 0, 1e6, 1e6] * 10],
    [[0, 0, 1, 1, 0, LONGEST_OUTLINE + 1]],
    {"size": [3, 4]},
    {"size": [3, 4], "counts": []},
    {"size": [4, 3], "counts": [12]},
    {"size": "3,4", "counts": [12]},
    {"size": [3, 4], "counts": [11]},
    {"size": [3, 4], "counts": [13]},
    {"size": [3, 4], "counts": [14, -2]},
    {"size": [3, 4], "counts": [12.0]},
    {"size": [3, 4], "counts": [True] * 12},
    {"size": [3, 4], "counts": [2**63]},
    {"size": [3, 4], "counts": [2**62] * 8 + [12]},
    {"size": [3, 4], "counts": "\N{EURO SIGN}"},
    {"size": [3, 4], "counts": "\ud800"},
    {"size": [3, 4], "counts": "<\0"},
    {"size": [3, 4], "counts": ""},
    {"size": [3, 4], "counts": "P"},
    {"size": [3, 4], "counts": "o" * 40 + "0"},
    {"size": [3, 4], "counts": "<" * 5},
]


@pytest.mark.parametrize("segmentation", RUBBISH, ids=lambda value: repr(value)[:40])
def test_rubbish_is_refused_with_what_it_is(segmentation: object) -> None:
    with pytest.raises(AnnotationError, match=r"segmentation.* must .*, got "):
        patch_of(segmentation, 4, 3)


def test_frame_beyond_the_largest_picture_is_refused_before_any_memory_is_taken() -> None:
    with pytest.raises(AnnotationError, match="at most 500,000,000 pixels, got 1000000 x 1000000"):
        patch_of({"size": [10**6, 10**6], "counts": [10**12]}, 10**6, 10**6)


@pytest.mark.parametrize("patch", [(-1, 0), (0, -1), (2, 0), (0, 2)])
def test_patch_outside_its_frame_is_misuse(patch: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="patch must lie in 4 x 3 pixels"):
        rle_of(Patch(*patch, np.ones((2, 3), np.bool_)), 4, 3)
