"""The annotation files under a folder: found without following links out of it, and each with an image_id."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from annotations.findings import Finding
from annotations.notes import is_plain

SUFFIX = ".json"
WRITTEN = "ppnlab-findings.csv"
"""Lies in what a conversion writes, in another form than a box dataset: its findings."""
_LONGEST_PATH = 4096


class FoundFiles(NamedTuple):
    """What lies below a folder: its annotation files in order, and all its ordinary files, which no link is.

    Paths are relative, with `/`.
    """

    annotations: list[str]
    ordinary: frozenset[str]


def find_files(root: Path, findings: list[Finding]) -> FoundFiles:
    """Return the `*.json` files (any letter case) below `root`, and all ordinary files of the folders looked into.

    Hidden folders, and the `._*` files that macOS leaves, are left out. Links to folders are not followed: what
    lies inside `root` is found anyhow, and a link that leaves it is a finding, as is what cannot be read.
    """
    found: list[str] = []
    ordinary: list[str] = []
    for prefix, files, others in _folders(root, findings):
        if prefix and WRITTEN in files:
            findings.append(_own_output(prefix[:-1]))
        ordinary += [prefix + name for name in files]
        # A box dataset that lies in its source has a JSON file of its own.
        own = "dataset.json" if all(name in files for name in ("dataset.json", "images.csv", "boxes.csv")) else None
        found += [prefix + name for name in _annotations(files) if name != own]
        found += [prefix + name for name in _annotations(others)]
    named = _plainly_named(found, findings)
    return FoundFiles(sorted(named), frozenset(ordinary))


def _folders(root: Path, findings: list[Finding]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield for each folder below `root`, it first, what stands before its files' names, its files, its other entries.

    Folders are no entries; a link to a file is another entry.
    """
    ahead = [""]
    while ahead:
        folder = ahead.pop()
        try:
            with os.scandir(root / folder) as scan:
                entries = list(scan)
        except OSError as error:
            message = f"folder must be readable, got {error.strerror}"
            findings.append(Finding("unreadable-file", _printable(folder or "."), "", "", message))
            continue
        prefix = f"{folder}/" if folder else ""
        files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        all_files = len(files) == len(entries)
        others = [] if all_files else [entry for entry in entries if not entry.is_file(follow_symlinks=False)]
        yield prefix, files, [entry.name for entry in others if not _is_folder(entry)]
        inner = [entry for entry in others if _is_folder(entry) and not entry.name.startswith(".")]
        inner.sort(key=lambda entry: entry.name)
        findings += [_unfollowed(prefix + entry.name) for entry in inner if _leads_out(entry, root)]
        ahead += [prefix + entry.name for entry in reversed(inner) if not entry.is_symlink()]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _leads_out(entry: os.DirEntry[str], root: Path) -> bool:
    return entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root)


def _unfollowed(path: str) -> Finding:
    message = "link to a folder outside the source folder; give that folder as a source of its own"
    return Finding("unfollowed-link", _printable(path), "", "", message)


def _own_output(path: str) -> Finding:
    message = "folder was written by a conversion and is read with the rest: its images may be here twice"
    return Finding("own-output", _printable(path), "", "", message)


def _annotations(names: Iterable[str]) -> list[str]:
    suffixed = [name for name in names if name[-len(SUFFIX) :].lower() == SUFFIX]
    return [name for name in suffixed if name[:2] != "._" and len(name) > len(SUFFIX)]


def _plainly_named(paths: list[str], findings: list[Finding]) -> list[str]:
    if is_plain("".join(paths), sys.maxsize) and max(map(len, paths), default=0) <= _LONGEST_PATH:
        return paths
    for path in paths:
        if not is_plain(path, _LONGEST_PATH):
            findings.append(Finding("bad-name", _printable(path), "", "", "file's name must be UTF-8 text; rename it"))
    return [path for path in paths if is_plain(path, _LONGEST_PATH)]


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def image_ids(sources: Sequence[str]) -> list[str]:
    """Return a unique image_id for each annotation file: its stem, or its path where others have the same stem.

    The path is without its suffix, unless that would clash as well (`a.json` beside `a.JSON`).
    """
    stems = [source.rpartition("/")[2][: -len(SUFFIX)] for source in sources]
    if len(set(stems)) == len(stems):
        return stems
    paths = [source[: -len(SUFFIX)] for source in sources]
    stem_count, path_count = Counter(stems), Counter(paths)
    ids = []
    for source, path, stem in zip(sources, paths, stems, strict=True):
        if stem_count[stem] == 1:
            ids.append(stem)
        else:
            ids.append(path if path_count[path] == 1 else source)
    return ids if len(set(ids)) == len(ids) else list(sources)
