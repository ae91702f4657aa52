"""Labelme files taken apart: the values of all their shapes in flat columns, and what each says of its image.

Only files whose values are of the usual types come out; what the values mean is not looked at.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from annotations import shapes as rules
from annotations.imagepaths import SourceFolder
from annotations.labelme import LARGEST_FILE

_READ_AT_ONCE = 2**16
"""Bytes of the first read: nearly every file without image data is smaller."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

_SHAPES_TOGETHER = 50
"""Shapes that are taken apart together: few enough to lie in the processor's cache with all that belongs to them."""
_BYTES_TOGETHER = 2**20
"""Bytes of columns that are given out together; they bound the memory."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Meaning = tuple[str, int | None, str | None]
"""What a shape is beside its place: label, group and type, as they stand in the file."""


class _Shape(msgspec.Struct, gc=False):
    """A shape as far as it is looked at; old versions wrote no group and no type."""

    label: str
    points: Annotated[list[tuple[float, float]], msgspec.Meta(min_length=1)]
    group_id: int | None = None
    shape_type: str | None = None


class _File(msgspec.Struct, gc=False, rename="camel"):
    """A file as far as it is looked at: the decoder passes over all else, image data too, and makes nothing of it."""

    image_path: str
    image_width: int
    image_height: int
    shapes: Annotated[list[_Shape], msgspec.Meta(max_length=rules.MOST_SHAPES)]
    flags: msgspec.Raw = msgspec.Raw(b"null")


_decoded = msgspec.json.Decoder(_File).decode
_meaning_of = attrgetter("label", "group_id", "shape_type")
_points_of = attrgetter("points")


class Head(NamedTuple):
    """What a file says of its image, unchecked; the flags are JSON as it stands in the file."""

    image_path: str
    width: int
    height: int
    flags: bytes


class Columns(NamedTuple):
    """Columns of shapes: the code of what each is, how many points it has, and the coordinates of all points."""

    meaning: Ints
    points: Ints
    x: Floats
    y: Floats


@dataclass(slots=True)
class OpenedFiles:
    """Files taken apart: their places among all, their heads, how many shapes each has, and the shapes' values.

    What a shape is, is a code of `meanings`. `points` is how many points each shape has, at least one, and `x` and `y`
    are those of all points, finite numbers. `size` is that of the columns, in bytes.
    """

    files: list[int] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    shapes: list[int] = field(default_factory=list)
    meanings: dict[Meaning, int] = field(default_factory=dict)
    size: int = 0
    _packed: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)

    @property
    def columns(self) -> Columns:
        """Return the shapes' values."""
        meaning, points, xy = (b"".join(parts) for parts in zip(*self._packed, strict=True))
        x, y = np.frombuffer(xy).reshape(-1, 2).T.copy()
        return Columns(np.frombuffer(meaning, np.int64), np.frombuffer(points, np.int64), x, y)

    def take(self, files: Sequence[tuple[int, Head, list[_Shape]]]) -> None:
        """Add these files: of each its place among all, its head and its shapes."""
        self.files += [place for place, _, _ in files]
        self.heads += [head for _, head, _ in files]
        self.shapes += [len(shapes) for _, _, shapes in files]
        packed = self._values([shape for _, _, shapes in files for shape in shapes])
        self.size += sum(map(len, packed))
        self._packed.append(packed)

    def _values(self, shapes: list[_Shape]) -> tuple[bytes, bytes, bytes]:
        """Return the columns of these shapes, x and y by turns."""
        points = list(map(_points_of, shapes))
        xy = list(chain.from_iterable(chain.from_iterable(points)))
        meanings = _codes(self.meanings, list(map(_meaning_of, shapes)))
        integers = f"{len(shapes)}q"
        return (
            struct.pack(integers, *meanings),
            struct.pack(integers, *map(len, points)),
            struct.pack(f"{len(xy)}d", *xy),
        )


def _codes(known: dict[Meaning, int], values: Sequence[Meaning]) -> list[int]:
    """Return the number of each value; a new value is given the next one."""
    try:
        return list(map(known.__getitem__, values))
    except KeyError:
        for value in values:
            known.setdefault(value, len(known))
        return list(map(known.__getitem__, values))


def opened_files(folder: SourceFolder, sources: Sequence[str]) -> Iterator[OpenedFiles]:
    """Yield those of `sources` (relative to the folder) that can be taken apart, in portions of at least one file."""
    opened = OpenedFiles()
    prefix = f"{folder.root}{os.sep}"
    waiting: list[tuple[int, Head, list[_Shape]]] = []
    shapes = 0
    for place, source in enumerate(sources):
        held = _held(prefix + source) if source in folder.ordinary else None
        if held is None:
            continue
        waiting.append((place, *held))
        shapes += len(held[1])
        if shapes >= _SHAPES_TOGETHER:
            opened.take(waiting)
            waiting, shapes = [], 0
            if opened.size > _BYTES_TOGETHER:
                yield opened
                opened = OpenedFiles()
    opened.take(waiting)
    if opened.files:
        yield opened


def _held(path: str) -> tuple[Head, list[_Shape]] | None:
    """Return what a file holds, or None where it is no JSON, lacks a value or has one of another type."""
    data = _bytes_of(path)
    if data is None:
        return None
    try:
        if not data.isascii():
            data.decode()  # the decoder does not look into texts that it passes over
        file = _decoded(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # A copy of the flags: they are a part of the file's bytes, and would keep all of them, image data too.
    return Head(file.image_path, file.image_width, file.image_height, bytes(file.flags)), file.shapes


def _bytes_of(path: str) -> bytes | None:
    """Return the bytes of an ordinary file, or None where it cannot be read, is too large or has just been changed."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        data = os.read(handle, _READ_AT_ONCE)
        if len(data) < _READ_AT_ONCE:
            return data
        size = os.fstat(handle).st_size
        if size > LARGEST_FILE:
            return None
        os.lseek(handle, 0, os.SEEK_SET)
        data = os.read(handle, size + 1)
        return data if len(data) == size else None
    except OSError:
        return None
    finally:
        os.close(handle)
