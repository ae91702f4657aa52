"""Parts whose object the annotation file itself names: which labels are parts of which, and which boxes of which."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from annotations.linking import NONE
from annotations.naming import Naming
from annotations.notes import Note
from annotations.shapes import Region


def parts_of_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return which label is a part of which, from (part's label, object's label) of many boxes.

    The object that most parts of a label have; a label that is an object of more boxes than it is a part is no part.
    """
    counts = Counter(pair for pair in pairs if pair[0] != pair[1])
    parts: dict[str, str] = {}
    for (part, whole), _ in counts.most_common():
        if part not in parts and part not in parts.values() and whole not in parts:
            parts[part] = whole
    return parts


def checked_parents(drawn: Sequence[Region], parents: Sequence[int], naming: Naming, notes: list[Note]) -> list[int]:
    """Return the parents (places in `drawn`, or NONE) that fit the names: of a part's label, an object of its label.

    A parent that does not fit is noted, and NONE.
    """
    labels = [naming.rename.get(region.label, region.label) for region in drawn]
    checked = []
    for region, label, parent in zip(drawn, labels, parents, strict=True):
        if parent != NONE and not fits(label, labels[parent], naming.parts):
            wanted = f"a {naming.parts[label]!r}" if label in naming.parts else "no object"
            message = f"parent of {label!r} must be {wanted}, got a {labels[parent]!r}; no parent given"
            notes.append(Note("orphan-part", region.place, message))
            parent = NONE
        checked.append(parent)
    return checked


def fits(part: str, whole: str, parts: Mapping[str, str]) -> bool:
    """Return whether a box of label `part` can have one of label `whole` as its parent."""
    return parts.get(part) == whole
