"""Which object a part belongs to in Pascal VOC files: the one that its element stands in."""

from collections import Counter
from collections.abc import Iterable, Mapping

from annotations.linking import NONE
from annotations.naming import Naming
from annotations.notes import Note
from annotations.shapes import Region
from annotations.voc_objects import VocObjects


def kept_parents(objects: VocObjects, naming: Naming, notes: list[Note]) -> list[int]:
    """Return the parents that agree with which labels are parts of which; the other parts are noted."""
    labels = [naming.rename.get(region.label, region.label) for region in objects.regions]
    parents = []
    for label, region, parent in zip(labels, objects.regions, objects.parents, strict=True):
        whole = naming.parts.get(label)
        agrees = parent != NONE and labels[parent] == whole
        if not agrees and (parent != NONE or whole is not None):
            notes.append(_orphan(region, label, whole, None if parent == NONE else labels[parent]))
        parents.append(parent if agrees else NONE)
    return parents


def _orphan(region: Region, label: str, whole: str | None, got: str | None) -> Note:
    must = f"{label!r} must be a part of {whole!r}" if whole else f"{label!r} must be no part, for others are none"
    inside = f"got one in {got!r}" if got else "got one in no object"
    return Note("orphan-part", region.place, f"{must}, {inside}; no parent given")


def parts_of(files: Iterable[VocObjects], rename: Mapping[str, str]) -> dict[str, str]:
    """Return which labels are parts of which, by how they are nested: of several objects, the most frequent one.

    An object that is itself a part of another has no parts.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for regions, parents, *_ in files:
        pairs.update(
            (region.label, regions[parent].label)
            for region, parent in zip(regions, parents, strict=True)
            if parent != NONE
        )
    parts: dict[str, str] = {}
    for (part, whole), _ in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
        if rename.get(part, part) != rename.get(whole, whole):
            parts.setdefault(part, whole)
    nested = {rename.get(part, part) for part in parts}
    return {part: whole for part, whole in parts.items() if rename.get(whole, whole) not in nested}
