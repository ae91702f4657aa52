"""The figures of masks as CSV tables, whose columns stay as they are. What has no value is an empty cell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

from annotations.csvtable import csv_text
from evaluation.mask_figures import RATES, WITH_INTERVALS, MaskMetrics
from evaluation.mask_scores import MaskScores
from evaluation.pixel_folders import ClassPixelMetrics, ProbabilityMetrics
from evaluation.pixel_scores import PixelCounts, PixelFigures

_COUNTS = ("truth", "predicted", "tp", "fp", "fn")
_PIXELS = tuple(field.name for field in fields(PixelFigures) if field.name != "undefined")
_ENDS = ("", "_low", "_high")
_PER_IMAGE = ("split", "image", "size", *_COUNTS, "matched_iou", "iou_threshold")
_PER_IMAGE_PIXELS = ("split", "image", "class", "pixels", "truth", "predicted", "hit", "wrong")


def thresholds_csv(scores: MaskScores) -> str | None:
    """Return the figures at every threshold of every split: of objects at IoU thresholds, of maps at probabilities.

    `X_low` and `X_high` are the ends of the interval of X, `X_mean` is the mean of X over the images. None for classes,
    which have no thresholds.
    """
    if any(isinstance(split, ClassPixelMetrics) for split in scores.splits.values()):
        return None
    rows: list[list[object]] = []
    for name, split in scores.splits.items():
        if isinstance(split, MaskMetrics):
            rows += _object_rows(name, split)
        elif isinstance(split, ProbabilityMetrics):
            sweep = zip(split.sweep.thresholds, split.sweep.figures, strict=True)
            rows += [[name, threshold, *_pixels(figures)] for threshold, figures in sweep]
    if scores.threshold is not None:
        return _table(("split", "threshold", *_PIXELS, "undefined"), rows)
    rates = [f"{name}{end}" for name in RATES for end in (_ENDS if name in WITH_INTERVALS else ("",))]
    return _table(("split", "iou_threshold", *_COUNTS, *rates, *(f"{name}_mean" for name in RATES), "undefined"), rows)


def pixels_csv(scores: MaskScores) -> str:
    """Return the pixel scores of every split: of all objects, of each class, or at the probability threshold."""
    rows: list[list[object]] = []
    for name in scores.splits:
        rows += [[name, label, *_pixels(figures)] for label, figures in pixels_of(scores, name).items()]
    return _table(("split", "class", *_PIXELS, "undefined"), rows)


def pixels_of(scores: MaskScores, split: str) -> dict[str, PixelFigures]:
    """Return the pixel scores of a split by class; all objects, and what a map is sure enough of, are `foreground`."""
    metrics = scores.splits[split]
    if isinstance(metrics, MaskMetrics):
        return {"foreground": metrics.foreground}
    if isinstance(metrics, ClassPixelMetrics):
        return dict(metrics.classes)
    return {} if scores.threshold is None else {"foreground": metrics.sweep.at(scores.threshold.value)}


def per_image_csv(scores: MaskScores) -> str:
    """Return the counts of every image: objects at each IoU threshold, or pixels of each class."""
    rows: list[Sequence[object]] = []
    for name, split in scores.splits.items():
        if isinstance(split, MaskMetrics):
            rows += _objects_by_image(name, split)
        else:
            rows += _pixels_by_image(scores, name, split)
    objects = any(isinstance(split, MaskMetrics) for split in scores.splits.values())
    return _table(_PER_IMAGE if objects else _PER_IMAGE_PIXELS, rows)


def _object_rows(name: str, metrics: MaskMetrics) -> list[list[object]]:
    rows = []
    for pooled, means in zip(metrics.pooled, metrics.by_image, strict=True):
        cells: list[object] = [name, pooled.iou_threshold, *(getattr(pooled, count) for count in _COUNTS)]
        for rate in RATES:
            cells.append(getattr(pooled, rate))
            if rate in WITH_INTERVALS:
                interval = getattr(pooled, f"{rate}_ci")
                cells += [interval and interval.low, interval and interval.high]
        rows.append([*cells, *(getattr(means, rate) for rate in RATES), _reasons(pooled.undefined)])
    return rows


def _objects_by_image(name: str, metrics: MaskMetrics) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    for image in metrics.images:
        content = image.to_json()
        head = (name, image.name, content["size"], image.truth, image.predicted)
        places = zip(
            *(content[key] for key in ("tp", "fp", "fn", "matched_iou")), metrics.settings.iou_thresholds, strict=True
        )
        rows += [(*head, *place) for place in places]
    return rows


def _pixels_by_image(
    scores: MaskScores, name: str, metrics: ClassPixelMetrics | ProbabilityMetrics
) -> list[Sequence[object]]:
    if isinstance(metrics, ClassPixelMetrics):
        labels: Mapping[str, int] = {label: place for place, label in enumerate(metrics.classes)}
    else:
        value = None if scores.threshold is None else scores.threshold.value
        labels = {"foreground": metrics.sweep.thresholds.index(value)} if value is not None else {}
    return [
        (name, image.name, label, *_counted(image.counts[place]))
        for image in metrics.per_image
        for label, place in labels.items()
    ]


def _counted(counts: PixelCounts) -> tuple[int, ...]:
    return counts.pixels, counts.truth, counts.predicted, counts.hit, counts.wrong


def _pixels(figures: PixelFigures) -> list[object]:
    return [*(getattr(figures, name) for name in _PIXELS), _reasons(figures.undefined)]


def _reasons(undefined: Mapping[str, str]) -> str:
    return ";".join(f"{name}:{word}" for name, word in undefined.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    columns = list(zip(*([_cell(value) for value in row] for row in rows), strict=True))
    return csv_text(header, columns or [()] * len(header))


def _cell(value: object) -> str:
    return "" if value is None else str(value)
