"""From detections to the figures of every split and class."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.tables import SPLITS, BoxDataset, Detections
from evaluation.average_precision import IOU_THRESHOLDS
from evaluation.checks import check_detections, check_truth
from evaluation.confusion import confusion_table
from evaluation.curves import class_curves
from evaluation.differences import split_gaps
from evaluation.figures import Metrics, ScoreSettings
from evaluation.intervals import resampled_splits, split_intervals
from evaluation.matching import Candidates, MatchTable, candidates
from evaluation.slices import split_precisions
from evaluation.split_figures import Part, split_metrics
from evaluation.thresholds import Threshold, ThresholdRule, choose_threshold

WHOLE = "all"
"""The name of the one split of a dataset without splits."""

Masks = Mapping[str, NDArray[np.bool_]]


def evaluate_splits(
    dataset: BoxDataset,
    detections: Detections,
    settings: ScoreSettings | None = None,
    splits: Sequence[str] | None = None,
    *,
    name: str = "detections",
) -> Metrics:
    """Return the figures of `splits` (None: every split that has images; `all` for a dataset without splits).

    `detections.image_row` points at `dataset.images`. Thresholds are chosen by the rule of `thresholds` among all
    splits of the dataset, also those that are not asked for. `name` (a file, say) begins the message of a refusal.

    Raises:
        AnnotationError: a truth or a detection that cannot be scored; see `evaluation.checks`.
        UsageError: an unknown split.
    """
    settings = settings or ScoreSettings()
    check_truth(dataset)
    check_detections(dataset, detections, name=name)
    present = split_images(dataset)
    wanted = _wanted(dataset, present, splits)
    found = scored_candidates(dataset, detections, settings)
    table = found.match(settings.iou)
    thresholds = choose_thresholds(table, present, len(dataset.classes), settings.threshold)
    values = np.array([threshold.value for threshold in thresholds], np.float64)
    precisions = split_precisions(found, wanted, reading=settings.ap, ties=settings.ties)
    resampled = resampled_splits(found, table, wanted, values, settings)
    confusion = confusion_table(found, values, settings.iou)
    parts = {
        split: Part(
            dataset,
            table.of_images(inside),
            inside,
            thresholds,
            precisions[split],
            split_intervals(resampled[split], len(dataset.classes)),
            confusion,
        )
        for split, inside in wanted.items()
    }
    figures = {split: split_metrics(part, settings.bins) for split, part in parts.items()}
    return Metrics(
        settings=settings,
        splits=figures,
        gaps=split_gaps(resampled, figures),
        images_without_split=0 if WHOLE in wanted else int((dataset.images.split == "").sum()),
        table=table,
        split_images=wanted,
        thresholds=values,
    )


def scored_candidates(dataset: BoxDataset, detections: Detections, settings: ScoreSettings) -> Candidates:
    """Return the detections that take part, with every truth that each could take."""
    return candidates(
        dataset,
        detections,
        matching=settings.matching,
        lowest_iou=min(settings.iou, float(IOU_THRESHOLDS[0])),
        max_detections=settings.max_detections,
        least_score=settings.score_floor,
    )


def split_images(dataset: BoxDataset) -> dict[str, NDArray[np.bool_]]:
    """Return the (images,) mask of each split that has images, in the order train, val, test.

    A dataset without any split is one split named `all`. Images without a split beside others that have one are in no
    mask.
    """
    split = dataset.images.split
    masks = {name: split == name for name in SPLITS if (split == name).any()}
    return masks or {WHOLE: np.ones(len(dataset.images), np.bool_)}


def _wanted(dataset: BoxDataset, present: Masks, splits: Sequence[str] | None) -> Masks:
    if splits is None:
        return present
    for name in splits:
        if name not in (*SPLITS, WHOLE):
            raise UsageError(f"split must be one of {', '.join((*SPLITS, WHOLE))}, got {name}")
    everywhere = np.ones(len(dataset.images), np.bool_)
    nowhere = np.zeros(len(dataset.images), np.bool_)
    return {name: present.get(name, everywhere if name == WHOLE else nowhere) for name in dict.fromkeys(splits)}


def choose_thresholds(
    table: MatchTable, present: Masks, classes: int, given: float | ThresholdRule | None
) -> list[Threshold]:
    """Return the threshold of each class, by the rule of `thresholds`."""
    curves = {split: class_curves(table.of_images(inside), classes) for split, inside in present.items()}
    return [choose_threshold({split: curves[split][i] for split in present}, given) for i in range(classes)]
