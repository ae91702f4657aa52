"""Where the pictures of a source lie: found by path, by name or by image_id, in the folders that belong to it alone."""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from annotations.imagepaths import ImagePlace, SourceFolder
from annotations.notes import Note, shown
from annotations.pictures import SUFFIXES

_DRIVE = re.compile("[A-Za-z]:")


class PictureSearch:
    """Finds pictures below some folders; places are relative to `root`, the real path of the source's folder.

    `own` are the folders of the source, in the order in which they are looked into; `given` is the one that the user
    named for its pictures, and comes first.
    """

    def __init__(self, root: Path, own: Sequence[Path] = (), given: Path | None = None) -> None:
        self.root = root
        self._given = given is not None
        places = ([] if given is None else [given]) + [root, *own]
        real = dict.fromkeys(Path(os.path.realpath(place)) for place in places)
        self._folders = [SourceFolder(place) for place in real if place.is_dir()]
        self._prefixes = [os.path.relpath(folder.root, root).replace(os.sep, "/") for folder in self._folders]

    def named(self, name: str, notes: list[Note]) -> ImagePlace:
        """Return the place of the picture that a form names by a path (`/` or Windows' backslashes).

        Where no such path is, a picture of the same name elsewhere in the folders is taken, and noted. Nothing outside
        of them is opened or followed.
        """
        slashed = name.replace("\\", "/")
        path = posixpath.normpath(slashed)
        inside = not (slashed.startswith("/") or _DRIVE.match(slashed) or path == ".." or path.startswith("../"))
        if inside:
            for number, folder in enumerate(self._folders):
                if folder.has_file(path):
                    return self._place(number, path)
        parts = [part for part in path.split("/") if part not in ("", "..")]
        found = _longest_tails(self._by_name.get(parts[-1], []) if parts else [], parts)
        if len(found) == 1:
            place = self._place(*found[0])
            if not (self._given and found[0][0] == 0):
                notes.append(Note("found-beside", "", f"picture {shown(name)} is not there; {place.path} taken"))
            return place
        notes.append(self._lost(name, inside, found))
        return ImagePlace(path if inside else posixpath.basename(path), False)

    def of_image(self, image_id: str, notes: list[Note]) -> ImagePlace:
        """Return the place of the picture whose name, or whose path, without suffix is `image_id`."""
        parts = [part for part in image_id.split("/") if part not in ("", ".", "..")]
        found = _longest_tails(self._by_stem.get(parts[-1], []) if parts else [], parts, stems=True)
        if len(found) == 1:
            return self._place(*found[0])
        got = " and ".join(self._place(*place).path for place in found[:2]) or "no such file"
        message = f"picture must be the one named {shown(image_id)} in the source's folder or that of its pictures"
        notes.append(Note("missing-image", "", f"{message}, got {got}"))
        return ImagePlace("/".join(parts) or "picture", False)

    def _place(self, number: int, path: str) -> ImagePlace:
        return ImagePlace(posixpath.normpath(posixpath.join(self._prefixes[number], path)), True)

    def _lost(self, name: str, inside: bool, found: Sequence[tuple[int, str]]) -> Note:
        if found:
            both = " and ".join(self._place(*place).path for place in found[:2])
            return Note("missing-image", "", f"picture {shown(name)} must be one, got {both}; none taken")
        if not inside:
            message = f"picture {shown(name)} leaves the source folder and was not followed"
            return Note("outside-root", "", f"{message}; --images names the folder of the pictures")
        return Note("missing-image", "", f"picture must be at {shown(name)}, got no such file")

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[int, str]]]:
        places: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, path in self._pictures():
            places[posixpath.basename(path)].append((number, path))
        return places

    @cached_property
    def _by_stem(self) -> dict[str, list[tuple[int, str]]]:
        places: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for name, found in self._by_name.items():
            places[PurePosixPath(name).stem] += found
        return places

    def _pictures(self) -> Iterator[tuple[int, str]]:
        """Yield the pictures below all folders, each once: a folder may lie in another."""
        seen: set[str] = set()
        for number, folder in enumerate(self._folders):
            for here, folders, names in os.walk(folder.root):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(names):
                    full = f"{here}{os.sep}{name}"
                    path = os.path.relpath(full, folder.root).replace(os.sep, "/")
                    if posixpath.splitext(name)[1].lower() in SUFFIXES and full not in seen and folder.has_file(path):
                        seen.add(full)
                        yield number, path


class PicturesApart:
    """Finds pictures in the folder that the user named for them, for a form that says where they should lie.

    `root` is the real path of the source's folder: places are relative to it.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        real = Path(os.path.realpath(folder))
        self._search = PictureSearch(real)
        self._ahead = os.path.relpath(real, root).replace(os.sep, "/")

    def named(self, name: str, notes: list[Note]) -> ImagePlace | None:
        """Return the place of the picture whose path ends as `name` does, on whatever machine that was written.

        Without a `/`, `name` may lack the suffix. Where there is no such picture, or several, None is returned and why
        is noted.
        """
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        tail = "/".join(part for part in parts if not _DRIVE.fullmatch(part))
        told: list[Note] = []
        place = self._search.named(tail, told)
        if not place.found and "/" not in name:
            place = self._search.of_image(tail, [])
        if place.found:
            return ImagePlace(posixpath.normpath(posixpath.join(self._ahead, place.path)), True)
        notes += told
        return None


def _longest_tails(
    places: Sequence[tuple[int, str]], parts: Sequence[str], *, stems: bool = False
) -> list[tuple[int, str]]:
    """Return the places whose paths share the most parts with the end of `parts`; all that share equally many."""
    shared = [_shared(posixpath.splitext(path)[0] if stems else path, parts) for _, path in places]
    return [place for place, count in zip(places, shared, strict=True) if count == max(shared)]


def _shared(path: str, parts: Sequence[str]) -> int:
    count = 0
    for have, want in zip(reversed(path.split("/")), reversed(parts), strict=False):
        if have != want:
            break
        count += 1
    return count
