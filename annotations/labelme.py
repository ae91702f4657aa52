"""One Labelme file, read: its bytes to a JSON object that is Labelme's, its flags and the split that they name."""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotations.errors import AnnotationError
from annotations.notes import FileRefused, Note, is_plain, shown
from annotations.plain_files import read_plain

LARGEST_FILE = 64 * 2**20
"""Bytes; only image data inside the file makes it large, and 64 MiB of it is a picture of 48 MB."""

SPLIT_OF_FLAG: Mapping[str, str] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}

_LONGEST_FLAGS = 500
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
# A JSON object with one of these keys was meant as a Labelme file.
_MARKS = ("shapes", "imagePath", "imageData")


def read_labelme(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a Labelme file, or None where the file is whole JSON of another kind.

    Raises:
        FileRefused: the file cannot be read in bounded time and memory, is not UTF-8 or is not whole JSON.
    """
    data = read_plain(path, LARGEST_FILE)
    try:
        document = json.loads(_decoded(data))
    except RecursionError as error:
        raise FileRefused("bad-json", "file must be JSON, got brackets nested too deeply") from error
    except ValueError as error:
        raise FileRefused("bad-json", f"file must be whole JSON, got {error}") from error
    if not isinstance(document, dict) or not any(mark in document for mark in _MARKS):
        return None
    if not isinstance(document.get("shapes"), list):
        raise FileRefused("bad-file", f"shapes must be a list, got {shown(document.get('shapes'))}")
    return document


def embedded_picture(path: Path) -> bytes:
    """Return the bytes of the picture that a Labelme file holds as its imageData.

    Raises:
        AnnotationError: the file cannot be read any more, or holds none.
    """
    document = read_labelme(path) or {}
    try:
        return base64.b64decode(document.get("imageData") or "")
    except (binascii.Error, ValueError, TypeError) as error:
        raise AnnotationError(f"{path}: imageData must be a picture in base64, got {error}") from error


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got = _BYTE_ORDER_MARKS.get(data[:2], f"byte 0x{data[error.start]:02x} at {error.start}")
        message = (
            f"file must be UTF-8 text, got {got}; Labelme before 4.5.2 wrote the Windows code page: convert it first"
        )
        raise FileRefused("bad-encoding", message) from error


def true_flags(document: Mapping[str, Any], notes: list[Note]) -> list[str]:
    """Return the names of the image flags whose value is true; other values than true and false are noted.

    Raises:
        FileRefused: `flags` is no object of names, or its names cannot be kept.
    """
    flags = document.get("flags")
    if flags is None:
        return []
    if not isinstance(flags, dict):
        raise FileRefused("bad-file", f"flags must be an object, got {shown(flags)}")
    for name, value in flags.items():
        if not isinstance(value, bool):
            notes.append(Note("odd-flag", "", f"flag {shown(name)} must be true or false, got {shown(value)}; not set"))
    names = [name for name, value in flags.items() if value is True]
    if not is_plain(";".join(names), _LONGEST_FLAGS):
        raise FileRefused(
            "bad-file", f"true flags must be at most {_LONGEST_FLAGS} letters of text, got {shown(names)}"
        )
    for name in names:
        if ";" in name:
            notes.append(Note("odd-flag", "", f"flag must hold no ';', which separates flags, got {shown(name)}"))
    return names


def split_of_flags(names: list[str], notes: list[Note]) -> str:
    """Return the split that true flags name: train, val, test, or "" where none or several do."""
    splits = sorted({SPLIT_OF_FLAG[name] for name in names if name in SPLIT_OF_FLAG})
    for name in names:
        if name not in SPLIT_OF_FLAG and name.strip().casefold() in SPLIT_OF_FLAG:
            notes.append(Note("near-split-flag", "", f"flag {shown(name)} names no split; {name.casefold()!r} would"))
    if len(splits) > 1:
        notes.append(
            Note("several-splits", "", f"one split flag must be true, got {', '.join(splits)}; no split given")
        )
        return ""
    return splits[0] if splits else ""
