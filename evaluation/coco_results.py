"""The columns of a COCO results file, read quickly where every entry is written alike.

Programs write results with one key after the other in the same order and spacing. Then the text between the numbers
is the same in every entry, and what is left without it is one long list of numbers, read ten times quicker than a
million objects. Any other file, valid or not, gives None here and is for a reader that looks at every entry.
"""

import re
import string
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from annotations.coco_document import LARGEST
from annotations.tables import NO_PARENT, Boxes, Detections, Images, relative

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_CHUNK = 1 << 19
"""Bytes read in one go: what fits a processor's cache."""
_KEYS = {"image_id": 1, "category_id": 1, "bbox": 4, "score": 1}
"""The keys of an entry, with how many numbers each has."""
_NUMBERS = sum(_KEYS.values())
_IDS = ("image_id", "category_id")
_OF_NUMBERS = b"0123456789+-.eE"
_OF_NAMES = b'"{}[]:_' + string.ascii_lowercase.encode()
_EXACT = 2**53 - 1
"""Up to here every whole number is a float64 that no other number is read as."""
_OPENING = re.compile(rb"\s*\[\s*")
_GAP = re.compile(rb"\s*,\s*")
_LONGEST_CLOSING = 200


@dataclass(frozen=True, slots=True, eq=False)
class ResultColumns:
    """The entries of a results file: `image_id` and `category_id` (N,), `score` (N,) and `xywh` (N, 4) pixels."""

    image_id: NDArray[np.int64]
    category_id: NDArray[np.int64]
    score: NDArray[np.float64]
    xywh: Boxes


def quick_results(
    data: bytes, images: Images, image_rows: Mapping[Hashable, int], class_ids: Mapping[Hashable, int]
) -> Detections | None:
    """Return the detections of a results file's content, or None where something is odd or at fault.

    `image_rows` and `class_ids` are the rows and class ids of the file's ids.
    """
    columns = result_columns(data)
    if columns is None:
        return None
    image_row, class_id = _known(columns.image_id, image_rows), _known(columns.category_id, class_ids)
    xywh, score = columns.xywh, columns.score
    sound = np.isfinite(score).all() and (np.abs(xywh) <= LARGEST).all() and (xywh[:, 2:] > 0).all()
    if image_row is None or class_id is None or not sound:
        return None
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    if not (xyxy[:, 2:] > xyxy[:, :2]).all():
        return None
    rows = len(score)
    return Detections(
        image_row=image_row,
        object_id=np.arange(rows),
        parent_id=np.full(rows, NO_PARENT),
        class_id=class_id,
        score=score,
        xyxy_rel=relative(images, image_row, xyxy),
    )


def _known(ids: NDArray[np.int64], known: Mapping[Hashable, int]) -> NDArray[np.int64] | None:
    """Return the (N,) places that `known` gives for ids, or None where it does not know one."""
    numbers = [key for key in known if type(key) is int and abs(key) <= _EXACT]
    if not numbers:
        return None
    keys = np.array(sorted(numbers), np.int64)
    places = np.array([known[key] for key in keys.tolist()], np.int64)
    if keys[-1] - keys[0] == len(keys) - 1:
        # One id after the other, as most programs number: no search is needed.
        row = np.clip(ids - keys[0], 0, len(keys) - 1)
    else:
        row = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
    return places[row] if (keys[row] == ids).all() else None


@dataclass(frozen=True, slots=True)
class _Form:
    """How entries are written: the text before the first number, those after each of an entry, and the last.

    `between` has as many texts as an entry has numbers; its last one leads on to the next entry.
    """

    keys: tuple[str, ...]
    opening: bytes
    between: tuple[bytes, ...]
    closing: bytes

    @property
    def with_names(self) -> list[bytes]:
        """Return the texts that hold the name of a key."""
        return [text for text in self.between if b'"' in text]


def result_columns(data: bytes) -> ResultColumns | None:
    """Return the columns of a results file's content, or None where its entries are not all alike.

    Ids must be whole numbers. Numbers are read to the last bit, as json reads them; nothing else is checked.
    """
    form = _form(data)
    if form is None:
        return None
    parts = []
    for chunk in _chunks(data, form):
        columns = _columns(chunk, form)
        if columns is None:
            return None
        parts.append(columns)
    image_id, category_id, score, xywh = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return ResultColumns(image_id, category_id, score, xywh)


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
    between = (*texts[1:-1], texts[-1] + (gap.group() if gap else b",") + texts[0])
    last = re.search(re.escape(texts[-1]) + rb"\s*\]\s*\Z", data[-_LONGEST_CLOSING:])
    return _Form(tuple(values), start.group() + texts[0], between, last.group()) if last else None


def _is_plain(entry: Any) -> bool:  # noqa: ANN401
    """Return whether an entry has the keys of a result, and numbers as their values."""
    if not isinstance(entry, dict) or set(entry) != set(_KEYS) or not isinstance(entry["bbox"], list):
        return False
    numbers = [*entry["bbox"], *(entry[key] for key in _KEYS if key != "bbox")]
    return len(entry["bbox"]) == _KEYS["bbox"] and all(type(number) in (int, float) for number in numbers)


def _chunks(data: bytes, form: _Form) -> Iterator[bytes]:
    """Yield the text in pieces of whole entries, without what opens the first and closes the last of each."""
    start, stop, gap = len(form.opening), len(data) - len(form.closing), form.between[-1]
    while start < stop:
        end = data.find(gap, start + _CHUNK, stop)
        end = stop if end < 0 else end
        yield data[start:end]
        start = end + len(gap)


def _entries(chunk: bytes, form: _Form) -> int:
    """Return how many entries a chunk has, or 0 where they have other texts than the form, or in other places."""
    gap = form.between[-1]
    entries = chunk.count(gap) + 1
    if any(chunk.count(text) != entries for text in form.with_names if text != gap):
        return 0
    # With each name there as often as there are entries, only the order is left to look at.
    rest = (b"".join(form.between) * entries).translate(None, _OF_NUMBERS)
    return entries if chunk.translate(None, _OF_NUMBERS) + gap.translate(None, _OF_NUMBERS) == rest else 0


def _columns(chunk: bytes, form: _Form) -> tuple[NDArray[Any], ...] | None:
    """Return image_id, category_id, score and xywh of a chunk, or None where its entries are not all alike."""
    entries = _entries(chunk, form)
    try:
        numbers = orjson.loads(b"[" + _numbers_alone(chunk, form, entries) + b"]") if entries else []
    except orjson.JSONDecodeError:
        return None
    if len(numbers) != entries * _NUMBERS or not entries:
        return None
    table = np.fromiter(numbers, np.float64, len(numbers)).reshape(entries, _NUMBERS)
    places = dict(zip(form.keys, np.cumsum([0, *(_KEYS[key] for key in form.keys[:-1])]).tolist(), strict=True))
    ids = table[:, [places[key] for key in _IDS]]
    if any(set(map(type, numbers[places[key] :: _NUMBERS])) != {int} for key in _IDS) or np.abs(ids).max() > _EXACT:
        return None
    box = places["bbox"]
    return (*ids.astype(np.int64).T, table[:, places["score"]].copy(), table[:, box : box + 4].copy())


def _numbers_alone(chunk: bytes, form: _Form, entries: int) -> bytes:
    """Return the numbers of a chunk with commas between them."""
    gap = form.between[-1]
    of_names = b"".join(form.between).count(b"e") * entries - gap.count(b"e")
    # The small e is left to the names, so that all of it can be deleted.
    marked = chunk.replace(b"e-", b"E-").replace(b"e+", b"E+")
    if marked.count(b"e") == of_names:
        return marked.translate(None, _OF_NAMES)
    for text in form.with_names:
        chunk = chunk.replace(text, b",")
    return chunk
