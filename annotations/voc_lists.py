"""The lists of a Pascal VOC folder that name the images of a split: `ImageSets/Main/train.txt` and its like."""

import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from annotations.files_below import files_below
from annotations.findings import Finding
from annotations.imagepaths import SourceFolder
from annotations.labelme import SPLIT_OF_FLAG
from annotations.notes import FileRefused, shown
from annotations.plain_files import read_utf8

LARGEST_LIST = 64 * 2**20
"""Bytes; a list of a million images has about 12 MB."""

_FOLDER = "ImageSets/Main"
_ANNOTATIONS = "annotations"


class VocName(NamedTuple):
    """An annotation file: its folder that holds Annotations ("" is the root), and its path in there without suffix."""

    base: str
    key: str


def voc_name(path: str) -> VocName:
    """Return what the path of an annotation file (relative, with `/`) says; without Annotations, the base is ""."""
    *folders, _ = path.split("/")
    place = next((place for place, part in enumerate(folders) if part.lower() == _ANNOTATIONS), None)
    stem = posixpath.splitext(path)[0]
    if place is None:
        return VocName("", stem)
    return VocName("/".join(folders[:place]), "/".join(stem.split("/")[place + 1 :]))


def splits_of_lists(
    folder: SourceFolder, names: Sequence[VocName], findings: list[Finding]
) -> list[frozenset[str]] | None:
    """Return the splits that lists give each annotation file, or None where there is no list of a split.

    A line that names no annotation file is a finding.
    """
    lists = _lists(folder.root)
    if not lists:
        return None
    known = {name: row for row, name in enumerate(names)}
    given: list[set[str]] = [set() for _ in names]
    for path, base, split in lists:
        for row in _rows_of(folder, path, base, known, findings):
            given[row].add(split)
    return [frozenset(splits) for splits in given]


def _lists(root: Path) -> list[tuple[str, str, str]]:
    """Return each list of a split: its path, the folder that it speaks of, and the split."""
    found = []
    for path in files_below(root, "", {".txt"}, []):
        head, name = posixpath.split(path)
        split = SPLIT_OF_FLAG.get(name[: -len(".txt")])
        if split and (head == _FOLDER or head.endswith("/" + _FOLDER)):
            found.append((path, head[: -len(_FOLDER)].rstrip("/"), split))
    return found


def _rows_of(
    folder: SourceFolder, path: str, base: str, known: dict[VocName, int], findings: list[Finding]
) -> list[int]:
    try:
        if not folder.has_file(path):
            raise FileRefused("unreadable-file", "file must be an ordinary file inside the source folder, got another")
        lines = read_utf8(folder.root / path, LARGEST_LIST).split("\n")
    except FileRefused as error:
        findings.append(Finding(error.note.code, path, "", "", error.note.message))
        return []
    rows, lost = [], []
    for number, line in enumerate(lines, start=1):
        name = line.strip("\r\n\ufeff")
        row = known.get(VocName(base, name), known.get(VocName(base, name.strip())))
        if row is not None:
            rows.append(row)
        elif name.strip():
            lost.append((number, name.strip()))
    if lost:
        number, name = lost[0]
        message = f"{len(lost)} lines must name annotation files, got {shown(name)} first; left out"
        findings.append(Finding("unknown-image", path, f"line {number}", "", message))
    return rows
