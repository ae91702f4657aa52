"""The report: metrics.json, tables, and one page that needs nothing beside it."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from annotations.errors import PpnlabError, UsageError
from annotations.tables import BoxDataset, Detections
from annotations.whole import write_whole
from evaluation.bootstrap import Interval
from evaluation.charts import CurveLine, history_chart, numbers, precision_recall_chart
from evaluation.curves import class_curves
from evaluation.emptiness import MEANINGS
from evaluation.figures import ClassMetrics, Metrics, SplitMetrics
from evaluation.gallery import KINDS, worst_images
from evaluation.remarks import remarks
from evaluation.result_tables import per_class_csv, per_image_csv

if TYPE_CHECKING:
    from jinja2 import Template

METRICS_FILE, PAGE_FILE = "metrics.json", "report.html"
PER_CLASS_FILE, PER_IMAGE_FILE = "per_class.csv", "per_image.csv"
_TEMPLATE = "report.html.jinja"
_MOST_CHARTS = 30
"""Charts of single classes on the page; a set of many classes has the figures of all and the charts of the largest."""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the page shows beside the figures.

    `history` maps the columns of a training's history (`epoch` and others) to their values, None for no history;
    `gallery_splits` are the splits whose worst images are shown (None: test, or the last one there is), `gallery` how
    many of each; `facts` are rows for the list of how the figures were made (the command, the run, the date).
    """

    title: str = "Detection report"
    history: Mapping[str, Sequence[object]] | None = None
    gallery_splits: Sequence[str] | None = None
    gallery: int = 12
    facts: Mapping[str, str] = field(default_factory=dict)


def write_report(
    directory: Path,
    dataset: BoxDataset,
    detections: Detections,
    metrics: Metrics,
    page: PageSettings | None = None,
) -> Path:
    """Write metrics.json, per_class.csv, per_image.csv and report.html into a directory; return the page's path.

    Each file is written whole; the page comes last. Files of an earlier report are replaced, others are left alone.

    Raises:
        PpnlabError: the directory cannot be written.
        UsageError: a split asked for the gallery has no figures.
    """
    html = page_html(dataset, detections, metrics, page)
    files = {
        METRICS_FILE: metrics_text(metrics),
        PER_CLASS_FILE: per_class_csv(metrics),
        PER_IMAGE_FILE: per_image_csv(metrics, dataset.images),
        PAGE_FILE: html,
    }
    for name, text in files.items():
        try:
            write_whole(directory / name, text)
        except OSError as error:
            raise PpnlabError(f"{directory / name}: report must be writable, got {error.strerror or error}") from error
    return directory / PAGE_FILE


def metrics_text(metrics: Metrics) -> str:
    """Return the text of metrics.json."""
    return json.dumps(metrics.to_json(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def page_html(dataset: BoxDataset, detections: Detections, metrics: Metrics, page: PageSettings | None = None) -> str:
    """Return the text of report.html.

    Raises:
        UsageError: a split asked for the gallery has no figures.
    """
    page = page or PageSettings()
    return _template().render(
        title=page.title,
        dataset=dataset,
        metrics=metrics,
        splits=metrics.splits,
        remarks=remarks(metrics),
        rows=_HEADLINE_ROWS,
        class_rows=_CLASS_ROWS,
        charts=_class_charts(dataset, metrics),
        most_charts=_MOST_CHARTS,
        histories=_history_charts(page.history or {}),
        galleries=_galleries(dataset, detections, metrics, page),
        kinds=KINDS,
        facts={**page.facts, **_versions()},
    )


@cache
def _template() -> "Template":
    # jinja2 is needed for a page only.
    from jinja2 import Environment, StrictUndefined

    surroundings = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    surroundings.filters["figure"] = _figure
    surroundings.filters["meaning"] = _meaning
    text = resources.files("evaluation").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    return surroundings.from_string(text)


_COUNTS = {"truth": "Objects", "detections": "Detections, any score"}
_FIGURES = {
    "ap50": "AP@.5",
    "ap50_ci": "95 % interval",
    "ap": "AP@[.5:.95]",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
_AT_THRESHOLD = {"tp": "Found (TP)", "fp": "False positives (FP)", "fn": "Missed (FN)"}
_HEADLINE_ROWS = {
    **_FIGURES,
    **_AT_THRESHOLD,
    "images": "Images",
    **_COUNTS,
    "images_without_truth": "Images without objects",
    "detections_on_images_without_truth": "Detections on them",
}
_CLASS_ROWS = {**_FIGURES, "threshold": "Score threshold", "threshold_from": "chosen on", **_AT_THRESHOLD, **_COUNTS}


def _figure(figures: ClassMetrics | SplitMetrics, name: str) -> str:
    """Return the text of a figure in a table; a dash where it has no value."""
    value = getattr(figures, name)
    if value is None:
        return "–"
    if isinstance(value, Interval):
        return f"{value.low:.3f}–{value.high:.3f}"
    return f"{value:.3f}" if isinstance(value, float) else f"{value}"


def _meaning(figures: ClassMetrics | SplitMetrics, name: str) -> str:
    """Return why a figure has no value, or an empty text where it has one."""
    word = figures.undefined.get(name)
    return MEANINGS[word] if word else ""


def _class_charts(dataset: BoxDataset, metrics: Metrics) -> dict[str, str]:
    """Return the precision-recall chart of each class with truth, of the most frequent where there are many."""
    curves = {
        split: class_curves(metrics.table.of_images(inside), len(dataset.classes))
        for split, inside in metrics.split_images.items()
    }
    frequency = np.bincount(metrics.table.every_truth_class_id, minlength=len(dataset.classes))
    charts = {}
    for class_id in sorted(np.argsort(-frequency, kind="stable")[:_MOST_CHARTS].tolist()):
        name = dataset.classes[class_id]
        lines = [
            CurveLine(split, curves[split][class_id], figures.ap50, figures.precision, figures.recall)
            for split, figures in ((split, part.classes[name]) for split, part in metrics.splits.items())
            if figures.ap50 is not None and len(curves[split][class_id])
        ]
        if lines:
            charts[name] = precision_recall_chart(name, lines)
    return charts


def _history_charts(history: Mapping[str, Sequence[object]]) -> list[str]:
    """Return the charts of losses and of APs over the epochs; a history without them gives none."""
    epoch = history.get("epoch", ())
    for name, values in history.items():
        if len(values) != len(epoch):
            raise ValueError(f"history must have one {name} an epoch ({len(epoch)}), got {len(values)}")
    drawable = {name: values for name, values in history.items() if np.isfinite(numbers(values)).any()}
    losses = {name: values for name, values in drawable.items() if "loss" in name}
    precisions = {name: values for name, values in drawable.items() if _names_precision(name)}
    titled = (("Loss over epochs", losses, False), ("AP over epochs", precisions, True))
    return [history_chart(title, epoch, series, share=share) for title, series, share in titled if series]


def _names_precision(name: str) -> bool:
    return any(word in ("ap", "ap50") for word in name.lower().replace("/", "_").split("_"))


def _galleries(dataset: BoxDataset, detections: Detections, metrics: Metrics, page: PageSettings) -> dict[str, Any]:
    splits = page.gallery_splits
    if splits is None:
        splits = ["test"] if "test" in metrics.splits else list(metrics.splits)[-1:]
    for split in splits:
        if split not in metrics.splits:
            raise UsageError(f"gallery split must be one of {', '.join(metrics.splits)}, got {split}")
    return {split: worst_images(dataset, detections, metrics, split, page.gallery) for split in splits}


def _versions() -> dict[str, str]:
    try:
        own = version("ppnlab")
    except PackageNotFoundError:
        own = "not installed"
    return {"Versions": f"ppnlab {own}, numpy {np.__version__}, Python {platform.python_version()}"}
