"""Duplicates and parents of many images at once: what `annotations.linking` finds, where there is nothing to tell.

All arrays have a row a box; the boxes of an image stand together. An image with anything that `linking` would note is
not settled here but named, so that it is done again box by box.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.linking import NONE

NO_PART = -1
NO_GROUP = -1
_MOST_PAIRS = 1_000_000
"""Pairs of a part without a group and an object that are compared at once; an image with so many is left out."""

# Odd 64-bit numbers, one for each column of a row; their sum of products tells rows apart. Source: the first digits of
# SHA-512's round constants, made odd.
_MIXERS = np.array(
    [0x428A2F98D728AE23, 0x7137449123EF65CD, 0xB5C0FBCFEC4D3B2F, 0xE9B5DBA58189DBBD, 0x3956C25BF348B539,
     0x59F111F1B605D019, 0x923F82A4AF194F9B], np.uint64,
)  # fmt: skip

Ints = NDArray[np.int64]
Boxes = NDArray[np.float64]


class Linked(NamedTuple):
    """The (N,) row of each box's parent, or NONE; and a (N,) mask, some row of which is true in an unsettled image."""

    parent: Ints
    unsettled: NDArray[np.bool_]


def repeated(image: Ints, label: Ints, group: Ints, xyxy: Boxes) -> NDArray[np.bool_]:
    """Return a (N,) mask that is true on two boxes of one image with the same label, group and corners.

    Now and then it may be true elsewhere too. Corners are compared bit by bit: none may be a negative zero.
    """
    columns = [image, label, group, *np.ascontiguousarray(xyxy.T)]
    mixed = np.zeros(len(image), np.uint64)
    for mixer, column in zip(_MIXERS, columns, strict=True):
        bits = column.view(np.uint64)
        # The lowest bits of a short number are zeros, and stay zeros in a product: the highest are added to them.
        mixed += (bits ^ (bits >> np.uint64(32))) * mixer
    order = np.argsort(mixed)
    twins = mixed[order][1:] == mixed[order][:-1]
    found = np.zeros(len(image), np.bool_)
    found[order[1:][twins]] = True
    return found


def parents(image: Ints, label: Ints, group: Ints, xyxy: Boxes, whole_of: Ints) -> Linked:
    """Return each part's object, as `linking.link_parts` does.

    `whole_of` gives for each label's code the code of its object, or NO_PART; a code that no box has stands for an
    object that nobody drew. `group` is NO_GROUP where there is none.
    """
    unsettled = np.zeros(len(image), np.bool_)
    parent = np.full(len(image), NONE, np.int64)
    whole = whole_of[label] if len(label) else label
    is_part = whole != NO_PART
    objects, parts = np.flatnonzero(~is_part), np.flatnonzero(is_part)
    labels = int(max(label.max(initial=0), whole.max(initial=0))) + 1
    place = image * labels + np.where(is_part, whole, label)

    grouped = objects[group[objects] != NO_GROUP]
    by_group = grouped[np.lexsort((group[grouped], place[grouped]))]
    twins = (place[by_group][1:] == place[by_group][:-1]) & (group[by_group][1:] == group[by_group][:-1])
    unsettled[by_group[1:][twins]] = True

    has_group = group[parts] != NO_GROUP
    _link_by_group(parent, parts[has_group], by_group, place, group)
    free = parts[~has_group]
    if len(free):
        _link_by_centre(parent, unsettled, free, objects[np.argsort(place[objects], kind="stable")], place, xyxy)
    unsettled[parts[parent[parts] == NONE]] = True
    return Linked(parent, unsettled)


def _link_by_group(parent: Ints, parts: Ints, objects: Ints, place: Ints, group: Ints) -> None:
    """Write the parent of each part that has a group; `objects` are in the order of their place and group."""
    if not len(objects) or not len(parts):
        return
    # One number for place and group: groups are numbered from 0.
    groups = int(group.max()) + 1
    keys, wanted = place[objects] * groups + group[objects], place[parts] * groups + group[parts]
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    parent[parts] = np.where(keys[at] == wanted, objects[at], NONE)


def _link_by_centre(
    parent: Ints, unsettled: NDArray[np.bool_], parts: Ints, objects: Ints, place: Ints, xyxy: Boxes
) -> None:
    """Write the parent of each part without a group; `objects` are in the order of their place, then their row."""
    first = np.searchsorted(place[objects], place[parts], "left")
    count = np.searchsorted(place[objects], place[parts], "right") - first
    parts, first, count = parts[count > 0], first[count > 0], count[count > 0]
    if count.sum() > _MOST_PAIRS:
        unsettled[parts] = True
        return
    if not len(parts):
        return
    begin = np.cumsum(count) - count
    of_pair = np.repeat(np.arange(len(parts)), count)
    other = objects[np.arange(len(of_pair)) + np.repeat(first - begin, count)]
    xmin, ymin, xmax, ymax = xyxy[other].T
    x, y = ((xyxy[parts, :2] + xyxy[parts, 2:]) / 2)[of_pair].T
    around = (xmin <= x) & (x <= xmax) & (ymin <= y) & (y <= ymax)
    area = np.where(around, (xmax - xmin) * (ymax - ymin), np.inf)
    smallest = np.flatnonzero(around & (area == np.minimum.reduceat(area, begin)[of_pair]))
    # Of two as small, the one drawn first: backwards, so that it is written last.
    parent[parts[of_pair[smallest[::-1]]]] = other[smallest[::-1]]
