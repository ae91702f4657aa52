"""The objects of a Pascal VOC file: regions in pixels, with the object that each part stands in."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from annotations.linking import NONE
from annotations.notes import FileRefused, Note, is_plain, shown
from annotations.shapes import MOST_SHAPES, Region

_LONGEST_LABEL = 1000
_FARTHEST = 1e12
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST_NUMBER = 400
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_TRUE = ("1", "true", "yes")
_NO_POSE = ("", "unspecified")
# An attribute of XML itself: the text is as it stands, blanks around it included.
_SPACE = "{http://www.w3.org/XML/1998/namespace}space", "xml:space"


class VocObjects(NamedTuple):
    """The objects and parts of one file, each object before its parts.

    `parents` gives for each the place of the object that it is nested in, or NONE. `difficult` are the numbers of
    those marked so, and `other` counts the marks that a dataset has no place for.
    """

    regions: list[Region]
    parents: list[int]
    difficult: frozenset[int]
    other: Counter[str]


def objects_of(root: Element, first_pixel: int, notes: list[Note]) -> VocObjects:
    """Return the objects of an `<annotation>`.

    `first_pixel` is the number of the first pixel: from 1 on, a box holds its last column and row, so that 1 to 1 is
    one pixel wide; from 0 on, the numbers are edges.

    Raises:
        FileRefused: an object has no name or no box of four numbers; it is named.

    Source: The PASCAL Visual Object Classes Challenge 2012 Development Kit, section 9.2 (`bndbox`, `part`,
    `difficult`); the original's top left pixel is (1, 1).
    """
    regions: list[Region] = []
    parents: list[int] = []
    difficult: set[int] = set()
    other: Counter[str] = Counter()
    inverted = 0
    for element, place, parent in _nested(root):
        if len(regions) == MOST_SHAPES:
            raise FileRefused("bad-file", f"objects must be at most {MOST_SHAPES:,}, got more")
        try:
            label, corners = _name_of(element), _corners_of(element)
        except FileRefused as error:
            raise FileRefused(error.note.code, error.note.message, place) from error
        inverted += corners[0] > corners[2] or corners[1] > corners[3]
        left, right = sorted(corners[::2])
        top, bottom = sorted(corners[1::2])
        number = len(regions)
        box = (left - first_pixel, top - first_pixel, right, bottom)
        regions.append(Region(label, "", *box, "rectangle", number, place))
        parents.append(parent)
        if _is_true(element.findtext("difficult")):
            difficult.add(number)
        other.update(_marks_of(element))
    if inverted:
        message = f"{inverted} of {len(regions)} boxes have xmin above xmax or ymin above ymax; put in order"
        notes.append(Note("inverted-corners", "", message))
    return VocObjects(regions, parents, frozenset(difficult), other)


def _nested(root: Element) -> Iterator[tuple[Element, str, int]]:
    """Yield each object and part, its name for a finding, and the number of what it is nested in, depth first."""
    waiting = [(element, f"objects[{place}]", NONE) for place, element in enumerate(root.findall("object"))][::-1]
    number = 0
    while waiting:
        element, place, parent = waiting.pop()
        yield element, place, parent
        parts = [(part, f"{place}.parts[{row}]", number) for row, part in enumerate(element.findall("part"))]
        waiting += parts[::-1]
        number += 1


def _name_of(element: Element) -> str:
    name = element.find("name")
    text = "" if name is None else name.text or ""
    if name is None or not any(name.get(key) == "preserve" for key in _SPACE):
        text = text.strip()
    if not text or not is_plain(text, _LONGEST_LABEL):
        raise FileRefused("bad-entry", f"name must be a label, got {shown(text)}")
    return text


def _corners_of(element: Element) -> list[float]:
    box = element.find("bndbox")
    if box is None:
        raise FileRefused("bad-entry", "object must have a bndbox, got none")
    corners = []
    for edge in _EDGES:
        text = (box.findtext(edge) or "").strip()
        value = float(text) if len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) else None
        if value is None or abs(value) > _FARTHEST:
            raise FileRefused("bad-points", f"{edge} must be a number of pixels, got {shown(text)}")
        corners.append(value)
    return corners


def _marks_of(element: Element) -> Iterator[str]:
    for mark in ("truncated", "occluded"):
        if _is_true(element.findtext(mark)):
            yield mark
    if (element.findtext("pose") or "").strip().lower() not in _NO_POSE:
        yield "pose"


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() in _TRUE
