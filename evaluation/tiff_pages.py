"""What a TIFF says of its pages, read before anything is unpacked.

Pillow and OpenCV both take a file that was cut off for a shorter stack, or for one with dark pages. So the chain of
pages is walked here, and each page's pixels must lie inside the file.
"""

import struct
from dataclasses import dataclass

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF begins: little- or big-endian, classic or BigTIFF."""

# Source: TIFF 6.0, section 2 and appendix A; the BigTIFF design for the types 16 to 18 and the wide header.
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_TEXT = 2
_WIDTH, _HEIGHT, _PHOTOMETRIC, _DESCRIPTION = 256, 257, 262, 270
# Strips' or tiles' places and lengths in the file.
_PLACES = ((273, 279), (324, 325))

_WANTED = frozenset({_WIDTH, _HEIGHT, _PHOTOMETRIC, _DESCRIPTION, *_PLACES[0], *_PLACES[1]})

_TIGHTEST = 100_000
"""Pixels a byte: zlib packs 1,000 bytes of zeros into one, Zstandard some 30,000; beyond it, a size is damage."""


@dataclass(frozen=True, slots=True)
class TiffPage:
    """One page: its size in pixels, whether white is its 0, and its description."""

    width: int
    height: int
    white_is_zero: bool
    description: str


@dataclass(frozen=True, slots=True)
class _Layout:
    """The byte order, and the formats of a count of entries, of an entry's head, and of a place in the file."""

    order: str
    count: str
    entry: str
    place: str

    def unpack(self, code: str, data: bytes, start: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + code, data, start)

    def size(self, code: str) -> int:
        return struct.calcsize(self.order + code)


def tiff_pages(data: bytes) -> list[TiffPage]:
    """Return the pages of a TIFF file's bytes, in their order; of other bytes, none.

    Raises:
        ValueError: the file is damaged, or ends before its pages do.
    """
    if data[:4] not in MAGIC:
        return []
    try:
        return _walk(data)
    except (struct.error, OverflowError) as error:
        raise ValueError("a file that ends before its pages do") from error


def _walk(data: bytes) -> list[TiffPage]:
    order, wide = "<" if data[:2] == b"II" else ">", b"+" in data[2:4]
    layout = _Layout(order, "Q", "HHQ", "Q") if wide else _Layout(order, "H", "HHI", "I")
    (start,) = layout.unpack(layout.place, data, 8 if wide else 4)
    pages, seen, used = [], set[int](), 0
    while start:
        if start in seen:
            raise ValueError("a chain of pages without an end")
        seen.add(start)
        tags, start = _tags(layout, data, start)
        # Pages that share their tags' bytes would make a small file endless work.
        used += sum(len(values) for values in tags.values())
        if used > len(data):
            raise ValueError("pages that overlap")
        pages.append(_page(tags, len(data)))
    return pages


def _tags(layout: _Layout, data: bytes, start: int) -> tuple[dict[int, tuple[int, ...] | str], int]:
    """Return the tags that we want of a page, and where the next page's are, or 0."""
    (entries,) = layout.unpack(layout.count, data, start)
    first, step = start + layout.size(layout.count), layout.size(layout.entry) + layout.size(layout.place)
    end = first + entries * step
    tags: dict[int, tuple[int, ...] | str] = {}
    for head in range(first, min(end, len(data)), step):
        tag, kind, number = layout.unpack(layout.entry, data, head)
        if tag not in _WANTED:
            continue
        value = head + layout.size(layout.entry)
        code = _CODES.get(kind)
        length = number * (layout.size(code) if code else 1)
        if length > layout.size(layout.place):
            (value,) = layout.unpack(layout.place, data, value)
        if value + length > len(data):
            raise ValueError("a file that ends before its pages do")
        if kind == _TEXT:
            tags[tag] = data[value : value + length].decode("latin-1")
        elif code:
            tags[tag] = layout.unpack(f"{number}{code}", data, value)
    return tags, layout.unpack(layout.place, data, end)[0]


def _page(tags: dict[int, tuple[int, ...] | str], size: int) -> TiffPage:
    for place, length in _PLACES:
        starts, lengths = tags.get(place, ()), tags.get(length, ())
        if isinstance(starts, str) or isinstance(lengths, str) or len(starts) != len(lengths):
            raise ValueError("a page whose pixels have no place")
        if any(start + by > size for start, by in zip(starts, lengths, strict=True)):
            raise ValueError("a file that ends before its pixels do")
    width, height = _number(tags, _WIDTH), _number(tags, _HEIGHT)
    if width * height > _TIGHTEST * size:
        raise ValueError(f"{size} bytes for {width} x {height} pixels")
    return TiffPage(width, height, _number(tags, _PHOTOMETRIC) == 0, _text(tags))


def _number(tags: dict[int, tuple[int, ...] | str], tag: int) -> int:
    match tags.get(tag):
        case (int() as value, *_):
            return value
    raise ValueError(f"a page without tag {tag}")


def _text(tags: dict[int, tuple[int, ...] | str]) -> str:
    value = tags.get(_DESCRIPTION, "")
    return value if isinstance(value, str) else ""
