"""What a dataset holds, counted: by split and class, by size in pixels and at a network's input, by flag."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.check_sizes import sizes_of
from annotations.sightings import Sighting, View, sighting_of_all
from annotations.tables import SPLITS, BoxDataset, pixels

SMALL, LARGE = 32.0, 96.0
"""Sides of the squares that part small, medium and large objects. Source: COCO's evaluation, areas of 32^2 and 96^2."""
SMALLEST_SIDE = 8.0
"""Pixels of the network's input on a box's shorter side below which nothing of a shape is left: one cell of the
object predictors' finest feature map, two of the parts'."""
NEARLY_ALL = 0.99
"""Share of a class that an input must show to be named: one slip of the mouse would otherwise ask for a huge input."""
_INPUT_STEP, _LEAST_INPUT = 32, 64


@dataclass(frozen=True, slots=True)
class SizeCounts:
    """The sizes of a class: boxes by COCO's areas, the median size, and the shorter side that 1 % of the boxes lack.

    `at_input` counts by the same areas at the network's input; `below` is the number of boxes whose shorter side is
    below SMALLEST_SIDE there; both are None without an input. `input_needed` shows 99 % of the class.
    """

    in_pixels: dict[str, int]
    median: float
    shortest: float
    input_needed: int
    at_input: dict[str, int] | None
    below: int | None


def size_counts(dataset: BoxDataset, input_size: int | None) -> dict[str, SizeCounts]:
    """Return the sizes of each class that has boxes; `input_size` is the longer side of the network's input."""
    sizes, shorter = sizes_of(dataset), _shorter_sides(dataset)
    counts = {}
    for class_id, label in enumerate(dataset.classes):
        rows = np.flatnonzero(dataset.annotations.class_id == class_id)
        if len(rows):
            size = sizes.pixels[rows]
            at_input = None if input_size is None else _by_area(sizes.relative[rows] * input_size)
            below = None if input_size is None else int((shorter.relative[rows] * input_size < SMALLEST_SIDE).sum())
            median, shortest = float(np.median(size)), float(np.quantile(shorter.pixels[rows], 1 - NEARLY_ALL))
            needed = _input_needed(shorter.relative[rows])
            counts[label] = SizeCounts(_by_area(size), median, shortest, needed, at_input, below)
    return counts


def flag_counts(dataset: BoxDataset) -> dict[str, dict[str, int]]:
    """Return for each flag that is true anywhere how many images of each split ("" for none) it is true of."""
    flags = dataset.images.flags.tolist()
    names = sorted({name for text in flags for name in text.split(";") if name})
    count = {name: dict.fromkeys((*SPLITS, ""), 0) for name in names}
    for text, split in zip(flags, dataset.images.split.tolist(), strict=True):
        for name in text.split(";"):
            if name:
                count[name][split] += 1
    return count


def check_input(dataset: BoxDataset, input_size: int) -> Iterator[Sighting]:
    """Give a sighting for each class of which more boxes than 1 % are too small to be seen at the network's input."""
    shorter = _shorter_sides(dataset).relative * input_size
    for label, sizes in size_counts(dataset, input_size).items():
        rows = np.flatnonzero(dataset.annotations.class_id == dataset.classes.index(label))
        if not sizes.below or sizes.below <= (1 - NEARLY_ALL) * len(rows):
            continue
        smallest_first = rows[np.argsort(shorter[rows], kind="stable")][: sizes.below]
        image_rows, first = np.unique(dataset.annotations.image_row[smallest_first], return_index=True)
        views = [
            View(int(image_row), (int(row),), f"{label} {shorter[row]:.1f} px")
            for image_row, row in sorted(
                zip(image_rows, smallest_first[first], strict=True), key=lambda p: shorter[p[1]]
            )
        ]
        message = (
            f"{label!r} should have {SMALLEST_SIDE:.0f} pixels or more on its shorter side at input {input_size}, got"
            f" {sizes.below} of {len(rows)} ({sizes.below / len(rows):.0%}) with less, least {shorter[rows].min():.1f};"
            f" input {sizes.input_needed} would do for {NEARLY_ALL:.0%}"
        )
        yield sighting_of_all("too-small", message, views)


def sizes_json(counts: Mapping[str, SizeCounts]) -> dict[str, Any]:
    """Return the sizes ready for JSON."""
    return {label: asdict(sizes) for label, sizes in counts.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Sides:
    pixels: NDArray[np.float64]
    relative: NDArray[np.float64]


def _shorter_sides(dataset: BoxDataset) -> _Sides:
    table, images = dataset.annotations, dataset.images
    xyxy = pixels(images, table.image_row, table.xyxy_rel)
    shorter = np.minimum(xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1])
    # The network's letterbox brings a picture's longer side to that of its input.
    return _Sides(shorter, shorter / np.maximum(images.width, images.height)[table.image_row])


def _by_area(size: NDArray[np.float64]) -> dict[str, int]:
    small, large = int((size < SMALL).sum()), int((size >= LARGE).sum())
    return {"small": small, "medium": len(size) - small - large, "large": large}


def _input_needed(shorter: NDArray[np.float64]) -> int:
    least = float(np.quantile(shorter, 1 - NEARLY_ALL))
    return max(_LEAST_INPUT, int(-(-SMALLEST_SIDE / least // _INPUT_STEP) * _INPUT_STEP))
