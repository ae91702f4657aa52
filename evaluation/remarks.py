"""What a reader of the figures must know before believing them, each in one sentence."""

from evaluation.figures import Metrics, SplitMetrics
from evaluation.part_scores import PartReport
from evaluation.thresholds import BY_DEFAULT, DEFAULT, GIVEN

GAP = 0.10
"""A difference in mean AP@.5 between train and unseen images from which the page speaks of it: our choice."""

TIE_GAP = 0.005
"""How much the order of equal scores must move a mean AP@.5 for the page to speak of it: our choice."""
FEW_OBJECTS = 20
"""Objects of a class on val below which the page says that few chose its score threshold: our choice."""


def remarks(metrics: Metrics, parts: PartReport | None = None) -> list[str]:
    """Return the sentences, the weightiest first; none where all is as it should be."""
    return [
        *_undetected(metrics),
        *_flattered(metrics),
        *_gaps(metrics),
        *_ties(metrics),
        *_fallbacks(metrics),
        *_chosen_by_few(metrics),
        *_left_out(metrics),
        *_parentless(parts),
    ]


def _undetected(metrics: Metrics) -> list[str]:
    return [
        f"There is not one detection on {name}, which has {split.images} image{'s' if split.images > 1 else ''} and"
        f" {split.truth} object{'s' if split.truth > 1 else ''}: its detections may be missing."
        for name, split in metrics.splits.items()
        if split.truth and not split.detections
    ]


def _flattered(metrics: Metrics) -> list[str]:
    chosen_on = {figures.threshold_from for split in metrics.splits.values() for figures in split.classes.values()}
    return [
        f"Precision, recall and F1 on {name} are flattering: the score threshold was chosen on the same images."
        + (" Choose it on a val split to have figures that can be believed; AP needs none." if name != "val" else "")
        for name in metrics.splits
        if name in chosen_on
    ]


def _gaps(metrics: Metrics) -> list[str]:
    train = metrics.splits.get("train")
    unseen = next((name for name in ("val", "test") if name in metrics.splits), None)
    if train is None or unseen is None:
        return []
    seen, new = train.ap50, metrics.splits[unseen].ap50
    if seen is None or new is None or seen - new <= GAP:
        return []
    gap = metrics.gaps.get(f"train-{unseen}")
    ci = gap.together.figures["ap50"].ci if gap else None
    interval = f"; 95 % interval {ci.low:.3f} to {ci.high:.3f}" if ci else ""
    return [
        f"AP@.5 on train is {seen - new:.3f} above {unseen} ({seen:.3f} against {new:.3f}{interval}): the detector"
        " knows the images it was trained on better than new ones (overfitting, or splits that differ)."
    ]


def _ties(metrics: Metrics) -> list[str]:
    return [
        f"AP@.5 on {name} hangs on the order of detections with equal scores, which means nothing: it lies anywhere"
        f" from {split.ap50_ties.low:.3f} to {split.ap50_ties.high:.3f}."
        for name, split in metrics.splits.items()
        if split.ap50_ties is not None and split.ap50_ties.high - split.ap50_ties.low > TIE_GAP
    ]


def _chosen_by_few(metrics: Metrics) -> list[str]:
    val = metrics.splits.get("val")
    few = [
        f"{name} ({figures.truth})"
        for name, figures in (val.classes.items() if val else ())
        if figures.threshold_from == "val" and figures.truth < FEW_OBJECTS
    ]
    if not few:
        return []
    return [
        f"Few objects on val chose the score threshold of {', '.join(few)}: with others, precision, recall and F1 might"
        " come out differently; AP would not."
    ]


def _parentless(parts: PartReport | None) -> list[str]:
    return [
        f"No detected part on {name} names its object: where the file of detections could not say so, what is said"
        " about orphans and objects without parts says nothing about the detector."
        for name, split in (parts.splits.items() if parts else ())
        if split.all.parts and not split.all.linked
    ]


def _fallbacks(metrics: Metrics) -> list[str]:
    first = next(iter(metrics.splits.values()), None)
    if first is None:
        return []
    by_default, on_train = _classes_from(first, BY_DEFAULT), _classes_from(first, "train")
    texts = []
    if by_default:
        texts.append(f"No data could choose a score threshold for {by_default}: {DEFAULT} is used.")
    if on_train:
        texts.append(f"The score threshold of {on_train} was chosen on train, for val could not choose it.")
    short = ", ".join(name for name, figures in first.classes.items() if not figures.threshold_reached)
    if short:
        rule = metrics.settings.threshold_rule
        texts.append(f"No score threshold of {short} reaches {rule} where it was chosen: the nearest is used.")
    if _classes_from(first, GIVEN):
        texts.append("The score threshold was given, not chosen on val.")
    return texts


def _classes_from(split: SplitMetrics, chosen_on: str) -> str:
    return ", ".join(name for name, figures in split.classes.items() if figures.threshold_from == chosen_on)


def _left_out(metrics: Metrics) -> list[str]:
    texts = []
    for name, split in metrics.splits.items():
        if 0 < split.classes_without_truth < len(split.classes):
            without = ", ".join(label for label, figures in split.classes.items() if not figures.truth)
            texts.append(f"The means of {name} leave out {without}, of which it has no truth.")
    if metrics.images_without_split:
        count = metrics.images_without_split
        texts.append(f"{count} image{'s' if count > 1 else ''} without a split took no part.")
    return texts
