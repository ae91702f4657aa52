"""Labelme files taken apart: the values of all their shapes in flat lists, and what each says of its image.

Only files with values of the usual types come out; what the values mean is not looked at.
"""

import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from annotations import shapes as rules
from annotations.imagepaths import SourceFolder
from annotations.labelme import LARGEST_FILE

_READ_AT_ONCE = 2**16
"""Bytes of the first read: nearly every file without image data is smaller."""
_WORTH_CUTTING = 2**14
"""Bytes of a file from which on looking for image data in it pays."""
_IMAGE_DATA = re.compile(rb'(?<!\\)"imageData"\s*:\s*"')
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

_SHAPES_TOGETHER = 50
"""Shapes that are taken apart together: few enough to lie in the processor's cache with all that belongs to them."""
_BYTES_TOGETHER = 2**20
"""Bytes of columns that are given out together; they bound the memory."""


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Head = tuple[Any, Any, Any, Any]
"""What a file says of its image, unchecked: flags, imagePath, imageWidth, imageHeight."""


class Columns(NamedTuple):
    """Columns of shapes: codes of label, group and type, the number of points, and the points' coordinates."""

    label: Ints
    group: Ints
    kind: Ints
    points: Ints
    x: Floats
    y: Floats


@dataclass(slots=True)
class OpenedFiles:
    """Files taken apart: their places among all, their heads, how many shapes each has, and the shapes' values.

    A shape's label, group and type are codes of `labels`, `groups` and `kinds`, whose keys are the values as they
    stand; a group is an integer or None, a label or type may be anything. `points` is how many points each shape has,
    at least one, and `x` and `y` are those of all points, finite numbers. `size` is that of the columns, in bytes.
    """

    files: list[int] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    shapes: list[int] = field(default_factory=list)
    labels: dict[Any, int] = field(default_factory=dict)
    groups: dict[int | None, int] = field(default_factory=dict)
    kinds: dict[Any, int] = field(default_factory=dict)
    size: int = 0
    _packed: list[tuple[bytes, ...]] = field(default_factory=list)

    @property
    def columns(self) -> "Columns":
        """Return the shapes' values."""
        data = [b"".join(parts) for parts in zip(*self._packed, strict=True)]
        label, group, kind, points = (np.frombuffer(part, np.int64) for part in data[:4])
        return Columns(label, group, kind, points, np.frombuffer(data[4]), np.frombuffer(data[5]))

    def take(self, files: Sequence[tuple[int, tuple[Any, ...]]]) -> None:
        """Add these files (their places and fields), but those with a shape of unusual values."""
        packed = self._packed_values([shape for _, fields in files for shape in fields[_SHAPES]])
        if packed is not None:
            self.files += [file for file, _ in files]
            self.heads += [fields[:_SHAPES] for _, fields in files]
            self.shapes += [len(fields[_SHAPES]) for _, fields in files]
            self.size += sum(map(len, packed))
            self._packed.append(packed)
        elif len(files) > 1:
            for file in files:
                self.take([file])

    def _packed_values(self, shapes: list[Any]) -> tuple[bytes, ...] | None:
        """Return the columns of these shapes, or None where a value is unusual."""
        if not shapes:
            return (b"",) * len(Columns._fields)
        try:
            labels, groups, kinds, points = zip(*_values(shapes), strict=True)
            counts = list(map(len, points))
            # A point that is no list of two has not two values, or gives texts, which are not packed.
            x, y = zip(*chain.from_iterable(points), strict=True)
            # Types, not classes: true is an integer to isinstance, and a key like 1.
            if 0 in counts or not set(map(type, groups)) <= _GROUP:
                return None
            codes = _codes(self.labels, labels), _codes(self.groups, groups), _codes(self.kinds, kinds)
            integers = [struct.pack(f"{len(shapes)}q", *values) for values in (*codes, counts)]
            return (*integers, _reals(x), _reals(y))
        except (AttributeError, TypeError, ValueError, struct.error):
            return None


def _values(shapes: list[Any]) -> Iterable[tuple[Any, ...]]:
    """Return the values of each shape that are looked at; old versions wrote no group and no type."""
    try:
        return list(map(_shape_values, shapes))
    except KeyError:
        return [tuple(map(shape.get, _SHAPE_KEYS)) for shape in shapes]


def _reals(numbers: Sequence[Any]) -> bytes:
    """Return the numbers as float64.

    Raises:
        ValueError: one is true or false, which are numbers to all but JSON.
        struct.error: one is no number.
    """
    packed = struct.pack(f"{len(numbers)}d", *numbers)
    # Types are looked at only where such a number stands: there may be a few among thousands.
    if (_ZERO in packed or _ONE in packed) and bool in set(map(type, numbers)):
        raise ValueError("coordinates must be numbers, got a boolean")
    return packed


def _codes(known: dict[Any, int], values: Sequence[Any]) -> list[int]:
    """Return the number of each value; a new value is given the next one."""
    try:
        return list(map(known.__getitem__, values))
    except KeyError:
        for value in values:
            known.setdefault(value, len(known))
        return list(map(known.__getitem__, values))


_SHAPE_KEYS = ("label", "group_id", "shape_type", "points")
_shape_values = itemgetter(*_SHAPE_KEYS)
_fields = itemgetter("flags", "imagePath", "imageWidth", "imageHeight", "shapes")
_SHAPES = 4
_GROUP = {int, type(None)}
_ZERO, _ONE = struct.pack("d", False), struct.pack("d", True)


def opened_files(folder: SourceFolder, sources: Sequence[str]) -> Iterator[OpenedFiles]:
    """Yield the files of `sources` (relative to the folder) that can be taken apart; at least one of each portion."""
    opened = OpenedFiles()
    prefix = f"{folder.root}{os.sep}"
    waiting: list[tuple[int, tuple[Any, ...]]] = []
    shapes = 0
    for file, source in enumerate(sources):
        fields = _fields_of(prefix + source) if source in folder.ordinary else None
        if fields is None:
            continue
        waiting.append((file, fields))
        shapes += len(fields[_SHAPES])
        if shapes >= _SHAPES_TOGETHER:
            opened.take(waiting)
            waiting, shapes = [], 0
            if opened.size > _BYTES_TOGETHER:
                yield opened
                opened = OpenedFiles()
    opened.take(waiting)
    if opened.files:
        yield opened


def _fields_of(path: str) -> tuple[Any, ...] | None:
    """Return the values of a file's fields that are looked at, or None where one is missing."""
    data = _bytes_of(path)
    if data is None:
        return None
    try:
        fields = _fields(orjson.loads(_without_image_data(data) if len(data) > _WORTH_CUTTING else data))
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None
    return fields if type(fields[_SHAPES]) is list and len(fields[_SHAPES]) <= rules.MOST_SHAPES else None


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


def _without_image_data(data: bytes) -> bytes:
    """Return a JSON text without the text of its first `imageData`, which is Labelme's where the file is Labelme's.

    What follows an unescaped quote is a key, and what is cut is plain ASCII without quotes and backslashes, so the rest
    is JSON just if the whole is. No other value of this name means anything, and an emptied text stays a text.
    """
    found = _IMAGE_DATA.search(data)
    if found is None:
        return data
    begin, end = found.end(), data.find(b'"', found.end())
    if end <= begin or data.find(b"\\", begin, end) >= 0:
        return data
    text = np.frombuffer(data, np.uint8, end - begin, begin)
    return data[:begin] + data[end:] if text.min() >= ord(" ") and text.max() <= ord("~") else data
