"""COCO's segmentations: run lengths, as text or as counts, and polygons to the pixels of an object, and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.drawn import Patch
from annotations.errors import AnnotationError
from annotations.notes import shown
from annotations.patches import empty_patch, tight, united
from annotations.pictures import LARGEST

LONGEST_OUTLINE = 4_000_000
"""Pixels; pycocotools takes 80 bytes of memory for each pixel of a polygon's length."""

# Source: pycocotools, maskApi.c, rleToString: five bits a character, from "0" on; 32 says that another follows, and 16
# in the last one that the number is negative.
_FIRST, _MORE, _NEGATIVE, _BITS = ord("0"), 32, 16, 5
_LONGEST_NUMBER = 7
"""Characters; 35 bits hold any difference of two counts of 32 bits."""


def patch_of(segmentation: object, width: int, height: int) -> Patch:
    """Return the pixels of a `segmentation` in a frame of `width` x `height` pixels, cut to those that are set.

    Run lengths are COCO's: by columns, background first. Polygons are filled as pycocotools does it, and together.
    Without any pixel, the patch is of 0 x 0.

    Raises:
        AnnotationError: it is none of COCO's forms, or does not fit the frame. pycocotools itself checks none of this,
            and writes outside its memory.
    """
    if width * height > LARGEST:
        raise AnnotationError(f"frame of a segmentation must be at most {LARGEST:,} pixels, got {width} x {height}")
    if isinstance(segmentation, dict):
        return _patch_of_counts(_counts_of_rle(segmentation, width, height), height)
    if isinstance(segmentation, list) and segmentation:
        return _patch_of_polygons([_outline(part, place) for place, part in enumerate(segmentation)], width, height)
    raise AnnotationError(f"segmentation must be polygons or run lengths, got {shown(segmentation)}")


def rle_of(patch: Patch, width: int, height: int) -> dict[str, Any]:
    """Return a patch of a frame of `width` x `height` pixels as compressed run lengths, ready for JSON.

    Raises:
        ValueError: the patch leaves the frame.
    """
    from pycocotools.mask import frPyObjects

    rows, columns = patch.pixels.shape
    if not (0 <= patch.left <= width - columns and 0 <= patch.top <= height - rows):
        raise ValueError(f"patch must lie in {width} x {height} pixels, got {patch[:2]} and {columns} x {rows}")
    counts = _counts_of_patch(patch, width, height)
    encoded = frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def _counts_of_rle(rle: dict[str, Any], width: int, height: int) -> NDArray[np.int64]:
    size, counts = rle.get("size"), rle.get("counts")
    if size != [height, width]:
        raise AnnotationError(f"segmentation.size must be that of its image, [{height}, {width}], got {shown(size)}")
    lengths = _counts_of_text(counts) if isinstance(counts, str) else _counts_of_list(counts)
    # Each by itself first: a sum of huge ones could wrap around.
    if (lengths < 0).any() or (lengths > width * height).any() or lengths.sum() != width * height:
        raise AnnotationError(f"segmentation.counts must add up to {width} x {height} pixels, got another sum")
    return lengths


def _counts_of_list(counts: object) -> NDArray[np.int64]:
    if not isinstance(counts, list) or set(map(type, counts)) != {int}:
        raise AnnotationError(f"segmentation.counts must be a text or a list of integers, got {shown(counts)}")
    try:
        return np.array(counts, np.int64)
    except OverflowError as error:
        raise AnnotationError("segmentation.counts must be numbers of pixels, got one of over 18 digits") from error


def _counts_of_text(text: str) -> NDArray[np.int64]:
    """Return the run lengths that a compressed text stands for; they may still be anything.

    Source: pycocotools, maskApi.c, rleFrString: from the fourth on, a number is the difference to the one two before.
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - _FIRST
    last = (codes & _MORE) == 0
    if not len(codes) or (codes < 0).any() or (codes >= 2 * _MORE).any() or not last[-1]:
        raise AnnotationError(f"segmentation.counts must be compressed run lengths, got {shown(text)}")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST_NUMBER:
        raise AnnotationError(f"segmentation.counts must be of numbers of 32 bits, got {shown(text)}")
    place = np.arange(len(codes)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & (_MORE - 1)) << (_BITS * place), starts)
    numbers -= np.where(codes[ends] & _NEGATIVE, 1 << (_BITS * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _patch_of_counts(counts: NDArray[np.int64], height: int) -> Patch:
    ends = np.cumsum(counts)
    first, past = (ends - counts)[1::2], ends[1::2]
    drawn = past > first
    first, past = first[drawn], past[drawn]
    if not len(first):
        return empty_patch()
    left, right = int(first[0]) // height, (int(past[-1]) - 1) // height + 1
    strip = np.zeros((right - left) * height, np.int8)
    # Where a run of zero pixels lies between two, one ends where the other begins.
    strip[first - left * height] += 1
    strip[past[past < right * height] - left * height] -= 1
    pixels = np.cumsum(strip, dtype=np.int8, out=strip).view(np.bool_).reshape(right - left, height).T
    return tight(pixels, left)


def _counts_of_patch(patch: Patch, width: int, height: int) -> NDArray[np.int64]:
    rows, columns = patch.pixels.shape
    strip = np.zeros((columns, height), np.bool_)
    strip[:, patch.top : patch.top + rows] = patch.pixels.T
    padded = np.concatenate([[False], strip.ravel(), [False]])
    # Runs that touch over a column's end are one, as the frame's pixels are counted through.
    changes = np.flatnonzero(padded[1:] != padded[:-1]) + patch.left * height
    edges = np.concatenate([[0], changes, [width * height]])
    counts = np.diff(edges)
    return counts[:-1] if counts[-1] == 0 and len(counts) > 1 else counts


def _outline(part: object, place: int) -> list[float]:
    """Return a polygon's numbers x, y, x, y, ... where they can be given to pycocotools.

    Raises:
        AnnotationError: they cannot.
    """
    if not isinstance(part, list) or not all(type(value) in (int, float) for value in part):
        raise AnnotationError(f"segmentation[{place}] must be a polygon's numbers, got {shown(part)}")
    if len(part) < 6 or len(part) % 2:
        raise AnnotationError(f"segmentation[{place}] must be x and y of at least 3 points, got {len(part)} numbers")
    # NaN is not at most anything.
    if not all(abs(value) <= LONGEST_OUTLINE for value in part):
        raise AnnotationError(f"segmentation[{place}] must be pixels of a picture, got {shown(part)}")
    points = np.array(part, np.float64).reshape(-1, 2)
    length = np.abs(points - np.roll(points, -1, axis=0)).max(axis=1).sum()
    if length > LONGEST_OUTLINE:
        raise AnnotationError(
            f"segmentation[{place}] must be at most {LONGEST_OUTLINE:,} pixels long, got {length:,.0f}"
        )
    return [float(value) for value in part]


def _patch_of_polygons(outlines: Sequence[list[float]], width: int, height: int) -> Patch:
    from pycocotools.mask import frPyObjects

    texts = [encoded["counts"].decode("ascii") for encoded in frPyObjects(outlines, height, width)]
    return united([_patch_of_counts(_counts_of_text(text), height) for text in texts])
