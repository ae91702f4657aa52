"""The annotation files under a folder: found without following links out of it, and each with an image_id."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from annotations.findings import Finding
from annotations.notes import is_plain

SUFFIX = ".json"


def annotation_files(root: Path, findings: list[Finding]) -> list[str]:
    """Return the paths of the `*.json` files (any letter case) below `root`, relative, with `/`, in order.

    Hidden folders, and the `._*` files that macOS leaves, are left out. Links to folders are not followed: what
    lies inside `root` is found anyhow, and a link that leaves it is a finding, as is what cannot be read.
    """
    found: list[str] = []

    def unreadable(error: OSError) -> None:
        place = _relative(error.filename or str(root), root)
        findings.append(Finding("unreadable-file", place, "", "", f"folder must be readable, got {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            full = Path(folder, name)
            if full.is_symlink() and not Path(os.path.realpath(full)).is_relative_to(root):
                message = "link to a folder outside the source folder; give that folder as a source of its own"
                findings.append(Finding("unfollowed-link", _relative(str(full), root), "", "", message))
        paths = [Path(folder, name) for name in names if _is_annotation(name)]
        found += [os.path.relpath(path, root).replace(os.sep, "/") for path in paths]
    return sorted(path for path in found if _has_plain_name(path, findings))


def _is_annotation(name: str) -> bool:
    return name.lower().endswith(SUFFIX) and not name.startswith("._") and len(name) > len(SUFFIX)


def _has_plain_name(path: str, findings: list[Finding]) -> bool:
    if is_plain(path, 4096):
        return True
    message = "file's name must be UTF-8 text; rename it"
    findings.append(Finding("bad-name", _printable(path), "", "", message))
    return False


def _relative(path: str, root: Path) -> str:
    return _printable(os.path.relpath(path, root).replace(os.sep, "/"))


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def image_ids(sources: Sequence[str]) -> list[str]:
    """Return a unique image_id for each annotation file: its stem, or its path where others have the same stem.

    The path is without its suffix, unless that would clash as well (`a.json` beside `a.JSON`).
    """
    stems = [source.rsplit("/", 1)[-1][: -len(SUFFIX)] for source in sources]
    paths = [source[: -len(SUFFIX)] for source in sources]
    stem_count, path_count = Counter(stems), Counter(paths)
    ids = []
    for source, path, stem in zip(sources, paths, stems, strict=True):
        if stem_count[stem] == 1:
            ids.append(stem)
        else:
            ids.append(path if path_count[path] == 1 else source)
    return ids if len(set(ids)) == len(ids) else list(sources)
