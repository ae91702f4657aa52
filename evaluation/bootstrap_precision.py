"""AP under weights on the images, of every class and IoU threshold at once.

Precision at a hit is hits / detections seen, both counted up to there. The matching is never done again: what a set of
weights needs are running sums of the weights of the hits, of the detections that count by their size, and of the few
that count otherwise, for what they took.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluation.average_precision import AT_50, AT_75, IOU_THRESHOLDS, RECALLS
from evaluation.bootstrap import Weights
from evaluation.bootstrap_counts import UnitsByClass
from evaluation.curves import IN_ORDER
from evaluation.matching import Candidates
from evaluation.precisions import score_runs, sums_before
from evaluation.sizes import ALL, size_range

_BLANK = -1
"""The unit of what counts for nothing: the last column of weights that have one of zeros appended."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stretches:
    """Units of rows, stretch by stretch, with a blank at the front of each: (N + S,), of which `first` (S,) are blank.

    A row adds its weight, or `sign` (N + S,) times that.
    """

    unit: NDArray[np.int64]
    first: NDArray[np.int64]
    sign: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls, unit: NDArray[np.int64], number: NDArray[np.int64], stretches: int, sign: NDArray[np.int64] | None = None
    ) -> Self:
        """Return the stretches of units (N,), each of which stands in that of its number, (N,) ascending.

        So a row that has n others before it, whatever their stretch, is row n + number + 1.
        """
        start = sums_before(np.bincount(number, minlength=stretches))[:-1]
        signs = None if sign is None else np.insert(sign, start, 0)
        return cls(np.insert(unit, start, _BLANK), start + np.arange(stretches), signs)

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Return the (S,) numbers of rows, the blank among them."""
        return np.diff(self.first, append=len(self))

    def running_sums(self, weight: Weights) -> NDArray[np.int64]:
        """Return the (rows, N + S) sums of the weights (rows, units + 1) within a stretch, up to each of its rows."""
        sums = weight.take(self.unit, axis=1)
        if self.sign is not None:
            sums *= self.sign
        # At each blank, all that the stretch before it added is taken away: one sum runs through all of them.
        sums[:, self.first[1:]] = -np.add.reduceat(sums, self.first, axis=1)[:, :-1]
        return np.cumsum(sums, axis=1, out=sums)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Everything that AP under weights needs, for some images and one size of objects.

    `counted` are the detections that would count if nothing were taken, a stretch for each class, best score first;
    `truth` are the objects to find. The others have a stretch for each class of each IoU threshold: `hit` the hits,
    `other` the detections that count otherwise for what they took, as `sign` says (None: there is none). At a row of
    `hit` (K,), the detections seen are those up to the rows `counted_seen` and `other_seen` of these two. Where equal
    scores are ranked with the hits first or last, that is before the hits among them are told from the others:
    `hits_seen` is the row of `hit` up to which they are counted in already, else None.
    """

    counted: _Stretches
    truth: UnitsByClass
    hit: _Stretches
    other: _Stretches | None
    counted_seen: NDArray[np.int64]
    other_seen: NDArray[np.int64]
    hits_seen: NDArray[np.int64] | None
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
        truth = self.truth.sums(weight)
        if not len(self.hit):
            return np.zeros((len(weight), self.thresholds, 0))
        blanked = np.concatenate([weight, np.zeros((len(weight), 1), np.int64)], axis=1)
        found = self.hit.running_sums(blanked)
        areas = _envelope(found, self._seen(blanked, found), self.hit)
        areas *= self._widths(blanked, found, truth, reading)
        sums = np.add.reduceat(areas, self.hit.first, axis=1).reshape(len(weight), self.thresholds, -1)
        whole = len(RECALLS[reading]) if reading in RECALLS else np.maximum(truth, 1)[:, None]
        return np.where(truth[:, None] > 0, sums / whole, np.nan)

    def _seen(self, weight: Weights, found: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the (rows, K) weighted numbers of detections up to each hit, with it."""
        seen = self.counted.running_sums(weight).take(self.counted_seen, axis=1)
        if self.other is not None:
            seen += self.other.running_sums(weight).take(self.other_seen, axis=1)
        if self.hits_seen is not None:
            seen += found
            seen -= found.take(self.hits_seen, axis=1)
        return seen

    def _widths(
        self, weight: Weights, found: NDArray[np.int64], truth: NDArray[np.int64], reading: str
    ) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return how much of the curve's axis each hit adds, (rows, K): truths, or levels of recall newly reached.

        The level that nothing found reaches stands at the blanks, whose precision is the best of their stretch.
        """
        if reading not in RECALLS:
            return np.asarray(weight.take(self.hit.unit, axis=1))
        levels, start = _levels_reached(truth, RECALLS[reading])
        place = np.repeat(np.tile(start, self.thresholds), self.hit.sizes, axis=1)
        place += found
        reached = levels.take(place)
        added = np.empty_like(reached)
        np.subtract(reached[:, 1:], reached[:, :-1], out=added[:, 1:])
        added[:, self.hit.first] = reached[:, self.hit.first]
        return added

    @property
    def width(self) -> int:
        """Return how many numbers a row of weights needs at most in one table."""
        return max(1, len(self.counted), len(self.hit), len(self.other or ()))


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Which detections take which truth at each of some IoU thresholds, where objects of one size count.

    A row (L,) is a detection at a threshold: the `threshold` by its number, the `place` in the ranking of all images,
    ascending, and whether it is a `hit`.
    """

    size: str
    thresholds: int
    threshold: NDArray[np.int64]
    place: NDArray[np.int64]
    hit: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.place)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return the rows that are true in `rows` (L,)."""
        return replace(self, threshold=self.threshold[rows], place=self.place[rows], hit=self.hit[rows])

    def before(self, threshold: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the (K,) numbers of rows of a smaller threshold, or of this one and a smaller place."""
        step = 1 + max(place.max(initial=0), self.place.max(initial=0))
        return np.asarray(np.searchsorted(self.threshold * step + self.place, threshold * step + place))


def all_taken(found: Candidates, size: str = ALL, thresholds: NDArray[np.float64] = IOU_THRESHOLDS) -> Taken:
    """Return what is taken at these thresholds, in all images; a size is a name of `evaluation.sizes`.

    Raises:
        ValueError: there are no thresholds, or the size is unknown.
    """
    preferred, ignored_truth = found.preferred(size), found.ignored_truth(size)
    pairs = [found.taken(preferred, ignored_truth, threshold) for threshold in thresholds.tolist()]
    number = np.repeat(np.arange(len(pairs)), [len(some) for some in pairs])
    place, truth = (np.concatenate([getattr(some, name) for some in pairs]) for name in ("detection", "truth"))
    return Taken(size, len(pairs), number, place, ~ignored_truth[truth])


def ranking(found: Candidates, unit: NDArray[np.int64], taken: Taken, ties: str = IN_ORDER) -> Ranking:
    """Return the ranking of the images that have a number in `unit` (images,), -1 for the others.

    `ties` is as for `evaluation.precisions.average_precisions`.
    """
    ignored_truth, classes = found.ignored_truth(taken.size), found.classes
    class_id, owner = found.detections.class_id[found.row], unit[found.detections.image_row[found.row]]
    counts = (owner >= 0) & ~size_range(taken.size).outside(found.area)
    took = taken.take(owner[taken.place] >= 0)
    # What took something counts by that, and not by its own size.
    change = took.hit.astype(np.int64) - counts[took.place]
    hits, others = took.take(took.hit), took.take(change != 0)

    def stretches(some: Taken, sign: NDArray[np.int64] | None = None) -> _Stretches:
        number = some.threshold * classes + class_id[some.place]
        return _Stretches.of(owner[some.place], number, taken.thresholds * classes, sign)

    rows = stretches(hits)
    stretch = np.repeat(np.arange(len(rows.first)), rows.sizes)
    class_of_row, threshold = stretch % max(classes, 1), stretch // max(classes, 1)
    # Before a blank stands nothing of its class.
    bound, is_hit = found.start[class_of_row], np.ones(len(rows), np.bool_)
    is_hit[rows.first] = False
    bound[is_hit] = _bounds(found, ties, hits.place)
    return Ranking(
        counted=_Stretches.of(owner[counts], class_id[counts], classes),
        truth=_wanted(found, unit, ignored_truth),
        hit=rows,
        other=stretches(others, change[change != 0]) if len(others) else None,
        counted_seen=sums_before(counts)[bound] + class_of_row,
        other_seen=others.before(threshold, bound) + stretch,
        hits_seen=None if ties == IN_ORDER else hits.before(threshold, bound) + stretch,
        thresholds=taken.thresholds,
    )


def _bounds(found: Candidates, ties: str, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the (K,) places before which all detections are seen at hits in these places."""
    if ties == IN_ORDER:
        return place + 1
    runs = score_runs(found)
    return runs.begin[place] if ties == "hits-first" else runs.end[place]


def _wanted(found: Candidates, unit: NDArray[np.int64], ignored_truth: NDArray[np.bool_]) -> UnitsByClass:
    """Return the truth that is to be found in the images with a number."""
    truth = found.dataset.annotations
    truth_unit = unit[truth.image_row]
    wanted = (truth_unit >= 0) & ~ignored_truth
    return UnitsByClass.of(truth_unit[wanted], truth.class_id[wanted], found.classes)


def _envelope(found: NDArray[np.int64], seen: NDArray[np.int64], hit: _Stretches) -> NDArray[np.float64]:
    """Return the (rows, K) best precisions at each hit or beyond it, from the hits and the detections up to it.

    Where nothing was seen so far, precision is 0, which is never the best.
    """
    precision = np.asarray(found / np.maximum(seen, 1, out=seen))
    # Floats that are not negative stand in the order of their bits, and integers are compared in a quarter of the time.
    bits = precision.view(np.int64)
    for first, count in zip(hit.first.tolist(), hit.sizes.tolist(), strict=True):
        backwards = bits[:, first : first + count][:, ::-1]
        np.maximum.accumulate(backwards, axis=1, out=backwards)
    return precision


def _levels_reached(
    truth: NDArray[np.int64], recalls: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return how many of the recalls are reached by 0, 1, ... all of the truth, and where those of each class begin.

    `truth` is (rows, classes), and so is the second; the first lies flat. A recall of 0 is reached by nothing found.
    """
    # Resamples of a small set have few different numbers of objects.
    most, which = np.unique(truth, return_inverse=True)
    start = sums_before(most + 1)
    found = np.arange(start[-1]) - np.repeat(start[:-1], most + 1)
    recall = found / np.repeat(np.maximum(most, 1), most + 1)
    reached = np.searchsorted(recalls, recall, "right").astype(np.float64)
    return reached, start[:-1][which.reshape(truth.shape)]
