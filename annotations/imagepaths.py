"""From an annotation file's `imagePath` to a file inside the source folder; nothing outside is opened or followed."""

import os
import posixpath
import re
import stat
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from annotations.notes import FileRefused, Note, is_plain, shown
from annotations.pictures import SUFFIXES

_LONGEST_PATH = 1000
_DRIVE = re.compile("[A-Za-z]:")
_NO_NAMES = frozenset({"", ".", ".."})
_ANY_NAME = "name"


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Where an image is: its path relative to the source folder, with `/`, and whether a file is there."""

    path: str
    found: bool


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """A folder of annotation files and images; `root` is its real path. It remembers where its folders really are.

    `ordinary` are the paths (relative, with `/`) that `sources.find_files` knows to be ordinary files.
    """

    root: Path
    ordinary: Set[str] = field(default_factory=frozenset, repr=False)
    _real: dict[str, str] = field(default_factory=dict, repr=False)
    _ahead: dict[tuple[str, str], str | None] = field(default_factory=dict, repr=False)

    def plain_path(self, source: str, image_path: str) -> str | None:
        """Return the path inside the root that `imagePath` in the annotation file `source` (relative) names.

        None where it leaves the root, or is not simple enough to be sure of; then `image` says more. The name itself
        is not looked at: it may hold what no file's name can.
        """
        slashed = image_path.replace("\\", "/")
        cut = slashed.rfind("/") + 1
        key = source[: source.rfind("/") + 1], slashed[:cut]
        name = slashed[cut:]
        if name in _NO_NAMES or ":" in slashed or len(slashed) > _LONGEST_PATH:
            return None
        if key not in self._ahead:
            # Worked out once for all files of a folder: with a name in the place of theirs.
            path = _inside(key[0], f"{key[1]}{_ANY_NAME}") if is_plain(key[1], _LONGEST_PATH) else None
            self._ahead[key] = None if path is None else path.removesuffix(_ANY_NAME)
        ahead = self._ahead[key]
        return None if ahead is None else ahead + name

    def image(self, source: str, image_path: object, notes: list[Note]) -> ImagePlace:
        """Return the place of the image that the annotation file `source` (relative, with `/`) names.

        A path that leaves the folder is not followed; a file of the same name beside the annotation file is taken
        instead. Both are noted.

        Raises:
            FileRefused: `imagePath` is no text that can be a path.
        """
        folder, name = posixpath.split(source)
        if image_path is None or image_path == "":
            return self._of_same_stem(folder, name[: -len(".json")], notes)
        text = _checked(image_path)
        path = _inside(folder, text)
        if path is not None and self.has_file(path):
            return ImagePlace(path, True)
        return self._beside(folder, name, text, path, notes)

    def unchecked_image(self, source: str, image_path: object, notes: list[Note]) -> ImagePlace:
        """Return the place of the image that `source` names, without a look whether it is there.

        A path that leaves the folder is noted, and its name beside the annotation file taken. Only the image of a file
        that names none is looked for.

        Raises:
            FileRefused: `imagePath` is no text that can be a path.
        """
        if image_path is None or image_path == "":
            return self.image(source, image_path, notes)
        folder, name = posixpath.split(source)
        text = _checked(image_path)
        path = _inside(folder, text)
        if path is None:
            notes.append(Note("outside-root", "", self._outside_message(folder, text)))
            path = posixpath.join(folder, _base_name(text, name))
        return ImagePlace(path, False)

    def has_file(self, path: str) -> bool:
        """Return whether an ordinary file is at `path` (relative, with `/`) and, links followed, inside the folder."""
        # Texts, not Path objects: a conversion asks this twice for each of its files.
        folder, _, name = path.rpartition("/")
        parent = self._real_parent(folder)
        full = f"{parent}{os.sep}{name}"
        try:
            status = os.lstat(full)
            if stat.S_ISLNK(status.st_mode):
                return self._holds(os.path.realpath(full)) and stat.S_ISREG(os.stat(full).st_mode)  # noqa: PTH116
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and self._holds(parent)

    def _holds(self, real: str) -> bool:
        root = str(self.root)
        return real == root or real.startswith(root.rstrip(os.sep) + os.sep)

    def _real_parent(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = os.path.realpath(self.root / folder)
        return self._real[folder]

    def _of_same_stem(self, folder: str, stem: str, notes: list[Note]) -> ImagePlace:
        for suffix in sorted({*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES)}):
            path = posixpath.join(folder, stem + suffix)
            if self.has_file(path):
                notes.append(Note("found-beside", "", f"imagePath must name the image, got none; {path} taken"))
                return ImagePlace(path, True)
        notes.append(Note("missing-image", "", "imagePath must name the image, got none"))
        return ImagePlace(posixpath.join(folder, stem), False)

    def _beside(self, folder: str, name: str, image_path: str, path: str | None, notes: list[Note]) -> ImagePlace:
        beside = posixpath.join(folder, _base_name(image_path, name))
        if self.has_file(beside):
            message = f"imagePath {shown(image_path)} leads to no file in the source folder; {beside} taken"
            notes.append(Note("found-beside", "", message))
            return ImagePlace(beside, True)
        if path is None:
            notes.append(Note("outside-root", "", self._outside_message(folder, image_path)))
        elif self._is_link_outside(path):
            notes.append(Note("outside-root", "", f"{path} is a link out of the source folder and was not followed"))
        else:
            notes.append(Note("missing-image", "", f"image must be at {path}, got no such file"))
        return ImagePlace(beside if path is None else path, False)

    def _is_link_outside(self, path: str) -> bool:
        full = self.root / path
        return os.path.lexists(full) and not self._holds(os.path.realpath(full))

    def _outside_message(self, folder: str, image_path: str) -> str:
        message = f"imagePath {shown(image_path)} leaves the source folder and was not followed"
        if image_path.startswith("/") or _DRIVE.match(image_path):
            return f"{message}; put the image beside its annotation file, or name its folder with --images"
        target = os.path.normpath(self.root / folder / image_path.replace("\\", "/"))
        both = os.path.commonpath([self.root, target])
        hint = f"give {both} as the source, which holds both, or " if Path(both) != Path(both).parent else ""
        return f"{message}; {hint}name its folder with --images"


def _checked(image_path: object) -> str:
    if not isinstance(image_path, str):
        raise FileRefused("bad-file", f"imagePath must be a text, got {shown(image_path)}")
    if not is_plain(image_path, _LONGEST_PATH):
        raise FileRefused("bad-name", f"imagePath must be a path, got {shown(image_path)}")
    return image_path


def _inside(folder: str, image_path: str) -> str | None:
    """Return the path inside the root that `imagePath` in a file of `folder` names, or None where it names none."""
    # Labelme on Windows writes backslashes.
    slashed = image_path.replace("\\", "/")
    path = posixpath.normpath(posixpath.join(folder, slashed))
    if slashed.startswith("/") or _DRIVE.match(slashed) or path in (".", "..") or path.startswith("../"):
        return None
    return path


def _base_name(image_path: str, source_name: str) -> str:
    base = posixpath.basename(image_path.replace("\\", "/"))
    return source_name[: -len(".json")] if base in _NO_NAMES else base
