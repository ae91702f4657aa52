"""The frame of a Labelme file: the size in pixels that its coordinates are relative to, checked against the image."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotations.errors import AnnotationError
from annotations.imagepaths import ImagePlace
from annotations.notes import FileRefused, Note
from annotations.pictures import displayed_and_stored_size

Size = tuple[int, int]
LARGEST_SIDE = 1_000_000
"""Pixels; a larger width or height in an annotation file is no size."""


def frame_of(document: Mapping[str, Any], root: Path, place: ImagePlace, notes: list[Note]) -> Size:
    """Return the (width, height) that the annotator saw: the file's own, else the image's as displayed.

    Raises:
        FileRefused: there is no size, or the image has a size that no resize explains.
    """
    annotated = annotated_size(document)
    if not place.found:
        return annotated or _embedded_size(document, "no such file", notes)
    try:
        displayed, stored = displayed_and_stored_size(root / place.path)
    except AnnotationError as error:
        fault = str(error).removeprefix(f"{root / place.path}: ")
        if annotated is None:
            return _embedded_size(document, fault, notes)
        notes.append(Note("unchecked-image", "", f"{place.path}: {fault}; the annotated size is kept"))
        return annotated
    if annotated is None:
        return _taken(displayed, "the image", notes)
    if annotated != displayed:
        _compare(annotated, displayed, stored, place.path, notes)
    return annotated


def annotated_size(document: Mapping[str, Any]) -> Size | None:
    """Return the (width, height) that the file itself gives, or None."""
    width, height = _side(document.get("imageWidth")), _side(document.get("imageHeight"))
    return (width, height) if width and height else None


def _side(value: object) -> int:
    """Return a side in pixels, or 0 where the value is no size."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value <= LARGEST_SIDE else 0


def _embedded_size(document: Mapping[str, Any], fault: str, notes: list[Note]) -> Size:
    data = document.get("imageData")
    if not isinstance(data, str) or not data:
        message = f"imageWidth and imageHeight must be given where the image gives no size ({fault}), got none"
        raise FileRefused("unknown-size", message)
    try:
        displayed, _ = displayed_and_stored_size(base64.b64decode(data))
    except (binascii.Error, ValueError, AnnotationError) as error:
        raise FileRefused("unreadable-image", f"imageData must be a picture, got {error}") from error
    return _taken(displayed, "imageData", notes)


def _taken(size: Size, origin: str, notes: list[Note]) -> Size:
    message = f"imageWidth and imageHeight must be given, got none; {_text(size)} taken from {origin}"
    notes.append(Note("size-from-image", "", message))
    return size


def _compare(annotated: Size, displayed: Size, stored: Size, path: str, notes: list[Note]) -> None:
    """Note why the annotated size may differ from the displayed one.

    Raises:
        FileRefused: nothing explains it.
    """
    sizes = f"{path}: image must be {_text(annotated)} as annotated, got {_text(displayed)}"
    if is_resized(annotated, displayed):
        notes.append(Note("stale-size", "", f"{sizes}, the same picture resized; the boxes keep their place"))
    elif annotated == stored:
        message = f"{sizes} after its EXIF rotation; the boxes are kept as drawn on the picture without it"
        notes.append(Note("unrotated-size", "", message))
    else:
        raise FileRefused("size-mismatch", f"{sizes}: cropped or replaced since, so the boxes' place is unknown")


def is_resized(old: Size, new: Size) -> bool:
    """Return whether one factor, with each side rounded or cut, turns the old (width, height) into the new one."""
    if (old[0] == new[0]) != (old[1] == new[1]):
        return False  # one side is as it was: a crop, or a border
    # Each side gives the factors that it allows: programs round to the nearest pixel, or cut the fraction off.
    least = max((side - 0.5) / before for before, side in zip(old, new, strict=True))
    most = min((side + 1.0) / before for before, side in zip(old, new, strict=True))
    return least < most


def _text(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
