"""AP of every class over parts of a set: splits, images with a flag, objects of a size.

The table of all detections is gone through once for each part; each IoU threshold then looks only at the detections
that took a truth, for only at a hit does the curve take a step, and what lies between hits is counted beforehand.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evaluation.average_precision import IOU_THRESHOLDS, area_under
from evaluation.curves import IN_ORDER, TIES
from evaluation.matching import Candidates
from evaluation.pairs import Pairs
from evaluation.sizes import ALL, size_range

Name = TypeVar("Name", bound=Hashable)


def average_precisions(
    found: Candidates,
    parts: Mapping[Name, NDArray[np.bool_]],
    reading: str,
    *,
    size: str = ALL,
    ties: str = IN_ORDER,
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
) -> dict[Name, NDArray[np.float64]]:
    """Return for each of `parts`, masks (images,), the (thresholds, classes) APs; NaN where a class has no truth.

    `size` is a name of `evaluation.sizes`: truth of other sizes is ignored, and so are detections of other sizes that
    find nothing.

    Raises:
        ValueError: an unknown size, or an unknown way with ties.
    """
    if ties not in TIES:
        raise ValueError(f"ties must be one of {TIES}, got {ties!r}")
    preferred, ignored_truth = found.preferred(size), found.ignored_truth(size)
    ranks = {name: _ranks(found, inside, size, ignored_truth) for name, inside in parts.items()}
    result = {name: np.full((len(thresholds), found.classes), np.nan) for name in parts}
    runs = None if ties == IN_ORDER else score_runs(found)
    for row, threshold in enumerate(thresholds.tolist()):
        taken = found.taken(preferred, ignored_truth, threshold)
        for name, rank in ranks.items():
            result[name][row] = _precisions(rank, rank.of(taken), ignored_truth, runs, ties, reading)
    return result


def truth_counts(found: Candidates, inside: NDArray[np.bool_], size: str = ALL) -> NDArray[np.int64]:
    """Return the (classes,) numbers of objects to find of a size in the images that are true in `inside` (images,)."""
    truth = found.dataset.annotations
    counted = inside[truth.image_row] & ~found.ignored_truth(size)
    return np.bincount(truth.class_id[counted], minlength=found.classes)


@dataclass(frozen=True, slots=True, eq=False)
class _Ranks:
    """The places of a part's detections: `start` (classes + 1,) bounds those of a class, `inside` (N,) marks the part.

    `counted` (N + 1,) says how many before a place count if nothing is taken: those inside, and of the size;
    `uncounted` (N,) marks the others. `truth` (classes,) are the numbers of objects to find.
    """

    start: NDArray[np.int64]
    inside: NDArray[np.bool_] | None
    uncounted: NDArray[np.bool_]
    counted: NDArray[np.int64]
    truth: NDArray[np.int64]

    def of(self, taken: Pairs) -> Pairs:
        """Return the pairs of the part's images."""
        return taken if self.inside is None else taken.take(self.inside[taken.detection])


def _ranks(found: Candidates, images: NDArray[np.bool_], size: str, ignored_truth: NDArray[np.bool_]) -> _Ranks:
    # None says that the part is all there is, and saves going through it.
    inside = None if images.all() else images[found.detections.image_row[found.row]]
    uncounted = size_range(size).outside(found.area) if size != ALL else np.zeros(len(found.row), np.bool_)
    if inside is not None:
        uncounted |= ~inside
    truth = found.dataset.annotations
    wanted = images[truth.image_row] & ~ignored_truth
    return _Ranks(
        start=found.start,
        inside=inside,
        uncounted=uncounted,
        counted=sums_before(~uncounted),
        truth=np.bincount(truth.class_id[wanted], minlength=found.classes),
    )


def sums_before(counts: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the (N + 1,) sums of the first 0, 1, ... N counts."""
    sums = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=sums[1:])
    return sums


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Where the run of equal scores that holds a place begins, and where the next begins, (N,) each."""

    begin: NDArray[np.int64]
    end: NDArray[np.int64]


def score_runs(found: Candidates) -> Runs:
    """Return the runs of equal scores within a class, for the ranked detections."""
    score, class_id = found.detections.score[found.row], found.detections.class_id[found.row]
    new = np.ones(len(score), np.bool_)
    new[1:] = (score[1:] != score[:-1]) | (class_id[1:] != class_id[:-1])
    bounds = np.append(np.flatnonzero(new), len(score))
    run = np.cumsum(new) - 1
    return Runs(bounds[run], bounds[run + 1])


def _precisions(
    ranks: _Ranks, taken: Pairs, ignored_truth: NDArray[np.bool_], runs: Runs | None, ties: str, reading: str
) -> NDArray[np.float64]:
    """Return the (classes,) APs of a part, given which detections took a truth."""
    ignored = ignored_truth[taken.truth]
    # A detection that found something counts by what it found, not by its own size.
    change = sums_before(ranks.uncounted[taken.detection].astype(np.int64) - ignored)
    hits = np.flatnonzero(~ignored)
    place = taken.detection[hits]
    if runs is None:
        seen = ranks.counted[place + 1] + change[hits + 1]
    else:
        seen = _seen_in_ties(ranks, taken.detection, change, place, runs, ties)
    values = np.where(ranks.truth > 0, 0.0, np.nan)
    stops = np.searchsorted(place, ranks.start)
    for class_id in np.flatnonzero((ranks.truth > 0) & (stops[1:] > stops[:-1])).tolist():
        start, stop, begin = stops[class_id], stops[class_id + 1], ranks.start[class_id]
        earlier = ranks.counted[begin] + change[np.searchsorted(taken.detection, begin)]
        true_positives = np.arange(1, stop - start + 1)
        values[class_id] = area_under(true_positives, seen[start:stop] - earlier, int(ranks.truth[class_id]), reading)
    return values


def _seen_in_ties(
    ranks: _Ranks,
    detection: NDArray[np.int64],
    change: NDArray[np.int64],
    place: NDArray[np.int64],
    runs: Runs,
    ties: str,
) -> NDArray[np.int64]:
    """Return how many detections were seen at each hit when those of a run of equal scores are ranked otherwise.

    `place` are the places of the hits; the first seen of the whole set is 1, whatever its class.
    """
    bounds = runs.begin[place] if ties == "hits-first" else runs.end[place]
    # All that count before the bound, whatever came of them.
    before = ranks.counted[bounds] + change[np.searchsorted(detection, bounds)]
    number = np.arange(len(place))
    if ties == "hits-first":
        return np.asarray(before + number - np.searchsorted(place, bounds) + 1)
    return np.asarray(before - (np.searchsorted(place, bounds) - 1 - number))
