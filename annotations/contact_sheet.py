"""Contact sheets: what the findings of one code look like, in one picture."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotations.check_pictures import Embedded
from annotations.errors import AnnotationError
from annotations.palette import SKY, VERMILION, Colour
from annotations.pictures import read_picture
from annotations.sightings import MOST_VIEWS, Sighting, View
from annotations.tables import BoxDataset, Boxes, pixels

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Picture = NDArray[np.uint8]
_Item = TypeVar("_Item")

TILE = 240
"""Pixels on a side of one view."""
_COLUMNS = 6
_CAPTION = 34
_MARGIN = 8
_TEXT_SIZE = 12
_CONTEXT = 1.5
"""Times its longer side that is shown round a box on each side, so that one sees what it is beside."""
_LEAST_CROP = 96.0
_PAPER, _INK, _EMPTY = (248, 250, 252), (17, 24, 39), (229, 231, 235)


class _Cell(NamedTuple):
    """Views beside each other, under one caption of two lines."""

    views: tuple[View, ...]
    lines: tuple[str, str]


def contact_sheet(
    dataset: BoxDataset, sightings: Sequence[Sighting], embedded: Embedded | None = None
) -> Picture | None:
    """Return the (H, W, 3) sheet of the findings of one code, at most MOST_VIEWS views; None where none has a view.

    Of more findings, those shown are taken evenly from all. A picture that cannot be read has an empty frame;
    `embedded` gives those that are inside their annotation files alone.
    """
    cells = _cells(dataset, sightings)
    if not cells:
        return None
    boxes = _BoxesByImage(dataset)
    width = max(len(cell.views) for cell in cells)
    columns = max(1, min(_COLUMNS // width, len(cells)))
    wide, high = width * TILE + _MARGIN, TILE + _CAPTION + _MARGIN
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * high + _MARGIN, columns * wide + _MARGIN, 3), _PAPER, np.uint8)
    captions = []
    for place, cell in enumerate(cells):
        top, left = _MARGIN + place // columns * high, _MARGIN + place % columns * wide
        for number, view in enumerate(cell.views):
            x = left + number * TILE
            sheet[top : top + TILE, x : x + TILE - 2] = _tile(dataset, boxes, view, embedded or {})[:, : TILE - 2]
        captions.append((left, top + TILE + 2, len(cell.views) * TILE - 6, cell.lines))
    return _written(sheet, captions)


def _cells(dataset: BoxDataset, sightings: Sequence[Sighting]) -> list[_Cell]:
    shown = [sighting for sighting in sightings if sighting.views]
    if any(sighting.side_by_side for sighting in shown):
        chosen = _evenly(shown, MOST_VIEWS // 2)
        return [_Cell(seen.views, (_names(dataset, seen.views), seen.views[-1].words)) for seen in chosen]
    if len(shown) > 1:
        # One finding that speaks of many images must not crowd out the others.
        each = max(1, MOST_VIEWS // len(shown))
        views = [view for sighting in _evenly(shown, MOST_VIEWS) for view in _evenly(sighting.views, each)]
    else:
        views = [view for sighting in shown for view in _evenly(sighting.views, MOST_VIEWS)]
    return [_Cell((view,), (_names(dataset, [view]), view.words)) for view in views[:MOST_VIEWS]]


def _evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    places = np.linspace(0, len(items) - 1, min(len(items), most)).astype(np.int64)
    return [items[place] for place in places]


def _names(dataset: BoxDataset, views: Iterable[View]) -> str:
    images = dataset.images
    return "  |  ".join(
        f"{str(images.image_id[view.image_row]).rsplit('/', 1)[-1]}"
        + (f" ({images.split[view.image_row]})" if images.split[view.image_row] else "")
        for view in views
    )


class _BoxesByImage:
    """The boxes of each image in pixels, found without a search through all of them."""

    def __init__(self, dataset: BoxDataset) -> None:
        table = dataset.annotations
        self.dataset = dataset
        self.order = np.argsort(table.image_row, kind="stable")
        self.sorted_rows = table.image_row[self.order]

    def of_image(self, image_row: int) -> tuple[NDArray[np.int64], Boxes]:
        first, last = np.searchsorted(self.sorted_rows, [image_row, image_row + 1])
        rows = self.order[first:last]
        return rows, pixels(self.dataset.images, np.full(len(rows), image_row), self.dataset.annotations.xyxy_rel[rows])


def _tile(dataset: BoxDataset, boxes: _BoxesByImage, view: View, embedded: Embedded) -> Picture:
    images = dataset.images
    frame = int(images.width[view.image_row]), int(images.height[view.image_row])
    tile = np.full((TILE, TILE, 3), _EMPTY, np.uint8)
    try:
        inside = embedded.get(view.image_row)
        picture = read_picture(dataset.picture(view.image_row) if inside is None else inside(), frame)
    except (AnnotationError, OSError):
        cv2.line(tile, (0, 0), (TILE, TILE), (209, 213, 219), 1, cv2.LINE_AA)
        cv2.line(tile, (0, TILE), (TILE, 0), (209, 213, 219), 1, cv2.LINE_AA)
        return tile
    rows, xyxy = boxes.of_image(view.image_row)
    # A resized picture is shown in the frame of its boxes.
    scale = np.array([picture.shape[1] / frame[0], picture.shape[0] / frame[1]] * 2)
    xyxy = xyxy * scale
    meant = np.isin(rows, view.box_rows)
    left, top, right, bottom = _crop(xyxy[meant], picture.shape[1], picture.shape[0])
    crop = picture[top:bottom, left:right]
    shrink = TILE / max(crop.shape[:2])
    height, width = (max(1, min(TILE, round(side * shrink))) for side in crop.shape[:2])
    method = cv2.INTER_AREA if shrink < 1 else cv2.INTER_CUBIC
    small = np.array(cv2.resize(crop, (width, height), interpolation=method), np.uint8)
    placed = (xyxy - np.array([left, top, left, top])) * shrink
    for box, is_meant in sorted(zip(placed.tolist(), meant.tolist(), strict=True), key=lambda pair: pair[1]):
        if is_meant:
            _draw(small, box, (0, 0, 0), 4)
        _draw(small, box, VERMILION if is_meant else SKY, 2 if is_meant else 1)
    y, x = (TILE - height) // 2, (TILE - width) // 2
    tile[y : y + height, x : x + width] = small
    return tile


def _crop(meant: Boxes, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the (left, top, right, bottom) pixels of a picture to show: round the boxes meant, or all of it."""
    if not len(meant):
        return 0, 0, width, height
    low, high = meant[:, :2].min(axis=0), meant[:, 2:].max(axis=0)
    side = max(_LEAST_CROP, float((high - low).max()) * (1 + 2 * _CONTEXT))
    centre = (low + high) / 2
    left, top = np.floor(np.clip(centre - side / 2, 0, None)).astype(int).tolist()
    right, bottom = np.ceil(np.minimum(centre + side / 2, [width, height])).astype(int).tolist()
    return min(left, width - 1), min(top, height - 1), max(right, left + 1), max(bottom, top + 1)


def _draw(picture: Picture, box: Sequence[float], colour: Colour, line: int) -> None:
    # Far outside what is shown, coordinates would not fit OpenCV's integers.
    left, top, right, bottom = (round(min(max(value, -10.0), TILE + 10.0)) for value in box)
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour, line, cv2.LINE_AA)


def _written(sheet: Picture, captions: Iterable[tuple[int, int, int, tuple[str, str]]]) -> Picture:
    from PIL import Image, ImageDraw  # OpenCV writes ASCII alone

    image = Image.fromarray(sheet)
    draw = ImageDraw.Draw(image)
    font = _font()
    for left, top, width, lines in captions:
        for number, line in enumerate(lines):
            colour = _INK if number == 0 else (75, 85, 99)
            draw.text((left + 2, top + number * (_TEXT_SIZE + 3)), _fitting(line, width, font), colour, font)
    return np.asarray(image, np.uint8)


@cache
def _font() -> "FreeTypeFont":
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", _TEXT_SIZE)


def _fitting(text: str, width: int, font: "FreeTypeFont") -> str:
    """Return a text as one line no wider than `width` pixels, its middle left out: names differ at their ends."""
    text = " ".join(text.split())[:300]
    if font.getlength(text) <= width:
        return text
    kept = len(text) - 1
    while kept > 1 and font.getlength(_without_middle(text, kept)) > width:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    return text[: (kept + 1) // 2] + "…" + text[len(text) - kept // 2 :]
