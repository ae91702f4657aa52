"""What a reader of the figures of masks must know before believing them, each in one sentence."""

from pathlib import Path

from evaluation.label_sources import listed
from evaluation.mask_figures import MaskMetrics
from evaluation.mask_gallery import shown_iou
from evaluation.mask_scores import MaskScores
from evaluation.mask_tables import pixels_of
from evaluation.pixel_folders import ProbabilityMetrics
from evaluation.remarks import GAP
from evaluation.threshold_sweep import L1_PREFERS_EMPTY, Sweep
from evaluation.thresholds import BY_DEFAULT, GIVEN

TRAP = 0.01
"""The Dice that a threshold by L1 error must cost for the page to speak of it first of all: our choice."""


def mask_remarks(scores: MaskScores) -> list[str]:
    """Return the sentences, the weightiest first; none where all is as it should be."""
    return [
        *_unpredicted(scores),
        *_threshold(scores),
        *_traps(scores),
        *_worse_than_nothing(scores),
        *_gaps(scores),
        *_left_out(scores),
    ]


def _unpredicted(scores: MaskScores) -> list[str]:
    return [
        f"Nothing of {label} is predicted on {name}, which has {figures.truth:,} pixels of it: its predictions may be"
        " missing."
        for name in scores.splits
        for label, figures in pixels_of(scores, name).items()
        if figures.truth and not figures.predicted
    ]


def _threshold(scores: MaskScores) -> list[str]:
    chosen = scores.threshold
    if chosen is None:
        return []
    if chosen.chosen_on == GIVEN:
        return ["The threshold of the probability was given, not chosen on val."]
    if chosen.chosen_on == BY_DEFAULT:
        return [f"No data could choose a threshold of the probability: {chosen.value:g} is used."]
    if chosen.chosen_on not in scores.splits:
        return []
    advice = "" if chosen.chosen_on == "val" else "; choose it on a val split to have figures that can be believed"
    return [
        f"Dice, IoU, precision and recall on {chosen.chosen_on} are flattering: the threshold was chosen on the same"
        f" images{advice}."
    ]


def _traps(scores: MaskScores) -> list[str]:
    return [
        f"On {name}, {split.sweep.remark}."
        for name, split in scores.splits.items()
        if isinstance(split, ProbabilityMetrics) and _matters(split.sweep)
    ]


def _matters(sweep: Sweep) -> bool:
    if sweep.trap is None or sweep.best_dice is None or sweep.least_l1_error is None:
        return False
    best, least = sweep.at(sweep.best_dice).dice, sweep.at(sweep.least_l1_error).dice
    return sweep.trap == L1_PREFERS_EMPTY or (best or 0.0) - (least or 0.0) > TRAP


def _worse_than_nothing(scores: MaskScores) -> list[str]:
    if scores.threshold is not None:
        return []  # the traps say it
    return [
        f"By its L1 error, the prediction of {label} on {name} ({figures.l1_error:.4g}) is no better than a picture of"
        f" background alone ({figures.l1_error_of_background:.4g}): believe Dice and IoU."
        for name in scores.splits
        for label, figures in pixels_of(scores, name).items()
        if figures.truth
        and figures.l1_error is not None
        and figures.l1_error_of_background is not None
        and figures.l1_error >= figures.l1_error_of_background
    ]


def _gaps(scores: MaskScores) -> list[str]:
    unseen = next((name for name in ("val", "test") if name in scores.splits), None)
    if unseen is None or "train" not in scores.splits:
        return []
    (label, seen), (_, new) = _headline(scores, "train"), _headline(scores, unseen)
    if seen is None or new is None or seen - new <= GAP:
        return []
    return [
        f"{label} on train is {seen - new:.3f} above {unseen} ({seen:.3f} against {new:.3f}): the model knows the"
        " images it was trained on better than new ones (overfitting, or splits that differ)."
    ]


def _headline(scores: MaskScores, split: str) -> tuple[str, float | None]:
    metrics = scores.splits[split]
    if isinstance(metrics, MaskMetrics):
        row = metrics.settings.iou_thresholds.index(shown_iou(metrics))
        return "Panoptic quality", metrics.pooled[row].panoptic_quality
    if isinstance(metrics, ProbabilityMetrics):
        return "PR-AUC", metrics.pr_auc
    return "Mean Dice", metrics.mean_dice


def _left_out(scores: MaskScores) -> list[str]:
    texts = []
    alone, number = scores.without_partner, len(scores.without_partner)
    if alone:
        # Not the whole paths: the page may be passed on.
        names = listed([Path(path).name for path in alone])
        texts.append(f"{number} file{'s' if number > 1 else ''} without a partner took no part: {names}.")
    count = scores.images_without_split
    if count:
        texts.append(f"{count} image{'s' if count > 1 else ''} without a split took no part.")
    return texts
