"""The report of masks: figures as JSON, tables as CSV, and one page that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotations.errors import UsageError
from evaluation.charts import threshold_chart
from evaluation.mask_figures import RATES, MaskMetrics
from evaluation.mask_gallery import AREAS, OUTLINES, shown_iou, worst_masks
from evaluation.mask_remarks import mask_remarks
from evaluation.mask_scores import INSTANCE, MaskScores
from evaluation.mask_tables import per_image_csv, pixels_csv, pixels_of, thresholds_csv
from evaluation.pixel_folders import ClassPixelMetrics, ProbabilityMetrics
from evaluation.report_pages import COLOURS, json_text, page_template, versions, write_files

METRICS_FILE, PAGE_FILE = "metrics.json", "report.html"
THRESHOLDS_FILE, PIXELS_FILE, PER_IMAGE_FILE = "thresholds.csv", "pixels.csv", "per_image.csv"
_TEMPLATE = "mask_report.html.jinja"

_OBJECT_ROWS = {
    "panoptic_quality": "Panoptic quality",
    "f1": "F1",
    "accuracy": "Accuracy, TP / (TP + FP + FN)",
    "precision": "Precision",
    "recall": "Recall",
    "mean_matched_score": "Mean IoU of the matches",
    "mean_true_score": "The same over all true objects",
    "tp": "Found (TP)",
    "fp": "False (FP)",
    "fn": "Missed (FN)",
    "truth": "Objects",
    "predicted": "Predicted objects",
}
_PIXEL_ROWS = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "l1_error": "L1 error: share of wrong pixels",
    "l1_error_of_background": "L1 error of a picture of background alone",
    "truth": "Pixels of it",
    "predicted": "Predicted pixels",
}
_RATE_TEXTS = {
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
    "f1": "F1",
    "mean_true_score": "mean true score",
    "mean_matched_score": "mean matched score",
    "panoptic_quality": "PQ",
}


@dataclass(frozen=True, slots=True)
class MaskPageSettings:
    """What the page shows beside the figures.

    `gallery_splits` are the splits whose worst images are shown (None: test, or the last one there is), `gallery` how
    many of each; `facts` are rows for the list of how the figures were made (the command, the date).
    """

    title: str = "Mask report"
    gallery_splits: Sequence[str] | None = None
    gallery: int = 12
    facts: Mapping[str, str] = field(default_factory=dict)


def write_mask_report(directory: Path, scores: MaskScores, page: MaskPageSettings | None = None) -> Path:
    """Write the figures, the tables and report.html into a directory; return the page's path.

    These are metrics.json, thresholds.csv (not of classes), pixels.csv and per_image.csv. Each file is written whole;
    the page comes last. Files of an earlier report are replaced, others are left alone.

    Raises:
        PpnlabError: the directory cannot be written, or a file of the gallery is no longer what it was.
        UsageError: a split asked for the gallery has no figures.
    """
    html = mask_page_html(scores, page)
    files = {
        METRICS_FILE: json_text(scores.to_json()),
        THRESHOLDS_FILE: thresholds_csv(scores),
        PIXELS_FILE: pixels_csv(scores),
        PER_IMAGE_FILE: per_image_csv(scores),
        PAGE_FILE: html,
    }
    write_files(directory, files)
    return directory / PAGE_FILE


def mask_page_html(scores: MaskScores, page: MaskPageSettings | None = None) -> str:
    """Return the text of report.html.

    Raises:
        AnnotationError: a file of the gallery is no longer what it was.
        UsageError: a split asked for the gallery has no figures.
    """
    page = page or MaskPageSettings()
    galleries = {split: worst_masks(scores, split, page.gallery) for split in _gallery_splits(scores, page)}
    return page_template(_TEMPLATE).render(
        title=page.title,
        scores=scores,
        splits=scores.splits,
        images={name: _images(split) for name, split in scores.splits.items()},
        remarks=mask_remarks(scores),
        object_rows=_OBJECT_ROWS,
        pixel_rows=_PIXEL_ROWS,
        rates={name: _RATE_TEXTS[name] for name in RATES},
        pixels=_pixels_by_class(scores),
        summary=_summary(scores),
        shown_iou=_shown_iou(scores),
        charts=_charts(scores),
        galleries=galleries,
        drawn_texts=OUTLINES if scores.masks == INSTANCE else _areas(scores),
        colours=COLOURS,
        facts={**page.facts, **versions()},
    )


def _gallery_splits(scores: MaskScores, page: MaskPageSettings) -> Sequence[str]:
    if page.gallery_splits is None:
        return ["test"] if "test" in scores.splits else list(scores.splits)[-1:]
    for split in page.gallery_splits:
        if split not in scores.splits:
            raise UsageError(f"gallery split must be one of {', '.join(scores.splits)}, got {split}")
    return page.gallery_splits


def _images(split: MaskMetrics | ClassPixelMetrics | ProbabilityMetrics) -> int:
    return len(split.images) if isinstance(split, MaskMetrics) else split.images


def _areas(scores: MaskScores) -> dict[str, str]:
    return {kind: text for kind, text in AREAS.items() if kind != "other" or len(scores.classes) > 1}


def _shown_iou(scores: MaskScores) -> float | None:
    return next((shown_iou(split) for split in scores.splits.values() if isinstance(split, MaskMetrics)), None)


def _summary(scores: MaskScores) -> dict[str, Any]:
    """Return the pooled figures of objects of each split at the IoU threshold that is shown."""
    return {
        name: split.pooled[split.settings.iou_thresholds.index(shown_iou(split))]
        for name, split in scores.splits.items()
        if isinstance(split, MaskMetrics)
    }


def _pixels_by_class(scores: MaskScores) -> dict[str, dict[str, Any]]:
    """Return the pixel scores of each class in every split."""
    found: dict[str, dict[str, Any]] = {}
    for split in scores.splits:
        for label, figures in pixels_of(scores, split).items():
            found.setdefault(label, {})[split] = figures
    return found


def _charts(scores: MaskScores) -> list[str]:
    """Return the charts over thresholds: of objects over IoU, of probability maps over the probability."""
    objects = {name: split for name, split in scores.splits.items() if isinstance(split, MaskMetrics) and split.images}
    maps = {name: split for name, split in scores.splits.items() if isinstance(split, ProbabilityMetrics)}
    return [*_object_charts(objects), *_map_charts({name: split for name, split in maps.items() if split.images})]


def _object_charts(splits: Mapping[str, MaskMetrics]) -> list[str]:
    thresholds = next((split.settings.iou_thresholds for split in splits.values()), ())
    if len(thresholds) < 2:
        return []
    return [
        threshold_chart(
            f"{text} over IoU thresholds",
            ("IoU threshold", text),
            thresholds,
            {name: [getattr(row, rate) for row in split.pooled] for name, split in splits.items()},
        )
        for rate, text in (("panoptic_quality", "Panoptic quality"), ("f1", "F1"))
    ]


def _map_charts(splits: Mapping[str, ProbabilityMetrics]) -> list[str]:
    thresholds = next((split.sweep.thresholds for split in splits.values()), ())
    if not thresholds:
        return []
    dice, error = (
        {name: [getattr(row, figure) for row in split.sweep.figures] for name, split in splits.items()}
        for figure in ("dice", "l1_error")
    )
    empty = {name: split.sweep.figures[0].l1_error_of_background for name, split in splits.items()}
    names = ("probability threshold", "Dice"), ("probability threshold", "L1 error; level: background alone")
    return [
        threshold_chart("Dice over probability thresholds", names[0], thresholds, dice),
        threshold_chart("L1 error over probability thresholds", names[1], thresholds, error, levels=empty, share=False),
    ]
