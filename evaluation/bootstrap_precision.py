"""AP under weights on the images, of every class and IoU threshold at once.

Precision at a hit is hits / (hits + misses), both counted up to there. The matching is never done again: what a set of
weights needs is the running sum of the weights of all detections, and that of the ones that took a truth.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluation.average_precision import AT_50, AT_75, IOU_THRESHOLDS, RECALLS
from evaluation.bootstrap import Weights
from evaluation.bootstrap_counts import UnitsByClass, running_sums
from evaluation.curves import IN_ORDER
from evaluation.matching import Candidates
from evaluation.pairs import Pairs
from evaluation.precisions import Runs, score_runs, sums_before
from evaluation.sizes import ALL, size_range


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """The hits at one IoU threshold, or at several, K in all: class by class, best score first.

    `hit` (K,) are their units, `taken` (L,) those of the detections that took a truth and would count without it;
    `before` and `taken_before` (K,) say how many of `Ranking.counted` and of `taken` come before a hit. A stretch is
    the hits of one class at one threshold, at least one: `first` (S,) is where it begins, `class_id` and `threshold`
    (S,) what it is of, `start` and `taken_start` (S,) what comes before its class.
    """

    hit: NDArray[np.int64]
    taken: NDArray[np.int64]
    before: NDArray[np.int64]
    taken_before: NDArray[np.int64]
    first: NDArray[np.int64]
    class_id: NDArray[np.int64]
    threshold: NDArray[np.int64]
    start: NDArray[np.int64]
    taken_start: NDArray[np.int64]

    def after(self, other: Self) -> Self:
        """Return both, the other one in front."""
        moved = {"first": len(other.hit), **dict.fromkeys(("taken_before", "taken_start"), len(other.taken))}
        return type(self)(
            **{
                name: np.concatenate([getattr(other, name), getattr(self, name) + moved.get(name, 0)])
                for name in self.__slots__
            }
        )

    @property
    def hits(self) -> NDArray[np.int64]:
        """Return the (S,) numbers of hits of the stretches."""
        return np.diff(self.first, append=len(self.hit))

    def at_hits(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the (rows, K) values at the hits from those (rows, S) of their stretches."""
        return np.repeat(values, self.hits, axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Everything that AP under weights needs, for some images and one size of objects.

    `counted` (N,) are the units of the detections that would count if nothing were taken, class by class and best
    score first; `truth` are the objects to find.
    """

    counted: NDArray[np.int64]
    truth: UnitsByClass
    steps: _Steps
    thresholds: int

    def figures(self, weight: Weights, reading: str) -> dict[str, NDArray[np.float64]]:
        """Return `ap50`, `ap75` and `ap` under weights (rows, units), (rows, classes) each; NaN where no truth is left.

        The ranking is that of the ten thresholds of `IOU_THRESHOLDS`.
        """
        values = self.precisions(weight, reading)
        return {"ap50": values[:, AT_50], "ap75": values[:, AT_75], "ap": values.mean(axis=1)}

    def precisions(self, weight: Weights, reading: str) -> NDArray[np.float64]:
        """Return the (rows, thresholds, classes) APs under weights (rows, units); NaN where no truth is left.

        Equal to the AP of a set in which each image really stands that many times.
        """
        steps, truth = self.steps, self.truth.sums(weight)
        values = np.repeat(np.where(truth > 0, 0.0, np.nan)[:, None, :], self.thresholds, axis=1)
        if len(steps.hit):
            hits = running_sums(weight, steps.hit)
            found = hits[:, 1:] - steps.at_hits(hits.take(steps.first, axis=1))
            areas = self._envelope(found, self._missed(weight))
            areas *= self._widths(weight, found, truth, reading)
            whole = len(RECALLS[reading]) if reading in RECALLS else np.maximum(truth, 1)[:, steps.class_id]
            values[:, steps.threshold, steps.class_id] += np.add.reduceat(areas, steps.first, axis=1) / whole
        return values

    def _missed(self, weight: Weights) -> NDArray[np.int64]:
        """Return the (rows, K) weighted numbers of false positives before each hit."""
        steps = self.steps
        counted, taken = running_sums(weight, self.counted), running_sums(weight, steps.taken)
        missed = counted.take(steps.before, axis=1)
        missed -= taken.take(steps.taken_before, axis=1)
        missed -= steps.at_hits(counted.take(steps.start, axis=1) - taken.take(steps.taken_start, axis=1))
        return missed

    def _envelope(self, found: NDArray[np.int64], missed: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the (rows, K) best precisions at each hit or beyond it, from the hits up to it and the misses before.

        Where nothing was seen so far, precision is 0, which is never the best.
        """
        missed += found
        precision = found / np.maximum(missed, 1, out=missed)
        for first, count in zip(self.steps.first.tolist(), self.steps.hits.tolist(), strict=True):
            backwards = precision[:, first : first + count][:, ::-1]
            np.maximum.accumulate(backwards, axis=1, out=backwards)
        return precision

    def _widths(
        self, weight: Weights, found: NDArray[np.int64], truth: NDArray[np.int64], reading: str
    ) -> NDArray[np.int64]:
        """Return how much of the curve's axis each hit adds, (rows, K): truths, or levels of recall newly reached."""
        steps = self.steps
        if reading not in RECALLS:
            return np.asarray(weight.take(steps.hit, axis=1))
        levels, start = _levels_reached(truth, RECALLS[reading])
        reached = levels.take(found + steps.at_hits(start.take(steps.class_id, axis=1)))
        added: NDArray[np.int64] = reached.copy()
        added[:, 1:] -= reached[:, :-1]
        added[:, steps.first] = reached[:, steps.first]
        return added

    @property
    def width(self) -> int:
        """Return how many numbers a row of weights needs at most in one table."""
        values = self.thresholds * self.truth.classes
        return max(1, len(self.counted), len(self.steps.hit), len(self.steps.taken), values)


def ranking(
    found: Candidates,
    unit: NDArray[np.int64],
    *,
    size: str = ALL,
    ties: str = IN_ORDER,
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
) -> Ranking:
    """Return the ranking of the images that have a number in `unit` (images,), -1 for the others.

    `size` and `ties` are as for `evaluation.precisions.average_precisions`.
    """
    truth, ignored_truth = found.dataset.annotations, found.ignored_truth(size)
    owner = unit[found.detections.image_row[found.row]]
    counts = (owner >= 0) & ~size_range(size).outside(found.area)
    runs = None if ties == IN_ORDER else score_runs(found)
    preferred = found.preferred(size)
    steps = None
    for number, threshold in enumerate(thresholds.tolist()):
        taken = found.taken(preferred, ignored_truth, threshold)
        inside = taken.take(owner[taken.detection] >= 0)
        more = _steps(found, owner, counts, inside, ~ignored_truth[inside.truth], _bounds(runs, ties), number)
        steps = more if steps is None else more.after(steps)
    if steps is None:
        raise ValueError("thresholds must not be empty")
    truth_unit = unit[truth.image_row]
    wanted = (truth_unit >= 0) & ~ignored_truth
    return Ranking(
        counted=owner[counts],
        truth=UnitsByClass.of(truth_unit[wanted], truth.class_id[wanted], found.classes),
        steps=steps,
        thresholds=len(thresholds),
    )


def _levels_reached(
    truth: NDArray[np.int64], recalls: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many of the recalls are reached by 0, 1, ... all of the truth, and where those of each class begin.

    `truth` is (rows, classes), and so is the second; the first lies flat. A recall of 0 is reached by nothing found.
    """
    counts = truth.ravel() + 1
    start = sums_before(counts)[:-1]
    found = np.arange(counts.sum()) - np.repeat(start, counts)
    recall = found / np.repeat(np.maximum(counts - 1, 1), counts)
    return np.searchsorted(recalls, recall, "right"), start.reshape(truth.shape)


def _bounds(runs: Runs | None, ties: str) -> NDArray[np.int64] | None:
    """Return the (N,) places before which a hit's misses come, or None where it is the hit's own place."""
    if runs is None:
        return None
    return runs.begin if ties == "hits-first" else runs.end


def _steps(
    found: Candidates,
    owner: NDArray[np.int64],
    counts: NDArray[np.bool_],
    taken: Pairs,
    hit: NDArray[np.bool_],
    bounds: NDArray[np.int64] | None,
    threshold: int,
) -> _Steps:
    """Return the hits at one threshold, its number given, from which detections took a truth and whether it counts."""
    place = taken.detection[hit]
    bound = place if bounds is None else bounds[place]
    class_of_place = found.detections.class_id[found.row]
    class_start = sums_before(np.bincount(class_of_place, minlength=found.classes))
    hits = np.bincount(class_of_place[place], minlength=found.classes)
    class_id = np.flatnonzero(hits)
    counted_before = sums_before(counts)
    taken_before = sums_before(counts[taken.detection])

    def taken_at(places: NDArray[np.int64]) -> NDArray[np.int64]:
        return taken_before[np.searchsorted(taken.detection, places)]

    start = class_start[class_id]
    return _Steps(
        hit=owner[place],
        taken=owner[taken.detection[counts[taken.detection]]],
        before=counted_before[bound],
        taken_before=taken_at(bound),
        first=sums_before(hits[class_id])[:-1],
        class_id=class_id,
        threshold=np.full(len(class_id), threshold),
        start=counted_before[start],
        taken_start=taken_at(start),
    )
