"""The figures of masks for a terminal: objects at each IoU threshold, classes of pixels, probability maps."""

from collections.abc import Sequence

from annotations.text_table import text_table
from evaluation.mask_figures import MaskMetrics
from evaluation.pixel_folders import ClassPixelMetrics, ProbabilityMetrics
from evaluation.pixel_scores import PixelFigures

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


def mask_text(metrics: MaskMetrics) -> str:
    """Return the pooled figures of objects, a line an IoU threshold, and the pixel scores of all of them."""
    head = ["IoU", "truth", "predicted", "TP", "FP", "FN", *_OBJECTS.values()]
    rows = [
        [f"{row.iou_threshold:g}", row.truth, row.predicted, row.tp, row.fp, row.fn]
        + [_shown(getattr(row, name)) for name in _OBJECTS]
        for row in metrics.pooled
    ]
    lines = [
        f"{len(metrics.images)} images",
        *text_table(head, rows),
        "",
        *_pixels([("foreground", metrics.foreground)]),
    ]
    return "\n".join([*lines, *_alone(metrics.without_partner)])


def class_text(metrics: ClassPixelMetrics) -> str:
    """Return the pixel scores of each class, and their means over the classes that have a value."""
    left_out = f", {metrics.classes_left_out} classes without a value left out" if metrics.classes_left_out else ""
    mean = f"mean Dice {_shown(metrics.mean_dice)}, mean IoU {_shown(metrics.mean_iou)}{left_out}"
    lines = [f"{metrics.images} images", *_pixels(list(metrics.classes.items())), mean]
    return "\n".join([*lines, *_alone(metrics.without_partner)])


def probability_text(metrics: ProbabilityMetrics) -> str:
    """Return the scores of probability maps: the area under the curve, and a line a threshold."""
    sweep = metrics.sweep
    rows = [(f"{value:g}", figures) for value, figures in zip(sweep.thresholds, sweep.figures, strict=True)]
    area = f"PR-AUC {_shown(metrics.pr_auc)}, mean L1 error {_shown(metrics.mean_l1_error)}"
    best = f"best Dice at {_plain(sweep.best_dice)}, least L1 error at {_plain(sweep.least_l1_error)}"
    lines = [f"{metrics.images} images", area, *_pixels(rows, "threshold"), best]
    remark = [f"note: {sweep.remark}"] if sweep.remark else []
    return "\n".join([*lines, *remark, *_alone(metrics.without_partner)])


def _pixels(rows: Sequence[tuple[str, PixelFigures]], first: str = "pixels") -> list[str]:
    cells = [[name, *(_shown(getattr(figures, field)) for field in _PIXELS)] for name, figures in rows]
    return text_table([first, *_PIXELS.values()], cells)


def _alone(paths: Sequence[str]) -> list[str]:
    return [f"left out, without a partner: {', '.join(paths)}"] if paths else []


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
