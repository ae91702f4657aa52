"""The annotation files under a folder: found without following links out of it, and each with an image_id."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from annotations.findings import Finding
from annotations.notes import is_plain

SUFFIX = ".json"
_LONGEST_PATH = 4096


class FoundFiles(NamedTuple):
    """What lies below a folder: its annotation files in order, and the names of its ordinary files by folder.

    Paths are relative, with `/`, and the folder itself is "". A link is no ordinary file.
    """

    annotations: list[str]
    ordinary: Mapping[str, frozenset[str]]


def find_files(root: Path, findings: list[Finding]) -> FoundFiles:
    """Return the `*.json` files (any letter case) below `root`, and all ordinary files of the folders looked into.

    Hidden folders, and the `._*` files that macOS leaves, are left out. Links to folders are not followed: what
    lies inside `root` is found anyhow, and a link that leaves it is a finding, as is what cannot be read.
    """
    found: list[str] = []
    ordinary: dict[str, frozenset[str]] = {}
    for folder, files in _folders(root, findings):
        prefix = f"{folder}/" if folder else ""
        found += [prefix + entry.name for entry in files if _is_annotation(entry.name)]
        ordinary[folder] = frozenset([entry.name for entry in files if entry.is_file(follow_symlinks=False)])
    return FoundFiles(sorted(_plainly_named(found, findings)), ordinary)


def _folders(root: Path, findings: list[Finding]) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Yield each folder below `root`, it first, with what it holds besides folders."""
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
        inner = [entry for entry in entries if _is_folder(entry)]
        yield folder, [entry for entry in entries if not _is_folder(entry)] if inner else entries
        prefix = f"{folder}/" if folder else ""
        inner = sorted((entry for entry in inner if not entry.name.startswith(".")), key=lambda entry: entry.name)
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


def _is_annotation(name: str) -> bool:
    return name[-len(SUFFIX) :].lower() == SUFFIX and not name.startswith("._") and len(name) > len(SUFFIX)


def _plainly_named(paths: list[str], findings: list[Finding]) -> list[str]:
    kept = [path for path in paths if is_plain(path, _LONGEST_PATH)]
    for path in paths if len(kept) < len(paths) else ():
        if not is_plain(path, _LONGEST_PATH):
            findings.append(Finding("bad-name", _printable(path), "", "", "file's name must be UTF-8 text; rename it"))
    return kept


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
