"""Pixel scores of a class: Dice, IoU, precision, recall, and the L1 error beside that of an all-background picture.

The L1 error of a yes-or-no picture is the share of its pixels that are wrong. Where a class is rare, a picture without
it is nearly right, so the error alone says little: it always stands beside the error of that empty picture.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from typing import Any, Self

from evaluation.emptiness import NEITHER, NO_DETECTIONS, NO_IMAGES, NO_PIXELS, NO_TRUTH, ratio
from evaluation.label_overlaps import LabelOverlaps

_REASONS = {
    "l1_error": NO_PIXELS,
    "l1_error_of_background": NO_PIXELS,
    "dice": NEITHER,
    "iou": NEITHER,
    "precision": NO_DETECTIONS,
    "recall": NO_TRUTH,
}


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Pixels (voxels) of one class: of the whole picture, of the class in truth, as predicted, and in both (`hit`)."""

    pixels: int = 0
    truth: int = 0
    predicted: int = 0
    hit: int = 0

    def __add__(self, other: Self) -> "PixelCounts":
        return PixelCounts(
            self.pixels + other.pixels,
            self.truth + other.truth,
            self.predicted + other.predicted,
            self.hit + other.hit,
        )

    @property
    def wrong(self) -> int:
        """Return the number of pixels that are of the class in one picture only."""
        return self.truth + self.predicted - 2 * self.hit


@dataclass(frozen=True, slots=True)
class PixelFigures:
    """The pixel scores of one class over `images` pictures; None has its reason in `undefined`.

    `l1_error` is the share of pixels that are wrong, `l1_error_of_background` that of a picture of background alone.
    """

    images: int
    pixels: int
    truth: int
    predicted: int
    hit: int
    l1_error: float | None
    l1_error_of_background: float | None
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    undefined: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON holds them."""
        return asdict(self)


def pixel_figures(counts: PixelCounts, images: int = 1) -> PixelFigures:
    """Return the pixel scores of counts that are the sums over `images` pictures.

    Source: Dice 1945, Measures of the Amount of Ecologic Association Between Species; Jaccard 1912 (IoU).
    """
    either = counts.truth + counts.predicted
    values = {
        "l1_error": ratio(counts.wrong, counts.pixels),
        "l1_error_of_background": ratio(counts.truth, counts.pixels),
        "dice": ratio(2 * counts.hit, either),
        "iou": ratio(counts.hit, either - counts.hit),
        "precision": ratio(counts.hit, counts.predicted),
        "recall": ratio(counts.hit, counts.truth),
    }
    nothing: str | None = NO_IMAGES if not images else None if counts.pixels else NO_PIXELS
    undefined = {name: nothing or _REASONS[name] for name, value in values.items() if value is None}
    return PixelFigures(
        images, counts.pixels, counts.truth, counts.predicted, counts.hit, **values, undefined=undefined
    )


def foreground_counts(overlaps: LabelOverlaps) -> PixelCounts:
    """Return the pixel counts of everything that is not background, as one class."""
    truth, predicted = int(overlaps.truth_size.sum()), int(overlaps.predicted_size.sum())
    return PixelCounts(overlaps.pixels, truth, predicted, int(overlaps.shared.sum()))


def class_counts(overlaps: LabelOverlaps, values: Sequence[int]) -> list[PixelCounts]:
    """Return the pixel counts of each of `values` from the overlaps of two class pictures, whose pixels hold the number
    of their class; 0 is background.

    Raises:
        ValueError: a value is below 0.
    """
    return [_counts_of(overlaps, value) for value in values]


def _counts_of(overlaps: LabelOverlaps, value: int) -> PixelCounts:
    if value < 0:
        raise ValueError(f"value must be at least 0, got {value}")
    if not value:
        return _background(foreground_counts(overlaps))
    mine, theirs = overlaps.truth_label == value, overlaps.predicted_label == value
    both = mine[overlaps.truth_row] & theirs[overlaps.predicted_row]
    truth, predicted = int(overlaps.truth_size[mine].sum()), int(overlaps.predicted_size[theirs].sum())
    return PixelCounts(overlaps.pixels, truth, predicted, int(overlaps.shared[both].sum()))


def _background(foreground: PixelCounts) -> PixelCounts:
    pixels = foreground.pixels
    neither = pixels - foreground.truth - foreground.predicted + foreground.hit
    return PixelCounts(pixels, pixels - foreground.truth, pixels - foreground.predicted, neither)


def summed(counts: Iterable[PixelCounts]) -> PixelCounts:
    """Return the counts of several pictures together; of none, zeros."""
    return reduce(add, counts, PixelCounts())
