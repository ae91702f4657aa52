"""A finding of `check` together with what shows it: the images, and the boxes in them that are meant."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from annotations.findings import Finding
from annotations.tables import BoxDataset

MOST_VIEWS = 24
"""Views that a finding about many images keeps: as many as a contact sheet shows."""


class View(NamedTuple):
    """One picture of a contact sheet: an image row, the rows of the boxes that are meant, and a few words."""

    image_row: int
    box_rows: tuple[int, ...] = ()
    words: str = ""


class Sighting(NamedTuple):
    """A finding and its views; `side_by_side` says that the views belong together, as two copies of a picture do."""

    finding: Finding
    views: tuple[View, ...] = ()
    side_by_side: bool = False


def sighting_of_image(dataset: BoxDataset, code: str, row: int, message: str, words: str = "") -> Sighting:
    """Return the sighting of a whole image."""
    return Sighting(_finding(dataset, code, row, "", message), (View(row, (), words),))


def sighting_of_boxes(
    dataset: BoxDataset, code: str, box_rows: Iterable[int], message: str, words: str = ""
) -> Sighting:
    """Return the sighting of one or more boxes of one image; the finding names the first."""
    rows = tuple(int(row) for row in box_rows)
    table = dataset.annotations
    image_row = int(table.image_row[rows[0]])
    return Sighting(
        _finding(dataset, code, image_row, box_name(dataset, rows[0]), message), (View(image_row, rows, words),)
    )


def sighting_of_all(code: str, message: str, views: Iterable[View] = ()) -> Sighting:
    """Return the sighting of a fact about many images."""
    return Sighting(Finding(code, "", "", "", message), tuple(views)[:MOST_VIEWS])


def box_name(dataset: BoxDataset, row: int) -> str:
    """Return how a finding names the box in this row of the annotations."""
    return f"object {int(dataset.annotations.object_id[row])}"


def corners(xyxy: Iterable[float]) -> str:
    """Return a box in pixels as text."""
    return "[" + ", ".join(f"{value:.1f}".removesuffix(".0") for value in np.asarray(xyxy, np.float64).tolist()) + "]"


def _finding(dataset: BoxDataset, code: str, row: int, place: str, message: str) -> Finding:
    images = dataset.images
    return Finding(code, str(images.source[row]), place, str(images.image_id[row]), message)
