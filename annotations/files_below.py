"""The files of some suffixes below a folder, without following links out of it, and an image_id for each."""

import os
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from annotations.findings import Finding
from annotations.notes import is_plain

_LONGEST_PATH = 4096


def files_below(root: Path, place: str, suffixes: Collection[str], findings: list[Finding]) -> list[str]:
    """Return the paths of the files below `place` that end so (any letter case), relative to `root`, in order.

    `root` is a real path and `place` a path in it ("" is itself). Hidden files and folders are left out. Links to
    folders are not followed: one that leaves `root` is a finding, as is what cannot be read or named.
    """
    found: list[str] = []

    def unreadable(error: OSError) -> None:
        where = _printable(_relative(root, str(error.filename or root)))
        findings.append(Finding("unreadable-file", where, "", "", f"folder must be readable, got {error.strerror}"))

    for folder, folders, names in os.walk(root / place, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        findings += _links_outside(root, [f"{folder}{os.sep}{name}" for name in folders])
        wanted = (name for name in names if not name.startswith(".") and suffix_of(name) in suffixes)
        found += [_relative(root, f"{folder}{os.sep}{name}") for name in wanted]
    return sorted(path for path in found if _has_plain_name(path, findings))


def suffix_of(path: str) -> str:
    """Return the suffix of a path (with `/`) in small letters, with its dot; "" where it has none."""
    return posixpath.splitext(path)[1].lower()


def image_ids_of(paths: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return a unique image_id for each file: its stem, or where others have that stem the first unique of the rest.

    These are its key (a path without suffix, such as one below the folder of its split), its path without suffix and
    its path, all with `/`.
    """
    wholes = [posixpath.splitext(path)[0] for path in paths]
    levels = [[posixpath.basename(whole) for whole in wholes], list(keys), wholes, list(paths)]
    counts = [Counter(level) for level in levels]
    ids = [
        next((name for name, count in zip(names, counts, strict=True) if count[name] == 1), names[-1])
        for names in zip(*levels, strict=True)
    ]
    return ids if len(set(ids)) == len(ids) else list(paths)


def _links_outside(root: Path, folders: Sequence[str]) -> Iterator[Finding]:
    for folder in folders:
        path = Path(folder)
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
            message = "link to a folder outside the source folder; give that folder as a source of its own"
            yield Finding("unfollowed-link", _printable(_relative(root, folder)), "", "", message)


def _has_plain_name(path: str, findings: list[Finding]) -> bool:
    if is_plain(path, _LONGEST_PATH):
        return True
    findings.append(Finding("bad-name", _printable(path), "", "", "file's name must be UTF-8 text; rename it"))
    return False


def _relative(root: Path, path: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
