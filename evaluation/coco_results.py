"""The columns of a COCO results file, read quickly where every entry is written alike.

Programs write results with one key after the other in the same order and spacing. Then the text between the numbers
is the same in every entry, and what is left without it is one long list of numbers, read ten times quicker than a
million objects. Any other file, valid or not, gives None here and is for a reader that looks at every entry.
"""

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from annotations.detections import FARTHEST
from annotations.tables import NO_PARENT, Boxes, Detections, Images, sides

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_CHUNK = 1 << 20
"""Bytes read in one go, so that what is made on the way stays small."""
_KEYS = {"image_id": 1, "category_id": 1, "bbox": 4, "score": 1}
"""The keys of an entry, with how many numbers each has."""
_NUMBERS = sum(_KEYS.values())
_IDS = ("image_id", "category_id")
_WORD = 8
_NEAR = FARTHEST / 2
"""Pixels: with a corner and a side of as many, no box is too far from an image of any size."""
_EXACT = 2**53 - 1
"""Up to here every whole number is a float64 that no other number is read as."""
_OPENING = re.compile(rb"\s*\[\s*")
_GAP = re.compile(rb"\s*,\s*")
_LONGEST_CLOSING = 200


def quick_results(
    data: bytes, images: Images, image_rows: Mapping[Hashable, int], class_ids: Mapping[Hashable, int]
) -> Detections | None:
    """Return the detections of a results file's content, or None where something is odd or at fault.

    `image_rows` and `class_ids` are the rows and class ids of the file's ids, which must be whole numbers. Numbers are
    read to the last bit, as json reads them.
    """
    form = _form(data)
    if form is None:
        return None
    # Columns for all there can be are filled piece by piece: to put pieces together costs as much as to read them. Of
    # what is not filled in the end, no memory was ever used.
    most = len(data) // (sum(map(len, form.before)) + _NUMBERS) + 1
    image_row, class_id = np.empty(most, np.int64), np.empty(most, np.int64)
    score, xyxy_rel = np.empty(most), np.empty((most, 4))
    stop, side, rows, classes = 0, sides(images), _Known(image_rows), _Known(class_ids)
    for chunk in _chunks(data, form):
        table = _table(chunk, form)
        if table is None:
            return None
        own = slice(stop, stop + len(table.score))
        xyxy = table.xyxy()
        known = rows.look_up(table.image_id, image_row[own]) and classes.look_up(table.category_id, class_id[own])
        if xyxy is None or not known:
            return None
        score[own] = table.score
        np.divide(xyxy, side[image_row[own]], out=xyxy_rel[own])
        stop = own.stop
    filled = [_read_only(values[:stop]) for values in (image_row, class_id, score, xyxy_rel)]
    ids = _read_only(np.arange(stop)), _read_only(np.full(stop, NO_PARENT))
    return Detections(filled[0], *ids, *filled[1:])


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Entries as columns: `image_id` and `category_id` (N,), `score` (N,) and `xywh` (N, 4) pixels."""

    image_id: NDArray[np.int64]
    category_id: NDArray[np.int64]
    score: NDArray[np.float64]
    xywh: Boxes

    def xyxy(self) -> Boxes | None:
        """Return the (N, 4) corners in pixels, or None where a box or a score cannot be used."""
        if not ((np.abs(self.xywh) <= _NEAR).all() and np.isfinite(self.score).all()):
            return None
        xyxy = np.concatenate([self.xywh[:, :2], self.xywh[:, :2] + self.xywh[:, 2:]], axis=1)
        # A side above 0 can be lost beside a large coordinate.
        return xyxy if (xyxy[:, 2:] > xyxy[:, :2]).all() else None


class _Known:
    """Finds the places of ids, quickly where these are whole numbers in a row."""

    def __init__(self, places: Mapping[Hashable, int]) -> None:
        numbers = sorted(key for key in places if type(key) is int and abs(key) <= _EXACT)
        self._ids = np.array(numbers, np.int64)
        self._places = np.array([places[number] for number in numbers], np.int64)
        self._in_a_row = bool(numbers) and numbers[-1] - numbers[0] == len(numbers) - 1

    def look_up(self, ids: NDArray[np.int64], into: NDArray[np.int64]) -> bool:
        """Write the (N,) places of ids, and return whether all are known; if not, nothing is written."""
        if not len(self._ids):
            return False
        row = ids - self._ids[0] if self._in_a_row else np.searchsorted(self._ids, ids)
        row = np.clip(row, 0, len(self._ids) - 1)
        known = bool((self._ids[row] == ids).all())
        if known:
            into[:] = self._places[row]
        return known


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    values.flags.writeable = False
    return values


@dataclass(frozen=True, slots=True)
class _Form:
    """How entries are written: the text before the first number, those before each key's numbers, and the last.

    The first of `before` leads on from one entry to the next.
    """

    keys: tuple[str, ...]
    opening: bytes
    before: tuple[bytes, ...]
    closing: bytes


def _form(data: bytes) -> _Form | None:
    """Return how the first entry is written, or None where it is no plain entry."""
    start = _OPENING.match(data)
    stop = data.find(b"}") + 1
    entry = data[start.end() : stop] if start else b""
    try:
        values = orjson.loads(entry)
    except orjson.JSONDecodeError:
        return None
    texts = _NUMBER.split(entry)
    # One number more, or fewer, is a key with a digit in it, or a key twice.
    if start is None or not _is_plain(values) or len(texts) != _NUMBERS + 1:
        return None
    gap = _GAP.match(data, stop)
    before = [texts[place] for place in _places(tuple(values)).values()]
    before[0] = texts[-1] + (gap.group() if gap else b",") + texts[0]
    last = re.search(re.escape(texts[-1]) + rb"\s*\]\s*\Z", data[-_LONGEST_CLOSING:])
    return _Form(tuple(values), start.group() + texts[0], tuple(before), last.group()) if last else None


def _places(keys: tuple[str, ...]) -> dict[str, int]:
    """Return the place of each key's first number among those of an entry."""
    ends = np.cumsum([_KEYS[key] for key in keys]).tolist()
    return {key: end - _KEYS[key] for key, end in zip(keys, ends, strict=True)}


def _is_plain(entry: Any) -> bool:  # noqa: ANN401
    """Return whether an entry has the keys of a result, and numbers as their values."""
    if not isinstance(entry, dict) or set(entry) != set(_KEYS) or not isinstance(entry["bbox"], list):
        return False
    numbers = [*entry["bbox"], *(entry[key] for key in _KEYS if key != "bbox")]
    return len(entry["bbox"]) == _KEYS["bbox"] and all(type(number) in (int, float) for number in numbers)


def _chunks(data: bytes, form: _Form) -> Iterator[bytearray]:
    """Yield the text in pieces of whole entries, each entry with the text that leads to it."""
    start, stop, gap = len(form.opening), len(data) - len(form.closing), form.before[0]
    while start < stop:
        end = data.find(gap, start + _CHUNK, stop)
        end = stop if end < 0 else end
        yield bytearray().join((gap, memoryview(data)[start:end], b"]"))
        start = end + len(gap)


def _table(chunk: bytearray, form: _Form) -> _Table | None:
    """Return the entries of a chunk, or None where they are not all alike."""
    entries = _blanked(chunk, form)
    try:
        numbers = orjson.loads(chunk) if entries else []
        table = np.fromiter(numbers, np.float64, len(numbers)).reshape(entries, _NUMBERS)
    except (ValueError, TypeError):
        return None
    places = _places(form.keys)
    ids = table[:, [places[key] for key in _IDS]]
    whole = all(set(map(type, numbers[places[key] :: _NUMBERS])) == {int} for key in _IDS)
    if not entries or not whole or np.abs(ids).max() > _EXACT:
        return None
    box = places["bbox"]
    image_id, category_id = ids.astype(np.int64).T
    return _Table(image_id, category_id, table[:, places["score"]], table[:, box : box + _KEYS["bbox"]])


def _blanked(chunk: bytearray, form: _Form) -> int:
    """Make a chunk one list of numbers, and return how many entries it has; 0 where not all are of the form.

    Each text before a key's numbers becomes a comma and spaces, so that whatever else there is stays to be refused.
    """
    text = np.frombuffer(chunk, np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    entries, rest = divmod(len(quotes), 2 * len(_KEYS))
    starts = [quotes[2 * row :: 2 * len(_KEYS)] - before.index(b'"') for row, before in enumerate(form.before)]
    if rest or any(not _overwritten(text, *pair) for pair in zip(starts, form.before, strict=True)):
        return 0
    commas = np.flatnonzero(text == ord(","))
    # Of true, false and null each has a letter behind e.
    if len(commas) != entries * _NUMBERS or text.max() > ord("e"):
        return 0
    of_entry = commas.reshape(entries, _NUMBERS)
    places = _places(form.keys).values()
    if any((of_entry[:, place] != start).any() for place, start in zip(places, starts, strict=True)):
        return 0
    text[0] = ord("[")
    return entries


def _overwritten(text: NDArray[np.uint8], start: NDArray[np.int64], expected: bytes) -> bool:
    """Return whether `expected` stands at every start, after a comma and spaces were written over it.

    Nothing is written where it does not stand everywhere. Eight bytes are looked at, and written, at a time.
    """
    length = len(expected)
    if length < _WORD or not len(start) or start[0] < 0 or start[-1] + length > len(text):
        return False
    words = np.ndarray(len(text) - _WORD + 1, "<u8", text, strides=(1,))
    blank = b",".ljust(length)
    offsets = sorted({*range(0, length - _WORD + 1, _WORD), length - _WORD})
    if any((words[start + offset] != _word(expected, offset)).any() for offset in offsets):
        return False
    for offset in offsets:
        words[start + offset] = _word(blank, offset)
    return True


def _word(text: bytes, offset: int) -> np.uint64:
    return np.uint64(int.from_bytes(text[offset : offset + _WORD], "little"))
