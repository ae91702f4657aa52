"""Files with damage: bytes cut, flipped, doubled and spliced, and JSON values put where they do not belong."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

_TOKENS = (
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b'"', b"\\", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":",
    b"\n", b"\r", b"null", b"true", b"NaN", b"Infinity", b"-", b"1e999", b"-0.0", b"9" * 400, b"0.0.1", b"<", b">",
    b"</object>", b"<object>", b"&x;", b"&amp;", b"<!DOCTYPE a [<!ENTITY x '" + b"y" * 50 + b"'>]>", b"<![CDATA[",
    b"#", b"- ", b"  ", b"\t", b"!!python/object:os.system", b"*a", b"&a", b"|", b"../", b"/dev/zero", b"train",
    b"[" * 2000, b"{\"a\":" * 2000,
)  # fmt: skip


def damaged(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Return the bytes with one to three damages; some take a piece of one of the `others`."""
    for _ in range(chance.randint(1, 3)):
        data = chance.choice(_DAMAGES)(data, chance, others)
    return data


Damage = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    begin = chance.randint(0, len(data))
    return begin, min(len(data), begin + chance.choice((0, 1, 1, 2, 4, 16, 200)))


def _cut(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


def _flip(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    flipped = bytearray(data)
    for _ in range(min(len(data), chance.choice((1, 1, 2, 8)))):
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _noise(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    begin, end = _span(data, chance)
    return data[:begin] + chance.randbytes(chance.choice((1, 2, 8))) + data[end:]


def _token(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    begin, end = _span(data, chance)
    return data[:begin] + chance.choice(_TOKENS) + data[end:]


def _double(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    begin, end = _span(data, chance)
    return data[:end] + data[begin:end] * chance.choice((1, 1, 50)) + data[end:]


def _splice(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


_DAMAGES: tuple[Damage, ...] = (_cut, _flip, _flip, _noise, _token, _token, _double, _splice)


_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 1.5, -0.0, 1e-320, 1e308, 10**18, 2**63, 2**64, 10**400, float("nan"), float("inf"),
    "", " ", "a", "\ud800", "\0", "train", "../../etc/passwd", "/dev/zero", "\\\\host\\share\\a.png", "x" * 5000, "é",
    "1", "nan", "rectangle", "mask", "circle", "line", "data:,x", "iVBORw0KGgo=", [], [[]], [1], [1, 2], [[1, 2]],
    [[1, 2], [1, 2]], [["1", "2"], [3, 4]], [[None, 1], [2, 3]], [[1, 2, 3], [4, 5, 6]], [[True, False], [1, 2]], {},
    {"a": 1}, {"train": True, "test": True}, {"train": 1}, {"": True}, {"\ud800": True}, {"a;b": True},
    [{"label": "a", "points": [[0, 0], [1, 1]], "shape_type": "rectangle"}],
)  # fmt: skip
_KEYS = (
    "label", "points", "group_id", "shape_type", "mask", "flags", "shapes", "imagePath", "imageData", "imageWidth",
    "imageHeight", "version", "description", "id", "image_id", "bbox", "segmentation", "category_id", "file_name",
    "width", "height", "images", "annotations", "categories", "iscrowd", "", "\ud800",
)  # fmt: skip


def changed(data: bytes, chance: random.Random) -> bytes:
    """Return a JSON text with one to three of its values, keys or elements changed, taken out, doubled or buried."""
    document = json.loads(data)
    for _ in range(chance.randint(1, 3)):
        places = _places(document)
        if not places:
            break
        container, key = chance.choice(places)
        _change(container, key, chance)
    text = json.dumps(document, ensure_ascii=chance.random() < 0.9)
    return text.encode("utf-8", "surrogatepass")


def _places(document: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    places: list[tuple[Any, Any]] = []
    ahead = [document]
    while ahead:
        value = ahead.pop()
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        places += [(value, key) for key in keys]
        ahead += [value[key] for key in keys if isinstance(value[key], dict | list)]
    return places


def _change(container: Any, key: Any, chance: random.Random) -> None:  # noqa: ANN401
    value = container[key]
    how = chance.randrange(8)
    if how == 0:
        del container[key]
    elif how == 1 and isinstance(container, dict):
        container[chance.choice(_KEYS)] = container.pop(key)
    elif how == 2 and isinstance(container, list):
        container.extend([copy.deepcopy(value) for _ in range(chance.choice((1, 3, 40)))])
    elif how == 3:
        for _ in range(chance.choice((1, 3, 250))):
            value = [value]
        container[key] = value
    elif how == 4 and type(value) in (int, float) and abs(value) < 10**300:
        container[key] = chance.choice([-value, value + 0.5, value * 1000, str(value), value / 3, float(value)])
    elif how == 5 and isinstance(value, str) and value:
        place = chance.randrange(len(value))
        container[key] = (
            value[:place] + chance.choice(["", "A", "\0", "\udfff", "=", "\\", "/", ";"]) + value[place + 1 :]
        )
    else:
        container[key] = copy.deepcopy(chance.choice(_VALUES))
