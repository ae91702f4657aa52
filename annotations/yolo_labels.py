"""A YOLO label file: a line an object, its class and a box or an outline in fractions of the image's size."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from annotations.notes import FileRefused, shown
from annotations.shapes import MOST_SHAPES, Region

LARGEST_LABELS = 16 * 2**20
"""Bytes; a line of five numbers at full precision has about 85, and no photograph has 100,000 objects."""

_PLACE = "line {}"
_BOX = 5
_SHORTEST_OUTLINE = 7
_FARTHEST = 2.0
"""A coordinate beyond this is no fraction of the image that reaches over its edge, but a number of pixels."""
_NO_NUMBER = re.compile(r"[^0-9+\-.eE \t\r\n]")


class LabelLine(NamedTuple):
    """One line: its number (from 1), its class, and its box in fractions; `outline` is (x, y) after (x, y), or ()."""

    number: int
    class_id: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    outline: Sequence[float]


def label_lines(text: str, classes: int, keypoints: int = 0) -> list[LabelLine]:
    """Return the lines of a label file; `class cx cy w h`, or `class x1 y1 x2 y2 ...` whose envelope is the box.

    `keypoints` are the numbers that follow each box where the folder has keypoints; they are left out.

    Raises:
        FileRefused: a line is neither, or its class is none of the `classes` first numbers.

    Source: https://docs.ultralytics.com/datasets/detect (boxes), .../segment (outlines), .../pose (keypoints).
    """
    rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if _NO_NUMBER.search(text):
        number, row = next((number, row) for number, row in enumerate(rows, start=1) if _NO_NUMBER.search(row))
        raise FileRefused("bad-entry", f"line must hold numbers alone, got {shown(row)}", _PLACE.format(number))
    lines = [(number, row.split()) for number, row in enumerate(rows, start=1) if row.strip()]
    if len(lines) > MOST_SHAPES:
        raise FileRefused("bad-file", f"lines must be at most {MOST_SHAPES:,}, got {len(lines):,}")
    return [_label_line(number, cells, classes, keypoints) for number, cells in lines]


def regions_of_lines(lines: Sequence[LabelLine], names: Sequence[str], width: int, height: int) -> list[Region]:
    """Return the lines as regions in pixels of an image of `width` x `height`."""
    return [
        Region(
            names[line.class_id],
            "",
            line.xmin * width,
            line.ymin * height,
            line.xmax * width,
            line.ymax * height,
            "polygon" if line.outline else "rectangle",
            line.number,
            _PLACE,
        )
        for line in lines
    ]


def _label_line(number: int, cells: list[str], classes: int, keypoints: int) -> LabelLine:
    try:
        class_id, *values = map(float, cells)
        _check(class_id, values, classes, keypoints)
    except FileRefused as error:
        raise FileRefused(error.note.code, error.note.message, _PLACE.format(number)) from error
    except ValueError as error:
        got = shown(" ".join(cells[:20]))
        raise FileRefused("bad-entry", f"line must hold numbers, got {got}", _PLACE.format(number)) from error
    if len(cells) in (_BOX, _BOX + keypoints):
        x, y, width, height = values[:4]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return LabelLine(number, int(class_id), *box, ())
    xs, ys = values[::2], values[1::2]
    return LabelLine(number, int(class_id), min(xs), min(ys), max(xs), max(ys), values)


def _check(class_id: float, values: Sequence[float], classes: int, keypoints: int) -> None:
    """Do nothing where the numbers of a line can be a box or an outline.

    Raises:
        FileRefused: they cannot.
    """
    count = len(values) + 1
    is_box = count in (_BOX, _BOX + keypoints)
    if keypoints and not is_box:
        raise FileRefused("bad-entry", f"line must hold {_BOX + keypoints} numbers (kpt_shape), got {count}")
    if not is_box and (count < _SHORTEST_OUTLINE or count % 2 == 0):
        must = "class cx cy w h, or a class and at least three points"
        raise FileRefused("bad-entry", f"line must hold {must}, got {count} numbers")
    if not class_id.is_integer() or not 0 <= class_id < classes:
        raise FileRefused("bad-entry", f"class must be an integer from 0 to {classes - 1}, got {class_id:g}")
    numbers = values[:4] if is_box else values
    if not all(math.isfinite(value) and abs(value) <= _FARTHEST for value in numbers):
        worst = next(value for value in numbers if not abs(value) <= _FARTHEST)
        raise FileRefused("bad-entry", f"coordinates must be fractions of the image's size, got {worst:g}")
    if is_box and (numbers[2] < 0 or numbers[3] < 0):
        raise FileRefused("bad-entry", f"width and height must not be negative, got {min(numbers[2:]):g}")
