"""What a user says about labels: which are parts of which, which are wanted, which are to be renamed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from annotations.errors import UsageError
from annotations.findings import Finding


@dataclass(frozen=True, slots=True)
class Naming:
    """Names for labels: `parts` maps a part's label to its object's, `classes` is the wanted list or None for all.

    `rename` maps an old label to a new one; it comes first, and the others use the new names. `listed` are the labels
    that the source itself lists, by their old names: they are classes even where no box has them.

    Raises:
        UsageError: the names contradict each other.
    """

    parts: Mapping[str, str]
    classes: tuple[str, ...] | None
    rename: Mapping[str, str]
    listed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, whole in self.parts.items():
            if not part or not whole:
                raise UsageError(f"parts: {part}:{whole}: part and object must be labels, got an empty one")
            if whole == part:
                raise UsageError(f"parts: {part}:{whole}: part must belong to another label, got itself")
            if whole in self.parts:
                got = f"{whole}:{self.parts[whole]}"
                raise UsageError(f"parts: {part}:{whole}: object must be no part itself, got {got} too")
        if not all((*self.rename, *self.rename.values())):
            raise UsageError("rename: labels must not be empty, got an empty one")
        if self.classes is not None:
            self._check_classes(self.classes)

    def _check_classes(self, classes: Sequence[str]) -> None:
        if not classes or not all(classes) or len(set(classes)) != len(classes):
            raise UsageError(f"classes: classes must be different labels, got {', '.join(classes) or 'none'}")
        missing = sorted({*self.parts, *self.parts.values()} - set(classes))
        if missing:
            raise UsageError(f"classes: classes must include all of parts, got none of {', '.join(missing)}")

    def with_source(self, listed: Sequence[str] = (), parts: Mapping[str, str] | None = None) -> Self:
        """Return these names with what the source itself says: the labels that it lists, and its parts.

        The source's names are old ones, as they stand in it. Parts that the user gave win over all of the source's.
        """
        if self.parts or not parts:
            return replace(self, listed=tuple(listed))
        new = {self._new(part): self._new(whole) for part, whole in parts.items()}
        wanted = {
            part: whole for part, whole in new.items() if self.classes is None or {part, whole} <= {*self.classes}
        }
        return replace(self, listed=tuple(listed), parts=wanted)

    def classes_of(self, seen: set[str]) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the classes and the parts of data with these labels.

        Labels that the source lists come first, in its order; then objects, then parts, each in alphabetical order; a
        list by the user stands alone. Parts that nobody drew are left out; an object that only its parts speak of is a
        class.
        """
        if self.classes is not None:
            return self.classes, dict(self.parts)
        listed = tuple(dict.fromkeys(map(self._new, self.listed)))
        known = seen | set(listed)
        parts = {part: whole for part, whole in sorted(self.parts.items()) if part in known}
        objects = sorted((known - set(parts)) | set(parts.values()))
        return tuple(dict.fromkeys((*listed, *objects, *parts))), parts

    def unused(self, seen: set[str], renamed: set[str]) -> list[Finding]:
        """Return a finding for each name that is no label of the data: a wrong name here is a typing error.

        Data without any label give none: their own findings say why.
        """
        seen = seen | set(map(self._new, self.listed))
        renamed = renamed | set(self.listed)
        if not seen:
            return []
        named = [("part", name) for name in self.parts if name not in seen]
        named += [("object of parts", name) for name in dict.fromkeys(self.parts.values()) if name not in seen]
        named += [("class", name) for name in self.classes or () if name not in seen and ("part", name) not in named]
        named += [("label to rename", name) for name in self.rename if name not in renamed]
        labels = ", ".join(sorted(seen)[:20])
        return [
            Finding("unused-name", "", "", "", f"{kind} {name!r} must be a label of the data, got {labels}")
            for kind, name in named
        ]

    def _new(self, label: str) -> str:
        return self.rename.get(label, label)
