"""The group_id of each shape in a Labelme file that is written, such that reading it finds the parts' parents again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from annotations.linking import NONE, link_parts
from annotations.notes import Note
from annotations.shapes import Region

_LARGEST = 10**18


class Groups(NamedTuple):
    """The group_id of each shape or None, how many of the dataset's were changed, and how many parents are lost."""

    numbers: list[int | None]
    changed: int
    lost: int


def groups_of(regions: Sequence[Region], parents: Sequence[int], parts: Mapping[str, str]) -> Groups:
    """Return the groups of one image's boxes, whose parents are places in `regions` or NONE.

    The dataset's own groups stay where they are integers and lead to these parents; else each object shares a new
    number with its parts alone. Parents that `parts` does not speak of cannot be told.
    """
    told = [
        parent if parent != NONE and parts.get(region.label) == regions[parent].label else NONE
        for region, parent in zip(regions, parents, strict=True)
    ]
    lost = sum(parent != NONE and kept == NONE for parent, kept in zip(parents, told, strict=True))
    own = [_integer(region.group_id) for region in regions]
    has_parts = any(region.label in parts for region in regions)
    if all((number is None) == (region.group_id == "") for number, region in zip(own, regions, strict=True)):
        notes: list[Note] = []
        grouped = all(region.group_id for region, parent in zip(regions, told, strict=True) if parent != NONE)
        if not has_parts or (grouped and link_parts(regions, parts, notes) == told and not _are_shared(notes)):
            return Groups(own, 0, lost)
    numbers = _numbered(regions, own, told, parts) if has_parts else _translated(regions, own)
    changed = sum(
        bool(region.group_id) and str(number) != region.group_id
        for region, number in zip(regions, numbers, strict=True)
    )
    return Groups(numbers, changed, lost)


def _are_shared(notes: Sequence[Note]) -> bool:
    return any(note.code == "duplicate-group" for note in notes)


def _integer(group_id: str) -> int | None:
    # Not int() alone, which takes other digits, underscores and leading zeros too.
    digits = group_id.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(_LARGEST)):
        return None
    number = int(group_id)
    return number if str(number) == group_id and abs(number) < _LARGEST else None


class _Free:
    """Gives numbers from 0 that are not taken yet."""

    def __init__(self, taken: set[int]) -> None:
        self.taken = taken
        self.number = 0

    def next(self) -> int:
        while self.number in self.taken:
            self.number += 1
        self.taken.add(self.number)
        return self.number


def _translated(regions: Sequence[Region], own: Sequence[int | None]) -> list[int | None]:
    """Return integers for groups of which some are none, one for each group."""
    free = _Free({number for number in own if number is not None})
    new: dict[str, int | None] = {"": None}
    for region, number in zip(regions, own, strict=True):
        if region.group_id not in new:
            new[region.group_id] = free.next() if number is None else number
    return [new[region.group_id] for region in regions]


def _numbered(
    regions: Sequence[Region], own: Sequence[int | None], parents: Sequence[int], parts: Mapping[str, str]
) -> list[int | None]:
    """Return numbers by which each object is alone with its parts, and each part without an object alone."""
    free = _Free({number for number in own if number is not None})
    objects = [place for place, region in enumerate(regions) if region.label not in parts]
    shared = Counter(own[place] for place in objects)
    wholes = set(parents)
    numbers: list[int | None] = [None] * len(regions)
    for place in objects:
        if own[place] is not None and shared[own[place]] == 1:
            numbers[place] = own[place]
        elif regions[place].group_id or place in wholes:
            numbers[place] = free.next()
    for place, (region, parent) in enumerate(zip(regions, parents, strict=True)):
        if region.label in parts:
            numbers[place] = free.next() if parent == NONE else numbers[parent]
    return numbers
