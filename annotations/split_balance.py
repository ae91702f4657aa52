"""How classes and images without objects lie over the splits, and the seed that divides them best.

A split by names cannot be stratified exactly: whether an image comes to test must not depend on the others. But of many
seeds, each of which is such a rule, one divides a given dataset best.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.findings import Finding
from annotations.split_drawing import NO_SPLIT, Drawing, codes_of
from annotations.split_places import Ratios
from annotations.tables import SPLITS, Annotations, Images

SEEDS_TO_TRY = 1000
CHANCE = 0.05
"""A deviation that fewer of the other seeds reach is told: one in twenty."""

_IMAGES, _EMPTY, _FIRST_CLASS = 0, 1, 2
"""Measures: all images, images without objects; then, of each class, the images that have it, and its boxes."""


class Shares(NamedTuple):
    """What the images bring to each measure, as (T,) triplets: an image row adds `weight` to a measure."""

    row: NDArray[np.int64]
    measure: NDArray[np.int64]
    weight: NDArray[np.float64]
    measures: int


class Score(NamedTuple):
    """How badly a drawing divides: lower is better, and the fields count in their order.

    `lacking` counts the wanted splits that lack a class (or images without objects), although there are enough of it;
    `worst` and `mean` are the largest and the mean relative deviation of a measure (see `deviations`).
    """

    lacking: int
    worst: float
    mean: float


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """The (3, M) counts of each measure in train, val and test, and those that the ratios would give.

    The measures are all images, images without objects, and for each of `classes` the images with it and its boxes.
    `wanted` is the (3,) mask of the splits that should have something of each.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    expected: NDArray[np.float64]
    wanted: NDArray[np.bool_]

    @property
    def score(self) -> Score:
        """Return how badly these splits divide."""
        return _score(self.counts, deviations(self.counts, self.expected, self.wanted), self.wanted)

    def rows(self) -> list[list[str]]:
        """Return a table of texts: a head, then a row a measure, with `count (expected)` for each wanted split."""
        names = ["images", "without objects"]
        names += [f"{kind} {name}" for name in self.classes for kind in ("images with", "boxes of")]
        columns = np.flatnonzero(self.wanted)
        cells = [
            [f"{self.counts[split, place]} ({self.expected[split, place]:.1f})" for split in columns]
            for place in range(len(names))
        ]
        head = ["count (expected)", *(SPLITS[split] for split in columns)]
        return [head, *([name, *row] for name, row in zip(names, cells, strict=True))]

    def as_json(self) -> dict[str, Any]:
        """Return the counts and the expected counts, ready for JSON."""
        columns = np.flatnonzero(self.wanted).tolist()

        def measure(place: int) -> dict[str, Any]:
            return {
                SPLITS[split]: {
                    "count": int(self.counts[split, place]),
                    "expected": round(float(self.expected[split, place]), 3),
                }
                for split in columns
            }

        of_class = {
            name: {"images": measure(_FIRST_CLASS + 2 * row), "boxes": measure(_FIRST_CLASS + 2 * row + 1)}
            for row, name in enumerate(self.classes)
        }
        return {"images": measure(_IMAGES), "images_without_boxes": measure(_EMPTY), "classes": of_class}


def balance_of(
    images: Images,
    annotations: Annotations,
    classes: Sequence[str],
    ratios: Ratios | None = None,
    drawn: NDArray[np.bool_] | None = None,
) -> Balance:
    """Return how the images of each split are made up, beside what the ratios would give.

    Without `ratios`, the splits' own shares of the images are the measure. `drawn` is the (N,) mask of the images that
    the ratios divided; the others are expected where they are. Images without a split do not count.
    """
    codes = codes_of(images.split)
    if ratios is None:
        sizes = np.bincount(codes[codes != NO_SPLIT], minlength=len(SPLITS))
        train, val, test = (sizes / max(1, sizes.sum())).tolist()
        ratios = (train, val, test)
    shares = shares_of(len(images), annotations, len(classes))
    chosen = np.ones(len(images), np.bool_) if drawn is None else drawn
    counts = _counts(codes, shares)
    by_chance = _counts(np.where(chosen, codes, NO_SPLIT), shares).sum(axis=0)
    expected = _counts(np.where(chosen, NO_SPLIT, codes), shares) + np.outer(np.array(ratios), by_chance)
    wanted = (np.array(ratios) > 0) | (counts[:, _IMAGES] > 0)
    return Balance(tuple(classes), counts.astype(np.int64), expected, wanted)


def shares_of(images: int, annotations: Annotations, classes: int) -> Shares:
    """Return what each of `images` images brings to the measures of `classes` classes."""
    width = max(1, classes)
    pairs, boxes = np.unique(annotations.image_row * width + annotations.class_id, return_counts=True)
    image, of_images = pairs // width, _FIRST_CLASS + 2 * (pairs % width)
    empty = np.setdiff1d(np.arange(images), image)
    row = np.concatenate([np.arange(images), empty, image, image])
    constant = np.repeat([_IMAGES, _EMPTY], [images, len(empty)])
    measure = np.concatenate([constant, of_images, of_images + 1])
    weight = np.concatenate([np.ones(images + len(empty) + len(image)), boxes])
    return Shares(row, measure, weight, _FIRST_CLASS + 2 * classes)


def _counts(codes: NDArray[np.int64], shares: Shares) -> NDArray[np.float64]:
    """Return the (3, M) sums of the shares by split; images of NO_SPLIT do not count."""
    # NO_SPLIT is -1: its images come to the row before the first, which is cut off.
    place = (codes[shares.row] + 1) * shares.measures + shares.measure
    sums = np.bincount(place, shares.weight, (len(SPLITS) + 1) * shares.measures)
    return sums.astype(np.float64).reshape(-1, shares.measures)[1:]


def deviations(
    counts: NDArray[np.float64] | NDArray[np.int64], expected: NDArray[np.float64], wanted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the (M,) largest relative deviation of each measure over the wanted splits.

    It is |count - expected| / expected; less than one expected counts as one, so that what is too rare to be divided
    does not outweigh all else.
    """
    relative = np.abs(counts - expected) / np.maximum(expected, 1.0)
    return np.asarray(relative[wanted].max(axis=0, initial=0.0), np.float64)


def _lacks(counts: NDArray[Any], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the (W, M') mask of the wanted splits that have none of a measure of images, of which there is some."""
    # A measure of boxes lacks where that of its images does.
    of_images = np.concatenate([[_IMAGES, _EMPTY], np.arange(_FIRST_CLASS, counts.shape[1], 2)])
    kept = counts[:, of_images]
    return np.asarray((kept[wanted] == 0) & (kept.sum(axis=0) > 0), np.bool_)


def _score(counts: NDArray[Any], relative: NDArray[np.float64], wanted: NDArray[np.bool_]) -> Score:
    present = counts.sum(axis=0) > 0
    mean = float(relative[present].mean()) if present.any() else 0.0
    return Score(int(_lacks(counts, wanted).sum()), float(relative.max(initial=0.0)), mean)


class SeedTrials:
    """The seeds from `first` on, SEEDS_TO_TRY of them, tried on a drawing: how each divides the measures.

    Where a seed decides nothing, none is tried.
    """

    def __init__(
        self,
        drawing: Drawing,
        annotations: Annotations,
        balance: Balance,
        first: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        shares = shares_of(len(drawing.unit), annotations, len(balance.classes))
        self.first = first
        self.scores: list[Score] = []
        count = SEEDS_TO_TRY if drawing.open_units else 0
        self.deviations = np.zeros((count, shares.measures))
        for trial in range(count):
            counts = _counts(drawing.codes(first + trial), shares)
            self.deviations[trial] = deviations(counts, balance.expected, balance.wanted)
            self.scores.append(_score(counts, self.deviations[trial], balance.wanted))
            if progress is not None:
                progress(trial + 1, count)

    def best(self) -> tuple[int, Score]:
        """Return the seed of the lowest score, the first of equals, and that score.

        Raises:
            ValueError: no seed was tried.
        """
        trial = min(range(len(self.scores)), key=self.scores.__getitem__)
        return self.first + trial, self.scores[trial]

    def chance(self, balance: Balance) -> NDArray[np.float64]:
        """Return the (1 + C,) chance of a deviation as large: of images without objects, and of each class.

        A class deviates by its images or by its boxes, whichever is more.

        Source: Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 4.2, Monte Carlo tests:
        (1 + as large) / (1 + trials). Of single images, it estimates the tail of a binomial; groups and boxes, which
        come in clusters, have their own tails so.
        """
        own = _of_strata(deviations(balance.counts, balance.expected, balance.wanted)[None])[0]
        # The sums of a trial may be rounded otherwise than the table's own.
        as_large = (_of_strata(self.deviations) >= own - 1e-9).sum(axis=0)
        return np.asarray((1 + as_large) / (1 + len(self.scores)), np.float64)


def _of_strata(relative: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (T, 1 + C) deviations of images without objects and of each class, from (T, M) of the measures."""
    of_classes = np.maximum(relative[:, _FIRST_CLASS::2], relative[:, _FIRST_CLASS + 1 :: 2])
    return np.concatenate([relative[:, [_EMPTY]], of_classes], axis=1)


def balance_findings(balance: Balance, chance: NDArray[np.float64]) -> Iterable[Finding]:
    """Give a warning for each class (and images without objects) that a split lacks, or has strangely few or many of.

    `chance` is that of `SeedTrials.chance`.
    """
    places = [_EMPTY, *range(_FIRST_CLASS, balance.counts.shape[1], 2)]
    names = ["images without objects", *(f"images with {name!r}" for name in balance.classes)]
    for place, name, rarity in zip(places, names, chance.tolist(), strict=True):
        counts = balance.counts[:, place]
        lacking = [SPLITS[split] for split in np.flatnonzero(balance.wanted & (counts == 0))]
        if not counts.sum():
            continue
        if lacking:
            message = f"{', '.join(lacking)} must have {name}, got none; {_by_split(balance, place)}"
            yield Finding("lacking-split", "", "", "", message)
        elif rarity < CHANCE:
            message = f"{name} are divided unevenly: {_by_split(balance, place)}{_boxes(balance, place)}"
            yield Finding("uneven-split", "", "", "", f"{message}; of 1,000 other seeds, {_as_far(rarity)} as far off")


def _as_far(rarity: float) -> str:
    others = round(rarity * (1 + SEEDS_TO_TRY)) - 1
    return f"{others} {'is' if others == 1 else 'are'}"


def _boxes(balance: Balance, place: int) -> str:
    return f"; boxes: {_by_split(balance, place + 1)}" if place >= _FIRST_CLASS else ""


def _by_split(balance: Balance, place: int) -> str:
    return ", ".join(
        f"{SPLITS[split]} {balance.counts[split, place]} ({balance.expected[split, place]:.1f} expected)"
        for split in np.flatnonzero(balance.wanted)
    )


def better_seed(balance: Balance, trials: SeedTrials) -> Finding | None:
    """Return what the best of the tried seeds would do better, or None where none would."""
    if not trials.scores:
        return None
    seed, best = trials.best()
    own = balance.score
    if not best < own:
        return None
    gains = f"largest deviation {best.worst:.0%} instead of {own.worst:.0%}"
    if best.lacking < own.lacking:
        gains = f"{best.lacking} lacking instead of {own.lacking}; {gains}"
    return Finding("better-seed", "", "", "", f"--seed {seed} divides better ({gains})")
