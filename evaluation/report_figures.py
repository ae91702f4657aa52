"""How figures stand in the report's tables: which rows there are, and what a cell says."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from annotations.tables import SPLITS
from evaluation.emptiness import MEANINGS
from evaluation.figures import Metrics, Range
from evaluation.sizes import SIZES

FIGURES = {
    "ap50": "AP@.5",
    "ap75": "AP@.75",
    "ap": "AP@[.5:.95]",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
AT_THRESHOLD = {"tp": "Found (TP)", "fp": "False positives (FP)", "fn": "Missed (FN)"}
RATES = {"fp_per_image": "FP an image", "fp_per_image_without_truth": "FP an image without objects"}
_HEADLINE_ROWS = {
    **FIGURES,
    **AT_THRESHOLD,
    **RATES,
    "ece": "Calibration error (ECE)",
    "images": "Images",
    "truth": "Objects",
    "detections": "Detections, any score",
    "images_without_truth": "Images without objects",
    "detections_on_images_without_truth": "Detections on them",
}
CLASS_ROWS = {
    **FIGURES,
    "threshold": "Score threshold",
    "threshold_from": "chosen on",
    **AT_THRESHOLD,
    **RATES,
    "truth": "Objects",
    "detections": "Detections, any score",
}
_TIES_ROW = {"ap50_ties": "AP@.5 over all orders of equal scores"}
_IGNORED_ROWS = {"ignored_truth": "Ignored objects", "ignored_detections": "Detections on ignored objects"}
PART_ROWS = {
    "complete_share": ("Objects found with all their parts", "complete", "objects"),
    "orphan_share": ("Orphans: parts that name no detected object", "orphans", "parts"),
    "outside_share": ("Parts that lie outside their object", "outside", "linked"),
    "wrong_parent_share": ("True parts under a wrong object", "wrong_parent", "placed"),
    "bare_share": ("Detected objects without any part", "bare", "detected"),
}
"""The shares of objects and parts: their text, what is counted, and of how many."""
PART_PRECISIONS = {"ap": "AP of the objects", "ap_complete": "AP, found only with all parts found"}
KIND_TEXTS = {
    "classification": "on an object of another class",
    "localisation": "right class, box too far off",
    "both": "another class, and box too far off",
    "duplicate": "on an object that a better score found",
    "background": "on nothing",
    "missed": "objects that nothing comes near",
    "false-positives": "all false positives together",
    "false-negatives": "all objects that were not found",
}
SIZE_TEXTS = {"small": "below 32² px", "medium": "32² to 96² px", "large": "from 96² px"}
GAP_ROWS = FIGURES

MOST_CELLS = 12
"""Classes up to which the whole confusion matrix is shown; of more, the confusions that are most frequent."""
MOST_CONFUSIONS = 20


def headline_rows(metrics: Metrics) -> dict[str, str]:
    """Return the rows of the summary: what ties and ignored truth do is there only where they do something."""
    splits = list(metrics.splits.values())
    ends = [split.ap50_ties for split in splits if split.ap50_ties is not None]
    rows = dict(_TIES_ROW) if any(figure_text(end.low) != figure_text(end.high) for end in ends) else {}
    ignored = any(split.ignored_truth or split.ignored_detections for split in splits)
    first = {"ap50": _HEADLINE_ROWS["ap50"]}
    return {**first, **rows, **_HEADLINE_ROWS, **(_IGNORED_ROWS if ignored else {})}


def figure_text(value: object) -> str:
    """Return the text of a figure in a table; a dash where it has no value."""
    if value is None:
        return "–"
    if isinstance(value, Range):
        return f"{value.low:.3f}–{value.high:.3f}"
    return f"{value:.3f}" if isinstance(value, float) else f"{value}"


def signed_text(value: float | None) -> str:
    """Return the text of a difference; a dash where it has no value."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def interval_text(figures: object, name: str) -> str:
    """Return the interval of a figure, or an empty text where there is none."""
    interval = getattr(figures, f"{name}_ci", None)
    return "" if interval is None else f"{interval.low:.3f}–{interval.high:.3f}"


def meaning(figures: Any, name: str) -> str:  # noqa: ANN401
    """Return why a figure has no value, or an empty text where it has one."""
    word = figures.undefined.get(name)
    return MEANINGS[word] if word else ""


def by_slice(metrics: Metrics, kind: str) -> dict[str, dict[str, Any]]:
    """Return the slices, `by_size` or `by_flag`, of all splits: for each, its figures in every split that has it.

    Flags that say the split are left out: they would say again what the splits say.
    """
    found: dict[str, dict[str, Any]] = {}
    for split, figures in metrics.splits.items():
        for name, some in getattr(figures, kind).items():
            found.setdefault(name, {})[split] = some
    order = SIZES if kind == "by_size" else sorted(found.keys() - set(SPLITS))
    return {name: found[name] for name in order if name in found}


def confusions(metrics: Metrics) -> dict[str, list[tuple[str, str, int]]]:
    """Return for each split its most frequent confusions: what is there, what was found, how often; the most first.

    An empty name is background.
    """
    result = {}
    for split, figures in metrics.splits.items():
        labels, counts = [*figures.classes, ""], np.array(figures.confusion["counts"], np.int64)
        cells = [
            (labels[row], labels[column], int(counts[row, column]))
            for row, column in np.argwhere(counts).tolist()
            if row != column
        ]
        result[split] = sorted(cells, key=lambda cell: -cell[2])[:MOST_CONFUSIONS]
    return result


def sizes_with_objects(slices: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether objects are of more than one size, so that figures by size say something."""
    return sum(any(some.truth for some in splits.values()) for splits in slices.values()) > 1
