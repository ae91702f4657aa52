"""Objects painted over one another into one label image: the smaller over the larger, parts over their objects."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.drawn import Patch
from annotations.errors import AnnotationError

MOST_PAINT = 10_000_000_000
"""Pixels of all objects of one image together, as far as their patches reach: some ten seconds of painting."""

_KEPT = 64_000_000
"""Pixels of patches that are kept from measuring to painting; those beyond are drawn twice, to save memory."""


class Painted(NamedTuple):
    """A label image and what became of its N objects.

    `labels` is (H, W): 0 is background and 1 + place an object. `areas` are the (N,) objects' pixels before others came
    over them, `lost` how many of those went to others, own parts left out, and `hidden` whether none is left.
    """

    labels: NDArray[Any]
    areas: NDArray[np.int64]
    lost: NDArray[np.int64]
    hidden: NDArray[np.bool_]


def painted(
    patches: Sequence[Patch], parents: NDArray[np.int64], kinds: NDArray[np.int64] | None, width: int, height: int
) -> Painted:
    """Return the label image of N objects in a frame of `width` x `height` pixels.

    `parents` are the (N,) places of the objects that parts belong to, or -1. A part covers pixels of its object, which
    keeps the rest; that is no loss. With `kinds`, (N,), only pixels that go to another kind are lost or hidden.

    Raises:
        AnnotationError: the objects are more than MOST_PAINT pixels together.
    """
    areas, kept = _measured(patches)
    labels = np.zeros((height, width), np.uint16 if len(patches) < 2**16 else np.int32)
    taken, lost = np.zeros(len(patches), np.int64), np.zeros(len(patches), np.int64)
    for place in np.lexsort((-areas, parents >= 0)).tolist():
        patch = kept.pop(place) if place in kept else patches[place]
        rows, columns = patch.pixels.shape
        window = labels[patch.top : patch.top + rows, patch.left : patch.left + columns]
        under = window[patch.pixels]
        if under.any():
            owners, counts = _owners(under, place, kinds)
            taken[owners] += counts
            foreign = owners != parents[place]
            lost[owners[foreign]] += counts[foreign]
        window[patch.pixels] = place + 1
    return Painted(labels, areas, lost, taken == areas)


def _owners(
    under: NDArray[Any], place: int, kinds: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of the objects that lose pixels to object `place`, and how many, from the numbers under it."""
    owners, counts = np.unique(under[under > 0], return_counts=True)
    owners = owners.astype(np.int64) - 1
    if kinds is None:
        return owners, counts
    other = kinds[owners] != kinds[place]
    return owners[other], counts[other]


def _measured(patches: Sequence[Patch]) -> tuple[NDArray[np.int64], dict[int, Patch]]:
    """Return the objects' (N,) numbers of pixels, and the first patches by place, as many as may be kept."""
    areas = np.zeros(len(patches), np.int64)
    kept: dict[int, Patch] = {}
    paint = 0
    for place, patch in enumerate(patches):
        paint += patch.pixels.size
        if paint > MOST_PAINT:
            raise AnnotationError(f"objects of an image must be at most {MOST_PAINT:,} pixels together, got more")
        areas[place] = np.count_nonzero(patch.pixels)
        if paint <= _KEPT:
            kept[place] = patch
    return areas, kept
