"""The figures of masks for a terminal: objects at each IoU threshold, classes of pixels, probability maps."""

from collections.abc import Sequence

from annotations.text_table import text_table
from evaluation.mask_figures import MaskMetrics
from evaluation.mask_scores import MaskScores
from evaluation.metrics import WHOLE
from evaluation.pixel_folders import ClassPixelMetrics, ProbabilityMetrics
from evaluation.pixel_scores import PixelFigures
from evaluation.thresholds import BY_DEFAULT, GIVEN

_OBJECTS = {
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
    "f1": "F1",
    "mean_true_score": "mean true",
    "mean_matched_score": "mean matched",
    "panoptic_quality": "PQ",
}
_PIXELS = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "l1_error": "L1 error",
    "l1_error_of_background": "L1 of background",
}


def scores_text(scores: MaskScores) -> str:
    """Return the figures of every split, one after the other, and what was left out."""
    blocks = []
    for name, split in scores.splits.items():
        head = "" if name == WHOLE else f"{name}: "
        if isinstance(split, MaskMetrics):
            lines = _objects(split)
        elif isinstance(split, ClassPixelMetrics):
            lines = _classes(split)
        else:
            lines = _maps(split, scores)
        blocks.append("\n".join([head + lines[0], *lines[1:]]))
    alone = [f"left out, without a partner: {', '.join(scores.without_partner)}"] if scores.without_partner else []
    count = scores.images_without_split
    strays = [f"left out, without a split: {count} image{'' if count == 1 else 's'}"] if count else []
    return "\n\n".join(["\n\n".join(blocks), *alone, *strays])


def _objects(metrics: MaskMetrics) -> list[str]:
    """Return the pooled figures of objects, a line an IoU threshold, and the pixel scores of all of them."""
    head = ["IoU", "truth", "predicted", "TP", "FP", "FN", *_OBJECTS.values()]
    rows = [
        [f"{row.iou_threshold:g}", row.truth, row.predicted, row.tp, row.fp, row.fn]
        + [_shown(getattr(row, name)) for name in _OBJECTS]
        for row in metrics.pooled
    ]
    return [_images(len(metrics.images)), *text_table(head, rows), "", *_pixels([("foreground", metrics.foreground)])]


def _classes(metrics: ClassPixelMetrics) -> list[str]:
    """Return the pixel scores of each class, and their means over the classes that have a value."""
    left_out = f", {metrics.classes_left_out} classes without a value left out" if metrics.classes_left_out else ""
    mean = f"mean Dice {_shown(metrics.mean_dice)}, mean IoU {_shown(metrics.mean_iou)}{left_out}"
    return [_images(metrics.images), *_pixels(list(metrics.classes.items())), mean]


def _maps(metrics: ProbabilityMetrics, scores: MaskScores) -> list[str]:
    """Return the scores of probability maps: the area under the curve, and a line a threshold."""
    sweep, chosen = metrics.sweep, scores.threshold
    rows = [(f"{value:g}", figures) for value, figures in zip(sweep.thresholds, sweep.figures, strict=True)]
    area = f"PR-AUC {_shown(metrics.pr_auc)}, mean L1 error {_shown(metrics.mean_l1_error)}"
    best = f"best Dice at {_plain(sweep.best_dice)}, least L1 error at {_plain(sweep.least_l1_error)}"
    lines = [_images(metrics.images), area, *_pixels(rows, "threshold"), best]
    if chosen is not None:
        origin = chosen.chosen_on if chosen.chosen_on in (GIVEN, BY_DEFAULT) else f"chosen on {chosen.chosen_on}"
        lines.append(f"at threshold {chosen.value:g} ({origin}): Dice {_shown(sweep.at(chosen.value).dice)}")
    return [*lines, *([f"note: {sweep.remark}"] if sweep.remark else [])]


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _pixels(rows: Sequence[tuple[str, PixelFigures]], first: str = "pixels") -> list[str]:
    cells = [[name, *(_shown(getattr(figures, field)) for field in _PIXELS)] for name, figures in rows]
    return text_table([first, *_PIXELS.values()], cells)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
