"""Which object a part belongs to: the one of its group, or the smallest one around the part's centre."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from annotations.notes import Note
from annotations.shapes import Region

NONE = -1


def without_duplicates(regions: Sequence[Region], notes: list[Note]) -> list[Region]:
    """Return the regions, each label, group and box once; what is dropped is noted."""
    first: dict[tuple[object, ...], Region] = {}
    for region in regions:
        kept = first.setdefault(region[:6], region)
        if kept is not region:
            message = f"{region.label!r} has the label, group and box of {kept.place}; dropped"
            notes.append(Note("duplicate", region.place, message))
    return list(first.values())


def link_parts(regions: Sequence[Region], parts: Mapping[str, str], notes: list[Note]) -> list[int]:
    """Return for each region the place in `regions` of the object that it is a part of, or NONE.

    A part with a group belongs to the object of that group; of several such objects, and for a part without a group,
    to the smallest whose box holds the part's centre. Parts without an object, and objects that share a group, are
    noted.
    """
    objects = _objects(regions, parts, notes)
    nested: dict[tuple[str, str], _Nested] = {}
    parents = [NONE] * len(regions)
    for place, region in enumerate(regions):
        if region.label not in parts:
            continue
        key = (parts[region.label], region.group_id)
        candidates = objects.get(key, [])
        if region.group_id and len(candidates) == 1:
            parents[place] = candidates[0]
        elif candidates:
            if key not in nested:
                nested[key] = _Nested(regions, candidates)
            parents[place] = nested[key].smallest_around(region)
        if parents[place] == NONE:
            notes.append(_orphan(region, parts[region.label]))
    return parents


def _objects(
    regions: Sequence[Region], parts: Mapping[str, str], notes: list[Note]
) -> Mapping[tuple[str, str], list[int]]:
    """Return the objects' places by (label, group_id); under group "" stand all objects of a label."""
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for place, region in enumerate(regions):
        if region.label not in parts:
            places[region.label, ""].append(place)
            if region.group_id:
                places[region.label, region.group_id].append(place)
    for (label, group_id), members in places.items():
        if group_id and len(members) > 1:
            names = ", ".join(regions[place].place for place in members[:10])
            message = f"one {label!r} must have group_id {group_id}, got {len(members)}: {names}; all are kept"
            notes.append(Note("duplicate-group", regions[members[1]].place, message))
    return places


def _orphan(part: Region, whole: str) -> Note:
    where = f"with group_id {part.group_id}" if part.group_id else "around its centre"
    return Note("orphan-part", part.place, f"{part.label!r} must have a {whole!r} {where}, got none; no parent given")


class _Nested:
    """The boxes of some objects, the smallest first; arrays, for a file may hold tens of thousands."""

    def __init__(self, regions: Sequence[Region], places: Sequence[int]) -> None:
        boxes = np.array([regions[place][2:6] for place in places], np.float64)
        order = np.argsort((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), kind="stable")
        self.places = np.array(places, np.int64)[order]
        self.xmin, self.ymin, self.xmax, self.ymax = boxes[order].T

    def smallest_around(self, part: Region) -> int:
        x, y = (part.xmin + part.xmax) / 2, (part.ymin + part.ymax) / 2
        around = (self.xmin <= x) & (x <= self.xmax) & (self.ymin <= y) & (y <= self.ymax)
        first = int(np.argmax(around))
        return int(self.places[first]) if around[first] else NONE
