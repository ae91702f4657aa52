"""The report: figures as JSON, tables as CSV, and one page that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from annotations.errors import UsageError
from annotations.tables import BoxDataset, Detections
from evaluation import report_figures
from evaluation.charts import (
    CurveLine,
    calibration_chart,
    cost_chart,
    history_chart,
    numbers,
    precision_recall_chart,
)
from evaluation.curves import class_curves
from evaluation.error_costs import ErrorReport, error_report
from evaluation.error_kinds import KINDS
from evaluation.figures import Metrics
from evaluation.gallery import DRAWN, GalleryImage, images_of_kind, pictures_of, worst_images
from evaluation.part_scores import PartReport, part_report
from evaluation.remarks import remarks
from evaluation.report_figures import by_slice, confusions, headline_rows
from evaluation.report_pages import COLOURS, json_text, page_template, versions, write_files
from evaluation.result_tables import calibration_csv, confusion_csv, errors_csv, per_class_csv, per_image_csv

METRICS_FILE, PAGE_FILE = "metrics.json", "report.html"
ERRORS_FILE, PARTS_FILE = "errors.json", "parts.json"
PER_CLASS_FILE, PER_IMAGE_FILE, ERROR_TABLE_FILE = "per_class.csv", "per_image.csv", "errors.csv"
CONFUSION_FILE, CALIBRATION_FILE = "confusion.csv", "calibration.csv"
_TEMPLATE = "report.html.jinja"
_WORDS = {
    **{
        name.lower(): value
        for name, value in vars(report_figures).items()
        if name.endswith(("_ROWS", "_TEXTS")) and name[0] != "_"
    },
    "part_precisions": report_figures.PART_PRECISIONS,
    "most_cells": report_figures.MOST_CELLS,
    "drawn_texts": DRAWN,
    "colours": COLOURS,
}
"""What the template needs beside the figures: names of rows, texts, colours."""
_MOST_CHARTS = 30
"""Charts of single classes on the page; a set of many classes has the figures of all and the charts of the largest."""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What the page shows beside the figures.

    `history` maps the columns of a training's history (`epoch` and others) to their values, None for no history;
    `marks` are what was changed on its way, by epoch;
    `gallery_splits` are the splits whose worst images are shown (None: test, or the last one there is), `gallery` how
    many of each, `gallery_of_kind` how many more of each kind of error; `facts` are rows for the list of how the
    figures were made (the command, the run, the date).
    """

    title: str = "Detection report"
    history: Mapping[str, Sequence[object]] | None = None
    marks: Sequence[tuple[float, str]] = ()
    gallery_splits: Sequence[str] | None = None
    gallery: int = 12
    gallery_of_kind: int = 4
    facts: Mapping[str, str] = field(default_factory=dict)


def write_report(
    directory: Path,
    dataset: BoxDataset,
    detections: Detections,
    metrics: Metrics,
    page: PageSettings | None = None,
) -> Path:
    """Write the figures, the tables and report.html into a directory; return the page's path.

    These are metrics.json, errors.json (what each kind of error costs), parts.json (only where the dataset has parts),
    per_class.csv, per_image.csv, errors.csv, confusion.csv and calibration.csv. Each file is written whole; the page
    comes last. Files of an earlier report are replaced, others are left alone.

    Raises:
        PpnlabError: the directory cannot be written.
        UsageError: a split asked for the gallery has no figures.
    """
    errors, parts = error_report(dataset, detections, metrics), part_report(dataset, detections, metrics)
    html = _page_html(dataset, detections, metrics, errors, parts, page or PageSettings())
    files = {
        METRICS_FILE: metrics_text(metrics),
        ERRORS_FILE: json_text(errors.to_json()),
        PARTS_FILE: None if parts is None else json_text(parts.to_json()),
        PER_CLASS_FILE: per_class_csv(metrics, errors),
        PER_IMAGE_FILE: per_image_csv(metrics, errors, dataset),
        ERROR_TABLE_FILE: errors_csv(metrics, errors, dataset, detections),
        CONFUSION_FILE: confusion_csv(metrics),
        CALIBRATION_FILE: calibration_csv(metrics),
        PAGE_FILE: html,
    }
    write_files(directory, files)
    return directory / PAGE_FILE


def metrics_text(metrics: Metrics) -> str:
    """Return the text of metrics.json."""
    return json_text(metrics.to_json())


def page_html(dataset: BoxDataset, detections: Detections, metrics: Metrics, page: PageSettings | None = None) -> str:
    """Return the text of report.html.

    Raises:
        UsageError: a split asked for the gallery has no figures.
    """
    errors, parts = error_report(dataset, detections, metrics), part_report(dataset, detections, metrics)
    return _page_html(dataset, detections, metrics, errors, parts, page or PageSettings())


def _page_html(
    dataset: BoxDataset,
    detections: Detections,
    metrics: Metrics,
    errors: ErrorReport,
    parts: PartReport | None,
    page: PageSettings,
) -> str:
    galleries = _galleries(dataset, detections, metrics, errors, page)
    shown = [image.row for gallery in galleries.values() for image in gallery.every_image()]
    return page_template(_TEMPLATE).render(
        title=page.title,
        dataset=dataset,
        metrics=metrics,
        splits=metrics.splits,
        gaps=metrics.gaps,
        headline_rows=headline_rows(metrics),
        remarks=remarks(metrics, parts),
        charts=_class_charts(dataset, metrics),
        most_charts=_MOST_CHARTS,
        errors=errors,
        parts=parts,
        by_size=by_slice(metrics, "by_size"),
        by_flag=by_slice(metrics, "by_flag"),
        confusions=confusions(metrics),
        cost_chart=_cost_chart(errors),
        calibration_chart=_calibration_chart(metrics),
        histories=_history_charts(page.history or {}, page.marks),
        galleries=galleries,
        pictures=pictures_of(dataset, shown),
        facts={**page.facts, **versions()},
        **_WORDS,
    )


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


def _history_charts(history: Mapping[str, Sequence[object]], marks: Sequence[tuple[float, str]]) -> list[str]:
    """Return the charts of losses and of APs over the epochs; a history without them gives none."""
    epoch = history.get("epoch", ())
    for name, values in history.items():
        if len(values) != len(epoch):
            raise ValueError(f"history must have one {name} an epoch ({len(epoch)}), got {len(values)}")
    drawable = {name: values for name, values in history.items() if np.isfinite(numbers(values)).any()}
    losses = {name: values for name, values in drawable.items() if "loss" in name}
    precisions = {name: values for name, values in drawable.items() if _names_precision(name)}
    titled = (("Loss over epochs", losses, False), ("AP over epochs", precisions, True))
    return [history_chart(title, epoch, series, share=share, marks=marks) for title, series, share in titled if series]


def _names_precision(name: str) -> bool:
    return any(word in ("ap", "ap50") for word in name.lower().replace("/", "_").split("_"))


@dataclass(frozen=True, slots=True)
class _Gallery:
    """What is shown of one split: its worst images, and the worst of each kind of error that it has."""

    worst: list[GalleryImage]
    kinds: Mapping[str, list[GalleryImage]]

    def every_image(self) -> list[GalleryImage]:
        """Return all of them."""
        return [*self.worst, *(image for images in self.kinds.values() for image in images)]


def _galleries(
    dataset: BoxDataset, detections: Detections, metrics: Metrics, errors: ErrorReport, page: PageSettings
) -> dict[str, _Gallery]:
    splits = page.gallery_splits
    if splits is None:
        splits = ["test"] if "test" in metrics.splits else list(metrics.splits)[-1:]
    for split in splits:
        if split not in metrics.splits:
            raise UsageError(f"gallery split must be one of {', '.join(metrics.splits)}, got {split}")
    galleries = {}
    for split in splits:
        kinds = {
            kind: images_of_kind(dataset, detections, metrics, errors.table, split, kind, page.gallery_of_kind)
            for kind in KINDS
        }
        worst = worst_images(dataset, detections, metrics, split, page.gallery)
        galleries[split] = _Gallery(worst, {kind: images for kind, images in kinds.items() if images})
    return galleries


def _cost_chart(errors: ErrorReport) -> str | None:
    """Return the chart of what the kinds cost, or None where nothing has a cost."""
    costs = {split: [some.kinds[kind].dap for kind in KINDS] for split, some in errors.splits.items()}
    if not any(cost for values in costs.values() for cost in values):
        return None
    return cost_chart("What each kind of error costs", KINDS, costs)


def _calibration_chart(metrics: Metrics) -> str | None:
    tables = {
        split: figures.calibration
        for split, figures in metrics.splits.items()
        if figures.calibration is not None and figures.ece is not None
    }
    return calibration_chart("Score and share of hits", tables) if tables else None
