"""The displayed size of an ordinary PNG or JPEG, from its first bytes: for folders of many pictures.

Pillow reads any picture's header, at a fifth of a millisecond each. These readers know the plain cases, and give None
for everything else, which is then Pillow's (`annotations.pictures`). Where they give a size, it is the one it gives.
"""

import os
import struct
import zlib
from collections.abc import Mapping

from annotations.pictures import LARGEST

Size = tuple[int, int]

_FIRST, _MORE = 4096, 61440
"""Bytes: most headers end within the first ones; a camera's EXIF with its thumbnail ends within both."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

_PNG = b"\x89PNG\r\n\x1a\n"
# Depth and colour type. Source: PNG specification, table 11.1.
_PNG_KINDS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Chunks that change neither size nor orientation, with the fewest bytes that they can have.
_PNG_PLAIN: Mapping[bytes, int] = {
    b"PLTE": 0, b"tRNS": 6, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"sBIT": 0, b"bKGD": 0, b"tIME": 0,
}  # fmt: skip

_JPEG = b"\xff\xd8\xff"
# Markers whose segment changes neither size nor orientation. Source: ITU-T T.81, table B.1.
_JPEG_PLAIN = frozenset({0xC4, 0xDD, 0xFE})
_SOF, _SOS, _DQT = frozenset({0xC0, 0xC1, 0xC2}), 0xDA, 0xDB
_APP0, _APP1, _APP2, _APP13, _APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
_LAYERS = (1, 3, 4)

# Bytes of one value of an EXIF type. Source: TIFF 6.0, section 2; Exif 2.32.
_EXIF_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_ORIENTATION, _SHORT = 0x0112, 3
# Orientations that lay the stored rows along the displayed columns. Source: Exif 2.32, tag 0x0112.
_TRANSPOSED = frozenset({5, 6, 7, 8})
_AS_STORED = 1


def plain_displayed_size(path: str) -> Size | None:
    """Return the displayed (width, height) in pixels of an ordinary picture file, or None where Pillow must look.

    `path` must be no link; what is no ordinary file is not waited for.
    """
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        data = os.read(handle, _FIRST)
        size = displayed_size_of(data)
        if size is None and len(data) == _FIRST:
            size = displayed_size_of(data + os.read(handle, _MORE))
        return size
    except OSError:
        return None
    finally:
        os.close(handle)


def displayed_size_of(data: bytes) -> Size | None:
    """Return the displayed (width, height) in pixels of a picture that begins so, or None where Pillow must look."""
    try:
        if data.startswith(_PNG):
            stored, orientation = _png(data)
        elif data.startswith(_JPEG):
            stored, orientation = _jpeg(data)
        else:
            return None
    except (_InDoubtError, struct.error, IndexError):
        return None
    # What is too large is refused where Pillow looks, by name.
    if 0 in stored or stored[0] * stored[1] > LARGEST:
        return None
    return (stored[1], stored[0]) if orientation in _TRANSPOSED else stored


class _InDoubtError(Exception):
    """The header is not of the plain kind, or longer than what was read of it."""


def _png(data: bytes) -> tuple[Size, int]:
    """Return the stored size and the orientation of a PNG, whose chunks before the first of pixels are all plain."""
    width, height, depth, colour, compression, filters, interlace = struct.unpack_from(">4x4xIIBBBBB", data, 8)
    if data[8:16] != b"\0\0\0\rIHDR" or depth not in _PNG_KINDS.get(colour, ()) or compression or filters:
        raise _InDoubtError
    orientation = _AS_STORED
    at = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            return (width, height), orientation
        end = at + 8 + length
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4]) or interlace > 1:
            raise _InDoubtError
        if kind == b"eXIf":
            orientation = _exif_orientation(data[at + 8 : end])
        elif length < _PNG_PLAIN.get(kind, length + 1) and at != 8:
            raise _InDoubtError
        at = end + 4


def _jpeg(data: bytes) -> tuple[Size, int]:
    """Return the stored size and the orientation of a JPEG, whose segments before the pixels are all plain."""
    size: Size | None = None
    exif: bytes | None = None
    at = 2
    while True:
        mark, marker, length = struct.unpack_from(">BBH", data, at)
        start, at = at + 4, at + 2 + length
        if mark != 0xFF or length < 2 or at > len(data):
            raise _InDoubtError
        if marker == _SOS:
            break
        if marker == _APP1 and data.startswith(b"Exif\0\0", start) and exif is None:
            exif = data[start + 6 : at]
        elif marker in _SOF and size is None:
            size = _frame(data[start:at])
        elif not _is_plain_segment(marker, data[start:at]):
            raise _InDoubtError
    if size is None:
        raise _InDoubtError
    return size, _AS_STORED if exif is None else _exif_orientation(exif)


def _frame(segment: bytes) -> Size:
    bits, height, width, layers = struct.unpack_from(">BHHB", segment)
    if bits != 8 or layers not in _LAYERS or len(segment) != 6 + 3 * layers:
        raise _InDoubtError
    return width, height


def _is_plain_segment(marker: int, segment: bytes) -> bool:
    if marker == _DQT:
        # Tables of 8-bit values, one after the other.
        return len(segment) % 65 == 0 and all(first < 16 for first in segment[::65])
    if marker in (_APP0, _APP14):
        return len(segment) >= 12
    if marker == _APP1:
        return segment.startswith(b"http://ns.adobe.com/xap/1.0/\0") and b"Orientation" not in segment
    if marker == _APP2:
        return segment.startswith(b"ICC_PROFILE\0") and len(segment) > 14
    return marker in _JPEG_PLAIN or (_APP2 < marker < _APP13)


def _exif_orientation(tiff: bytes) -> int:
    """Return the orientation that EXIF data give, 1 where they give none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise _InDoubtError
    (first,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, first)
    unread = len(tiff)
    for tag, kind, count, value in struct.iter_unpack(order + "HHI4s", tiff[first + 2 : first + 2 + 12 * entries]):
        size = _EXIF_UNITS.get(kind, unread) * count
        if tag == _ORIENTATION:
            if kind != _SHORT or count != 1:
                raise _InDoubtError
            return int(struct.unpack(order + "H2x", value)[0])
        if size > 4:
            unread -= size
            if unread < 0 or struct.unpack(order + "I", value)[0] + size > len(tiff):
                raise _InDoubtError
    if first + 2 + 12 * entries > len(tiff):
        raise _InDoubtError
    return _AS_STORED
