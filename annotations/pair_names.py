"""Which picture belongs to which label image, by the names of files and folders."""

import os
import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from annotations.files_below import files_below, suffix_of
from annotations.findings import Finding
from annotations.imagepaths import SourceFolder
from annotations.label_files import SUFFIXES as LABEL_SUFFIXES
from annotations.labelme import SPLIT_OF_FLAG
from annotations.picture_search import PictureSearch
from annotations.pictures import SUFFIXES

PICTURE_FOLDERS = frozenset({"images", "image"})
LABEL_FOLDERS = frozenset({"labels", "label", "masks", "mask"})
LABEL_ENDINGS = ("_label", "_labels", "_mask", "_masks")


class Pair(NamedTuple):
    """A picture and its label image, relative to the source folder, with `/`.

    `key` is what both are called, without suffix and without the folders images and labels; `splits` are the splits
    that folders on the way are named after. `is_apart` tells that the picture lies outside the source folder.
    """

    picture: str
    label: str
    key: str
    splits: frozenset[str]
    is_apart: bool = False


class _Role(NamedTuple):
    """What a path says of its file: what it is called, and whether it is a label image (None: it does not say)."""

    key: str
    is_label: bool | None


def find_pairs(folder: SourceFolder, pictures: Path | None, findings: list[Finding]) -> list[Pair]:
    """Return the pairs below a folder, in order of their pictures; files without a partner are findings.

    A label image lies below `labels` or `masks` where its picture lies below `images` beside that, under the same name
    and folders (train/images/a.jpg and train/masks/a.png, or images/train/a.jpg and labels/train/a_mask.png); or in one
    folder with its picture, with an ending (a.png and a_mask.png). `pictures` is a folder where the pictures of label
    images without one are looked for.
    """
    apart = None if pictures is None else _Apart(folder.root, pictures)
    paths = files_below(folder.root, "", SUFFIXES, findings)
    if apart is not None:
        paths = [path for path in paths if not apart.holds(path)]
    photographs, labels = _sorted_out(paths, apart is not None)
    pairs: list[Pair] = []
    for key in sorted({*photographs, *labels}):
        found, drawn = photographs.get(key, []), labels.get(key, [])
        far = apart.named(key) if apart is not None and not found else ""
        if far:
            found = [far]
        if len(found) == 1 and len(drawn) == 1:
            splits = frozenset({*_splits_of(found[0]), *_splits_of(drawn[0])})
            pairs.append(Pair(found[0], drawn[0], key, splits, is_apart=bool(far)))
        else:
            findings += _unpaired(found, drawn)
    return sorted(pairs)


class _Apart:
    """The folder of pictures that the user named; its paths are given relative to the source's `root`."""

    def __init__(self, root: Path, pictures: Path) -> None:
        place = Path(os.path.realpath(pictures))
        self._prefix = os.path.relpath(place, root).replace(os.sep, "/")
        self._search = PictureSearch(place)

    def holds(self, path: str) -> bool:
        """Return whether a path of the source lies in this folder."""
        return path.startswith(f"{self._prefix}/")

    def named(self, key: str) -> str:
        """Return the path of the picture of this name, or ""."""
        place = self._search.of_image(key, [])
        return posixpath.normpath(posixpath.join(self._prefix, place.path)) if place.found else ""


def _sorted_out(paths: Sequence[str], are_labels: bool) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the pictures and the label images, by what they are called; `are_labels` decides where no name does."""
    roles = {path: _role(path) for path in paths}
    known = {role.key for role in roles.values() if not role.is_label}
    photographs: defaultdict[str, list[str]] = defaultdict(list)
    labels: defaultdict[str, list[str]] = defaultdict(list)
    for path, role in roles.items():
        if not _is_label(path, role, known, are_labels):
            photographs[role.key].append(path)
        elif role.is_label and role.key in known:
            labels[role.key].append(path)
        else:
            labels[_without_ending(role.key)].append(path)
    return photographs, labels


def _is_label(path: str, role: _Role, known: Collection[str], are_labels: bool) -> bool:
    if role.is_label or suffix_of(path) not in LABEL_SUFFIXES:
        return bool(role.is_label)
    bare = _without_ending(role.key)
    return (bare != role.key and bare in known) or (are_labels and role.is_label is None)


def _role(path: str) -> _Role:
    parts = posixpath.splitext(path)[0].split("/")
    for place in reversed(range(len(parts) - 1)):
        name = parts[place].casefold()
        if name in PICTURE_FOLDERS or name in LABEL_FOLDERS:
            return _Role("/".join(parts[:place] + parts[place + 1 :]), name in LABEL_FOLDERS)
    return _Role("/".join(parts), None)


def _without_ending(key: str) -> str:
    ending = next((ending for ending in LABEL_ENDINGS if key.casefold().endswith(ending)), "")
    bare = key[: len(key) - len(ending)]
    return bare if posixpath.basename(bare) else key


def _splits_of(path: str) -> set[str]:
    return {SPLIT_OF_FLAG[name] for name in path.casefold().split("/")[:-1] if name in SPLIT_OF_FLAG}


def _unpaired(pictures: Sequence[str], labels: Sequence[str]) -> Iterator[Finding]:
    if not labels:
        for path in pictures:
            yield Finding("unpaired", path, "", "", "picture must have a label image, got none; left out")
        return
    got = " and ".join(pictures) or "none"
    if len(labels) > 1:
        got = f"{' and '.join(labels)} for {got}"
    for path in labels:
        yield Finding("unpaired", path, "", "", f"label image must be the only one of one picture, got {got}; left out")
