"""The intervals of the figures of every split and class, or why there is none, and those of the gaps between splits."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import Interval, drawing_units
from evaluation.bootstrap_counts import counted
from evaluation.bootstrap_figures import FIGURES, Resampled, resampled_figures
from evaluation.bootstrap_precision import all_taken, ranking
from evaluation.emptiness import NOT_ASKED, TOO_FEW_IMAGES
from evaluation.figures import ScoreSettings
from evaluation.matching import Candidates, MatchTable

IntervalOrReason = Interval | str


@dataclass(frozen=True, slots=True)
class Intervals:
    """The interval of each of FIGURES, or the word that says why there is none, for each class and over all classes.

    The word is for figures that have a value; one without has its own reason.
    """

    classes: list[Mapping[str, IntervalOrReason]]
    together: Mapping[str, IntervalOrReason]


def resampled_splits(
    found: Candidates,
    table: MatchTable,
    splits: Mapping[str, NDArray[np.bool_]],
    thresholds: NDArray[np.float64],
    settings: ScoreSettings,
) -> dict[str, Resampled]:
    """Return the figures of every split over its resamples; without resamples, of the splits alone.

    `table` is the match table at `settings.iou`, `thresholds` (classes,) are for precision, recall and F1.
    """
    resampled, taken = {}, all_taken(found)
    for split, inside in splits.items():
        unit = drawing_units(found.dataset.images.group, inside)
        resampled[split] = resampled_figures(
            ranking(found, unit, taken, settings.ties),
            counted(table, unit, thresholds, found.classes),
            int(unit.max(initial=-1)) + 1,
            settings.ap,
            resamples=settings.resamples,
            seed=settings.seed,
            split=split,
        )
    return resampled


def split_intervals(resampled: Resampled, classes: int) -> Intervals:
    """Return the intervals of a split, which has so many classes."""
    return Intervals(
        [{name: _or_reason(resampled, name, class_id) for name in FIGURES} for class_id in range(classes)],
        {name: _or_reason(resampled, name) for name in FIGURES},
    )


def _or_reason(resampled: Resampled, name: str, class_id: int | None = None) -> IntervalOrReason:
    if len(resampled.classes[name]) == 1:
        return NOT_ASKED
    found = resampled.interval(name) if class_id is None else resampled.interval_of_class(name, class_id)
    return TOO_FEW_IMAGES if found is None else found
