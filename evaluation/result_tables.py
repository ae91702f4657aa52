"""The figures as CSV tables: one row a class and split, and one row an image. What has no value is an empty cell."""

from collections.abc import Sequence

from annotations.csvtable import csv_text
from annotations.tables import Images
from evaluation.figures import ClassMetrics, Metrics
from evaluation.image_errors import image_errors

_PER_CLASS = (
    *("split", "class", "truth", "detections", "ap50", "ap50_low", "ap50_high", "ap", "threshold", "threshold_from"),
    *("tp", "fp", "fn", "precision", "recall", "f1", "undefined"),
)
_PER_IMAGE = ("image_id", "split", "truth", "tp", "fp", "fn")


def per_class_csv(metrics: Metrics) -> str:
    """Return the table of every class in every split."""
    rows = [
        _class_row(split, name, figures)
        for split, part in metrics.splits.items()
        for name, figures in part.classes.items()
    ]
    return csv_text(_PER_CLASS, list(zip(*rows, strict=True)))


def _class_row(split: str, name: str, figures: ClassMetrics) -> list[str]:
    low, high = (figures.ap50_ci.low, figures.ap50_ci.high) if figures.ap50_ci else (None, None)
    counts = (figures.tp, figures.fp, figures.fn)
    values = (
        *(split, name, figures.truth, figures.detections, figures.ap50, low, high, figures.ap),
        *(figures.threshold, figures.threshold_from, *counts, figures.precision, figures.recall, figures.f1),
        ";".join(f"{key}:{reason}" for key, reason in figures.undefined.items()),
    )
    return ["" if value is None else str(value) for value in values]


def per_image_csv(metrics: Metrics, images: Images) -> str:
    """Return the table of every image of every split, counted at the thresholds over all classes."""
    errors = image_errors(metrics, len(images))
    columns: list[Sequence[object]] = [[] for _ in _PER_IMAGE]
    for split, inside in metrics.split_images.items():
        rows = inside.nonzero()[0]
        counts = (errors.truth, errors.tp, errors.fp, errors.fn)
        added = [images.image_id[rows].tolist(), [split] * len(rows), *(values[rows].tolist() for values in counts)]
        columns = [[*column, *more] for column, more in zip(columns, added, strict=True)]
    return csv_text(_PER_IMAGE, columns)
