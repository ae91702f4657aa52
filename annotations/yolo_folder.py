"""What a YOLO folder says of itself: its classes, and its pictures with the split of each."""

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from annotations.files_below import files_below, suffix_of
from annotations.findings import Finding
from annotations.imagepaths import SourceFolder
from annotations.labelme import SPLIT_OF_FLAG
from annotations.notes import FileRefused, is_plain, shown
from annotations.pictures import SUFFIXES
from annotations.plain_files import read_utf8
from annotations.tables import SPLITS
from annotations.yaml_subset import Yaml
from annotations.yolo_settings import keypoints_of, names_of, names_of_list, read_settings, settings_file

LARGEST_LIST = 64 * 2**20
"""Bytes; a list of a million pictures has about 60 MB."""

UNSPLIT = "unsplit"
"""Our own key of data.yaml: folders whose pictures have no split, though YOLO asks for a `train` that names them."""

_SPLIT_KEYS = ("train", "val", "valid", "validation", "test")
_LONGEST_PATH = 1000
_DRIVE = re.compile("[A-Za-z]:")


@dataclass(slots=True)
class YoloFolder:
    """A YOLO folder: where it is, its class names, and each picture's path with its splits, in order of the paths.

    `keys` gives each picture's path below the folder of its split, without suffix. `keypoints` is how many numbers
    follow each box.
    """

    files: SourceFolder
    pictures_folder: Path | None
    names: tuple[str, ...] = ()
    keypoints: int = 0
    splits: dict[str, set[str]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def has_file(self, path: str) -> bool:
        """Return whether an ordinary file is at `path`, inside the folder or, by a link, in that of the pictures."""
        if self.files.has_file(path):
            return True
        if self.pictures_folder is None:
            return False
        real = Path(os.path.realpath(self.files.root / path))
        return real.is_relative_to(self.pictures_folder) and _is(real, Path.is_file)

    def add(self, path: str, split: str, base: str) -> None:
        """Take a picture into a split; `base` is the folder that names the split."""
        self.splits.setdefault(path, set()).update({split} - {""})
        below = posixpath.relpath(path, base) if base and path.startswith(base + "/") else path
        self.keys.setdefault(path, posixpath.splitext(below)[0])


def label_path(picture: str) -> str:
    """Return the path of a picture's label file: the last folder `images` becomes `labels`, and the suffix `.txt`.

    Source: Ultralytics' loader; a picture that lies in no folder `images` has its label file beside it.
    """
    head, found, tail = f"/{picture}".rpartition("/images/")
    return posixpath.splitext(f"{head}/labels/{tail}" if found else f"/{picture}")[0][1:] + ".txt"


def read_yolo_folder(source: Path, pictures: Path | None, findings: list[Finding]) -> YoloFolder:
    """Return what a YOLO folder, or its data.yaml, lists; `pictures` may hold what its links lead to.

    Raises:
        AnnotationError: there are no class names, or what names the pictures cannot be understood.
    """
    settings = settings_file(source)
    root = Path(os.path.realpath(source if source.is_dir() else source.parent))
    folder = YoloFolder(SourceFolder(root), None if pictures is None else Path(os.path.realpath(pictures)))
    if settings is None:
        folder.names = names_of_list(source, folder.files)
        _add_all(folder, findings)
    else:
        said = read_settings(settings)
        folder.names, folder.keypoints = names_of(said, settings), keypoints_of(said, settings)
        _Listing(folder, settings.name, findings).add_splits(said)
    return folder


def split_of_path(path: str) -> tuple[str, str]:
    """Return the split that a path's folders name (`images/train`, `train/images` and the like), and the folder of it.

    Without such a folder, both are "".
    """
    parts = path.split("/")[:-1]
    place = next((place for place, part in enumerate(parts) if part in SPLIT_OF_FLAG), None)
    if place is None:
        return "", ""
    last = place + 1 if parts[place + 1 : place + 2] in (["images"], ["labels"]) else place
    return SPLIT_OF_FLAG[parts[place]], "/".join(parts[: last + 1])


def _add_all(folder: YoloFolder, findings: list[Finding]) -> None:
    for path in files_below(folder.files.root, "", SUFFIXES, findings):
        folder.add(path, *split_of_path(path))


@dataclass(slots=True)
class _Listing:
    """Takes what data.yaml names into a folder; `name` is its own, for the findings."""

    folder: YoloFolder
    name: str
    findings: list[Finding]

    def add_splits(self, said: Mapping[str, Yaml]) -> None:
        base = self._base(said.get("path", ""))
        unsplit = self._places_of(said, UNSPLIT)
        for key in _SPLIT_KEYS:
            for place in self._places_of(said, key):
                if place not in unsplit:
                    self._add(key, SPLIT_OF_FLAG[key], base, place)
        for place in unsplit:
            self._add(UNSPLIT, "", base, place)

    def _places_of(self, said: Mapping[str, Yaml], key: str) -> list[str]:
        entry = said.get(key, "")
        places = [place for place in (entry if isinstance(entry, list) else [entry]) if place not in ("", "~", "null")]
        for place in places:
            if not isinstance(place, str):
                self._note("missing-image", f"{key} must be a folder, a list of them or a .txt, got {shown(place)}")
        return [place for place in places if isinstance(place, str)]

    def _add(self, key: str, split: str, base: str, place: str) -> None:
        path = self._inside(base, place)
        full = self.folder.files.root / path if path is not None else None
        if path is None:
            self._note("outside-root", f"{key}: {shown(place)} leaves the source folder and was not followed")
        elif full is not None and _is(full, Path.is_dir):
            self._add_folder(path, split)
        elif suffix_of(path) == ".txt" and self.folder.files.has_file(path):
            self._add_list(path, split, base)
        elif suffix_of(path) in SUFFIXES and self.folder.has_file(path):
            self.folder.add(path, split, posixpath.dirname(path))
        else:
            self._note("missing-image", f"{key} must be a folder of pictures or a list of them, got no {path}")

    def _add_folder(self, path: str, split: str) -> None:
        real = Path(os.path.realpath(self.folder.files.root / path))
        inside = [self.folder.files.root, self.folder.pictures_folder]
        if not any(place is not None and real.is_relative_to(place) for place in inside):
            message = "link to a folder outside the source folder; name that folder with --images"
            self.findings.append(Finding("unfollowed-link", path, "", "", message))
            return
        below = "" if path == "." else path
        # What is reached through the pictures' own folder lies, by its name, in this one.
        for picture in files_below(self.folder.files.root, below, SUFFIXES, self.findings):
            self.folder.add(picture, split, below)

    def _add_list(self, path: str, split: str, base: str) -> None:
        try:
            lines = read_utf8(self.folder.files.root / path, LARGEST_LIST).splitlines()
        except FileRefused as error:
            self.findings.append(Finding(error.note.code, path, "", "", error.note.message))
            return
        lost = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            picture = next(
                (place for place in self._places(line.strip(), path, base) if self.folder.has_file(place)), ""
            )
            if picture:
                self.folder.add(picture, split, _images_folder(picture))
            else:
                lost.append(number)
        if lost:
            message = f"{len(lost)} of {len(lines)} lines must name pictures in the source folder"
            got = shown(lines[lost[0] - 1].strip())
            self.findings.append(Finding("missing-image", path, f"line {lost[0]}", "", f"{message}, got {got} first"))

    def _places(self, line: str, path: str, base: str) -> Iterator[str]:
        """Yield the places that a list's line may mean: by the list, by `path`, and where the folder was moved to."""
        for start in (posixpath.dirname(path), base):
            place = self._inside(start, line)
            if place is not None:
                yield place
        head, found, tail = line.replace("\\", "/").rpartition("/images/")
        if head and found:
            place = self._inside(base, f"images/{tail}")
            if place is not None:
                yield place

    def _base(self, path: Yaml) -> str:
        """Return the folder that all others are relative to: the file's own, unless `path` is one inside it."""
        if not isinstance(path, str) or path in ("", "~", "null", "."):
            return ""
        place = self._inside("", path)
        if place is None:
            self._note(
                "outside-root", f"path: {shown(path)} leaves the source folder and was not followed; its own taken"
            )
        elif _is(self.folder.files.root / place, Path.is_dir):
            return "" if place == "." else place
        # A path that is not there is where the folder was on another machine, or a name under Ultralytics' own folder.
        return ""

    def _inside(self, base: str, place: str) -> str | None:
        """Return a path relative to the root for one that a file gives, or None where it leaves the root."""
        slashed = place.replace("\\", "/")
        root = self.folder.files.root.as_posix()
        if slashed == root or slashed.startswith(root.rstrip("/") + "/"):
            return posixpath.relpath(slashed, root)
        if slashed.startswith("/") or _DRIVE.match(slashed):
            return None
        path = posixpath.normpath(posixpath.join(base, slashed))
        if path.startswith("../") and _is(self.folder.files.root / path[3:], Path.exists):
            # Source: Ultralytics' check_det_dataset leaves out one "../" where nothing is there; Roboflow writes it.
            path = path[3:]
        return None if path == ".." or path.startswith("../") or not is_plain(path, _LONGEST_PATH) else path

    def _note(self, code: str, message: str) -> None:
        self.findings.append(Finding(code, self.name, "", "", message))


def _is(path: Path, what: Callable[[Path], bool]) -> bool:
    try:
        return what(path)
    except OSError:  # a name that is too long for one
        return False


def _images_folder(picture: str) -> str:
    """Return the folder `images` that a picture lies in, with the folder of a split right below it; "" without one."""
    head, found, tail = f"/{picture}".rpartition("/images/")
    if not found:
        return ""
    first = tail.split("/")[0] if "/" in tail else ""
    named = first if first in SPLIT_OF_FLAG or first.startswith(SPLITS) else ""
    return posixpath.join(f"{head}/images"[1:], named).rstrip("/")
