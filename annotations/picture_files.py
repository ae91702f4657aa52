"""The pictures of a form that is written: copied into it, linked from it, or left where they are and named."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from annotations.findings import Finding
from annotations.tables import BoxDataset, Images

Mode = Literal["copy", "link", "reference"]

# What no file name may hold on Windows, where people open what they exported.
_UNSAFE = re.compile(r'[\0-\x1f<>:"|?*\\]')


@dataclass(slots=True)
class PictureFiles:
    """Puts pictures where a form wants them; `findings` gathers what went amiss.

    `mode` says how: "copy" makes a file of its own, "link" a relative symbolic link, and "reference" nothing: the form
    names the picture where it lies. Pictures of the image rows `copied` are copied whatever the mode: they will not
    stay where they are.
    """

    mode: Mode
    findings: list[Finding] = field(default_factory=list)
    copied: frozenset[int] = frozenset()
    _taken: set[str] = field(default_factory=set, repr=False)
    _real: dict[str, str] = field(default_factory=dict, repr=False)

    def place(self, aside: Path, final: Path, dataset: BoxDataset, row: int, wanted: str) -> str:
        """Return the path, relative to `final` and with `/`, that the form's files are to name picture `row` by.

        `wanted` is a path below `final`; the picture is put there in `aside`, which is to become `final`. What leads
        out of it is left out of `wanted`, and a path that another picture has already gets a number. A picture that is
        not there, or cannot be read, is a finding; its path is returned all the same.

        Raises:
            UnicodeEncodeError: the path leads through a folder whose name is no text.
        """
        picture = dataset.picture(row)
        fault = _fault_of(picture)
        if fault is not None:
            shown = str(dataset.images.path[row])
            message = f"picture must be a file that can be read, got {shown or 'no path'}: {fault}"
            images = dataset.images
            self.findings.append(
                Finding("missing-image", str(images.source[row]), "", str(images.image_id[row]), message)
            )
        mode = "copy" if row in self.copied else self.mode
        if mode == "reference" and dataset.images.path[row]:
            seen = self._from(final, picture)
            seen.encode()
            return seen
        path = self._free(safe_path(wanted))
        if fault is None and mode != "reference":
            target = aside / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if mode == "link":
                target.symlink_to(self._from((final / path).parent, picture))
            else:
                shutil.copyfile(picture, target)
        return path

    def _from(self, folder: Path, picture: Path) -> str:
        # The real paths: "..", taken from behind a symbolic link, leads elsewhere.
        place = os.path.join(self._real_path(picture.parent), picture.name)  # noqa: PTH118
        return os.path.relpath(place, self._real_path(folder)).replace(os.sep, "/")

    def _real_path(self, folder: Path) -> str:
        key = str(folder)
        if key not in self._real:
            self._real[key] = os.path.realpath(folder)
        return self._real[key]

    def _free(self, path: str) -> str:
        path = _numbered(path, self._taken)
        self._taken.add(path.casefold())
        return path


def safe_path(wanted: str) -> str:
    """Return a path as near to `wanted` as one can be that stays below its folder, on Windows too."""
    parts = [_safe_name(part) for part in wanted.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "picture"


def safe_stems(images: Images) -> list[str]:
    """Return a path without suffix for each image, after its image_id: safe, and unique whatever the letters' case."""
    taken: set[str] = set()
    stems = []
    for image_id in images.image_id.tolist():
        stem = _numbered(safe_path(image_id) + ".", taken)
        taken.add(stem.casefold())
        stems.append(stem[:-1])
    return stems


def picture_names(images: Images) -> list[str]:
    """Return a file name for the picture of each image: its stem of `safe_stems`, and the picture's suffix."""
    suffixes: Sequence[str] = [PurePosixPath(path).suffix for path in images.path.tolist()]
    return [stem + _safe_name(suffix) for stem, suffix in zip(safe_stems(images), suffixes, strict=True)]


def _safe_name(name: str) -> str:
    # Windows leaves out a dot or a space at the end, and so would put two files in one place.
    return _UNSAFE.sub("_", name[:-1] + "_" if name.endswith((".", " ")) else name)


def _numbered(path: str, taken: set[str]) -> str:
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    candidate, number = path, 1
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{folder}{slash}{stem}-{number}{dot}{suffix}"
    return candidate


def _fault_of(picture: Path) -> str | None:
    if not picture.is_file():
        return "no file" if picture.exists() else "no such file"
    return None if os.access(picture, os.R_OK) else "one that may not be read"
