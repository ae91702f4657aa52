"""What ordinary Labelme files say of their images: flags, path and size, without a word to tell about them."""

import os
from collections.abc import Sequence

import msgspec

from annotations.drawn_columns import ImageRow
from annotations.frames import LARGEST_SIDE
from annotations.imagepaths import SourceFolder
from annotations.labelme import split_of_flags, true_flags
from annotations.labelme_opening import OpenedFiles
from annotations.notes import FileRefused, Note, is_plain
from annotations.picture_headers import plain_displayed_size


class Heads:
    """Makes rows of the Images table from what files say; it remembers the flags that it has seen."""

    def __init__(self, folder: SourceFolder, check_images: bool) -> None:
        self._folder = folder
        self._prefix = f"{folder.root}{os.sep}"
        self._check_images = check_images
        self._named: dict[bytes, tuple[str, str] | None] = {}

    def rows(self, opened: OpenedFiles, sources: Sequence[str], image_ids: Sequence[str]) -> list[ImageRow | None]:
        """Return the row of each opened file, or None where there is anything to tell about its image or flags."""
        rows: list[ImageRow | None] = []
        is_there = self._is_there if self._check_images else _may_be_there
        for file, (image_path, width, height, flags) in zip(opened.files, opened.heads, strict=True):
            source = sources[file]
            named = self._flags(flags)
            path = self._folder.plain_path(source, image_path)
            if path is None or named is None:
                rows.append(None)
            elif 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and is_there(path, width, height):
                rows.append(ImageRow(image_ids[file], path, width, height, named[0], named[1], source))
            else:
                rows.append(None)
        return rows

    def _is_there(self, path: str, width: int, height: int) -> bool:
        """Return whether the picture is an ordinary file that is displayed in that size."""
        return path in self._folder.ordinary and plain_displayed_size(self._prefix + path) == (width, height)

    def _flags(self, flags: bytes) -> tuple[str, str] | None:
        """Return the split and the names of the true flags, joined."""
        if flags not in self._named:
            self._named[flags] = _split_and_flags(flags)
        return self._named[flags]


def _may_be_there(path: str, width: int, height: int) -> bool:
    """Return whether a picture can have that path."""
    return is_plain(path, len(path))


def _split_and_flags(flags: bytes) -> tuple[str, str] | None:
    notes: list[Note] = []
    try:
        names = true_flags({"flags": msgspec.json.decode(flags)}, notes)
    except (FileRefused, msgspec.DecodeError):
        return None
    split = split_of_flags(names, notes)
    return None if notes else (split, ";".join(names))
