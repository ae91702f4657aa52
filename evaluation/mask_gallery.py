"""The worst images of masks, drawn to look at: what is there, what was predicted, what was missed and what is false."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import PpnlabError
from annotations.palette import GREEN, PURPLE, SKY, VERMILION, YELLOW, Colour
from evaluation.label_files import read_intensities, read_probabilities
from evaluation.label_matching import match_labels
from evaluation.label_overlaps import Labels, label_overlaps
from evaluation.label_pairs import FilePair, read_pair
from evaluation.mask_figures import MaskMetrics
from evaluation.mask_scores import MaskScores
from evaluation.pixel_curves import reaches
from evaluation.pixel_folders import ClassPixelMetrics, ProbabilityMetrics

_LONGEST = 1024
"""Pixels of the longer side of a picture in the page; of a larger one a part is shown: shrunk outlines are blots."""
_STEP = 64
"""Pixels from one part that might be shown to the next."""
_SMALL, _LARGEST_PIXEL = 720, 8
"""The longer side that a small picture is enlarged to, and how much at most."""
_QUALITY = 85
_DARK = 40
"""The grey behind outlines where there is no picture."""
_FILL = 0.35
_LINE, _EDGE = 5, 7
"""Sides of the squares that make an outline, two pixels wide, and the dark edge inside it."""
_STRETCH = (0.5, 99.5)
"""Percentiles of the intensities that become black and white: micrographs fill a part of the scale only."""

OUTLINES = {
    "truth": "truth that was found",
    "hit": "prediction that found it",
    "fp": "predicted, and no truth",
    "missed": "truth that was not found",
}
"""What is drawn of objects, by its name among the page's colours, in the order of drawing."""
AREAS = {
    "hit": "rightly predicted",
    "fp": "predicted, and not there",
    "missed": "there, and not predicted",
    "other": "predicted as another class",
}
"""What is drawn of pixels, likewise."""
_COLOUR: Mapping[str, Colour] = {"truth": SKY, "hit": GREEN, "fp": VERMILION, "missed": YELLOW, "other": PURPLE}

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MaskPicture:
    """One image of the gallery: its name, what to say below it, its size on the page, and itself as a data URI."""

    name: str
    caption: str
    width: int
    height: int
    uri: str


@dataclass(frozen=True, slots=True)
class _Slice:
    """What is shown of one image: a part (h, w) of the truth and of the prediction.

    It begins at pixel `top`, `left` of slice number `place` of the image, whose shape is `whole`: depth, height, width.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    place: int
    top: int
    left: int
    whole: tuple[int, int, int]

    def cut(self, stack: NDArray[Any]) -> NDArray[Any]:
        """Return the same part of another (depth, height, width, ...) array."""
        height, width = self.truth.shape
        return stack[self.place, self.top : self.top + height, self.left : self.left + width]

    @property
    def where(self) -> list[str]:
        """Return in words which part of the image it is, where it is not the whole."""
        depth, height, width = self.whole
        part = f"the part from x {self.left}, y {self.top}" if self.truth.shape != (height, width) else ""
        return [f"slice {self.place + 1} of {depth}" if depth > 1 else "", part]


def worst_masks(scores: MaskScores, split: str, most: int) -> list[MaskPicture]:
    """Return up to `most` images of a split, those with most errors first; faultless ones never.

    Errors are objects missed and made up at `shown_iou`, or wrong pixels. Of a stack the slice with most wrong
    pixels is drawn, of a large picture the part with most of them. The files are read again.

    Raises:
        AnnotationError: a file is no longer what it was.
    """
    pairs = {pair.name: pair for pair in scores.pairs[split]}
    return [_drawn(scores, split, pairs[name], caption) for name, caption in _worst(scores, split, most)]


def shown_iou(metrics: MaskMetrics) -> float:
    """Return the IoU threshold of the gallery and of the summary: 0.5, or the nearest that there is."""
    return min(metrics.settings.iou_thresholds, key=lambda value: abs(value - 0.5))


def _worst(scores: MaskScores, split: str, most: int) -> list[tuple[str, str]]:
    """Return the names of the worst images, and which errors their objects have."""
    metrics = scores.splits[split]
    if isinstance(metrics, MaskMetrics):
        iou = shown_iou(metrics)
        row = metrics.settings.iou_thresholds.index(iou)
        return [
            (image.name, f"{image.truth - image.tp[row]} missed, {image.predicted - image.tp[row]} false")
            for image in metrics.worst(iou, most)
        ]
    place = _place(metrics, scores)
    wrong = {image.name: image.wrong(place) for image in metrics.per_image}
    names = sorted((name for name, count in wrong.items() if count), key=lambda name: (-wrong[name], name))
    return [(name, "") for name in names[:most]]


def _place(metrics: ClassPixelMetrics | ProbabilityMetrics, scores: MaskScores) -> int | None:
    if isinstance(metrics, ClassPixelMetrics) or scores.threshold is None:
        return None
    return metrics.sweep.thresholds.index(scores.threshold.value)


def _drawn(scores: MaskScores, split: str, pair: FilePair, caption: str) -> MaskPicture:
    metrics = scores.splits[split]
    truth: Labels
    predicted: Labels
    if isinstance(metrics, MaskMetrics):
        truth, predicted = read_pair(pair)
        kinds = _object_kinds(truth, predicted, shown_iou(metrics))
        wrong = np.isin(truth, kinds["missed"]) | np.isin(predicted, kinds["fp"])
        shown = _slice(truth, predicted, wrong)
        return _picture(pair, shown, caption, lambda canvas: _draw_objects(canvas, shown, kinds))
    truth, predicted = _masks(scores, pair)
    wrong = np.asarray(truth != predicted)
    shown, caption = _slice(truth, predicted, wrong), f"{int(wrong.sum()):,} of {wrong.size:,} pixels wrong"
    return _picture(pair, shown, caption, lambda canvas: _draw_areas(canvas, shown))


def _masks(scores: MaskScores, pair: FilePair) -> tuple[Labels, Labels]:
    """Return the classes of the pixels of a pair, true and predicted; of a probability map, where it is sure enough."""
    if scores.threshold is None:
        return read_pair(pair)
    truth, probability = read_pair(pair, read_probabilities)
    return truth != 0, reaches(probability, scores.threshold.value)


def _object_kinds(truth: Labels, predicted: Labels, iou_threshold: float) -> dict[str, NDArray[np.int64]]:
    """Return the labels of the objects that are drawn as each of OUTLINES."""
    overlaps = label_overlaps(truth, predicted)
    matches = match_labels(overlaps, iou_threshold)
    return {
        "truth": overlaps.truth_label[matches.truth_row],
        "hit": overlaps.predicted_label[matches.predicted_row],
        "fp": np.delete(overlaps.predicted_label, matches.predicted_row),
        "missed": np.delete(overlaps.truth_label, matches.truth_row),
    }


def _slice(truth: Labels, predicted: Labels, wrong: NDArray[np.bool_]) -> _Slice:
    """Return the part of an image with most wrong pixels: of a stack one slice, of a large slice a window."""
    stack = wrong if wrong.ndim == 3 else wrong[None]
    place = int(stack.sum(axis=(1, 2)).argmax())
    height, width = (min(side, _LONGEST) for side in stack.shape[1:])
    top, left = _window(stack[place], height, width)
    part = np.s_[place, top : top + height, left : left + width]
    ours, theirs = (side.reshape(stack.shape)[part].astype(np.int64) for side in (truth, predicted))
    return _Slice(ours, theirs, place, top, left, (len(stack), stack.shape[1], stack.shape[2]))


def _window(wrong: NDArray[np.bool_], height: int, width: int) -> tuple[int, int]:
    """Return the top and left of a window of that size with most wrong pixels, of those a step apart."""
    tops, lefts = (
        np.unique([*range(0, whole - part, _STEP), whole - part])
        for whole, part in zip(wrong.shape, (height, width), strict=True)
    )
    # Sums over all that lies above and to the left: four of them give that over a window.
    sums = np.pad(wrong.cumsum(axis=0, dtype=np.int64).cumsum(axis=1), ((1, 0), (1, 0)))
    high, low = sums[tops], sums[tops + height]
    counts = (low[:, lefts + width] - low[:, lefts]) - (high[:, lefts + width] - high[:, lefts])
    row, column = np.unravel_index(int(counts.argmax()), counts.shape)
    return int(tops[row]), int(lefts[column])


def _picture(pair: FilePair, shown: _Slice, caption: str, draw: Callable[[Picture], None]) -> MaskPicture:
    canvas, fault = _backdrop(pair, shown)
    draw(canvas)
    text = ", ".join(part for part in (caption, *shown.where, fault) if part)
    return MaskPicture(pair.name, text, canvas.shape[1], canvas.shape[0], _data_uri(canvas))


def _times(shape: tuple[int, ...]) -> int:
    """Return how many pixels of the page, across and down, a pixel of a picture (H, W) takes."""
    return max(1, min(_LARGEST_PIXEL, _SMALL // max(shape)))


def _backdrop(pair: FilePair, shown: _Slice) -> tuple[Picture, str]:
    """Return what lies behind the drawing, (h, w, 3) RGB at the size of the page, and why it is not the picture."""
    plain = np.full((*_enlarged(shown.truth).shape, 3), _DARK, np.uint8)
    if pair.picture is None:
        return plain, ""
    try:
        picture = _shown_picture(pair.picture, shown)
    except PpnlabError:
        # The message holds the whole path on this machine, which a page that is passed on need not tell.
        return plain, "its picture cannot be read"
    if picture is None:
        return plain, "its picture is of another size"
    return _enlarged(picture), ""


def _shown_picture(path: Path, shown: _Slice) -> Picture | None:
    """Return the (h, w, 3) RGB pixels of that part of a picture, a grey one stretched; None where its size differs."""
    try:
        grey = read_intensities(path)
    except PpnlabError:
        from annotations.pictures import read_picture

        colours = read_picture(path)
        return shown.cut(colours[None]) if (1, *colours.shape[:2]) == shown.whole else None
    stack = grey if grey.ndim == 3 else grey[None]
    if stack.shape != shown.whole:
        return None
    values = np.nan_to_num(shown.cut(stack).astype(np.float64))
    low, high = np.percentile(values, _STRETCH)
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return np.repeat((share * 255).astype(np.uint8)[..., None], 3, axis=2)


def _enlarged(picture: NDArray[Any]) -> NDArray[Any]:
    """Return an (H, W, ...) picture at the size of the page: each pixel a square, none mixed; a copy."""
    times = _times(picture.shape[:2])
    return np.asarray(picture.repeat(times, axis=0).repeat(times, axis=1))


def _draw_objects(canvas: Picture, shown: _Slice, kinds: Mapping[str, NDArray[np.int64]]) -> None:
    """Draw the outlines of objects onto a picture, and fill those that are missed or false."""
    sides = {"truth": shown.truth, "missed": shown.truth, "hit": shown.predicted, "fp": shown.predicted}
    drawn = {kind: np.where(np.isin(sides[kind], labels), sides[kind], 0) for kind, labels in kinds.items()}
    for kind in ("missed", "fp"):
        _tint(canvas, _enlarged(drawn[kind]) > 0, _COLOUR[kind], _FILL)
    for kind in OUTLINES:
        enlarged = _enlarged(drawn[kind])
        _tint(canvas, _outline(enlarged, _EDGE), (0, 0, 0), 0.55)
        _tint(canvas, _outline(enlarged, _LINE), _COLOUR[kind], 1.0)


def _outline(labels: NDArray[np.int64], side: int) -> NDArray[np.bool_]:
    """Return the (H, W) mask of the objects' pixels near another label: within half a `side`."""
    import cv2

    # As 32-bit floats, which hold numbers to 2**24: more objects than pixels of the page.
    numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.float32)
    square = np.ones((side, side), np.uint8)
    near = (cv2.erode(numbers, square) != numbers) | (cv2.dilate(numbers, square) != numbers)
    return np.asarray(near & (labels > 0))


def _draw_areas(canvas: Picture, shown: _Slice) -> None:
    """Tint the pixels of a picture by what became of them."""
    truth, predicted = (_enlarged(side) for side in (shown.truth, shown.predicted))
    areas = {
        "hit": (truth > 0) & (truth == predicted),
        "fp": (truth == 0) & (predicted > 0),
        "missed": (truth > 0) & (predicted == 0),
        "other": (truth > 0) & (predicted > 0) & (truth != predicted),
    }
    for kind, area in areas.items():
        _tint(canvas, area, _COLOUR[kind], _FILL if kind == "hit" else 2 * _FILL)


def _tint(canvas: Picture, where: NDArray[np.bool_], colour: Colour, share: float) -> None:
    canvas[where] = ((1 - share) * canvas[where] + share * np.array(colour)).round().astype(np.uint8)


def _data_uri(picture: Picture) -> str:
    import cv2

    # The colours of every pixel are kept: lines of two pixels would lose theirs.
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        _QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    coded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")
