"""Detectors side by side over the same truth: each against the first, resampled together.

Both sides of a difference are scored on the very same resamples, so what makes an image hard for both leaves the
interval of their difference. Every side keeps the thresholds that its own detections chose on val.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.tables import BoxDataset, Detections
from evaluation.bootstrap import LEVEL, drawing_units
from evaluation.bootstrap_counts import counted
from evaluation.bootstrap_figures import Resampled, resampled_figures, resampled_precisions
from evaluation.bootstrap_precision import all_taken, ranking
from evaluation.compare_images import ImageChanges, image_changes
from evaluation.differences import Differences, Gap, differences, gap
from evaluation.figures import Metrics, ScoreSettings, SplitMetrics, plain
from evaluation.metrics import evaluate_splits, scored_candidates
from evaluation.remarks import remarks
from evaluation.sizes import ALL, SIZES

SCHEMA = 1
POWER = 0.8
"""How often `images_needed` images would show a difference as large as the one seen: the usual choice."""
FEW = 20
"""Images (or groups) below which percentile intervals are known to be too narrow: a rule of thumb."""
_MOST_NEEDED = 1000
"""Times the images there are, beyond which the number needed says only that there is no difference to speak of."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One detector's results; `splits` are those it was run on (None: all), `path` begins the message of a refusal."""

    name: str
    detections: Detections
    splits: tuple[str, ...] | None = None
    path: str = "detections"


@dataclass(frozen=True, slots=True)
class Change:
    """How much more the figures of a side are than those of the first, in one split.

    `images_needed` says for each figure that cannot be told apart how many images like these would show a difference
    as large as the one seen, with probability `POWER`; without an entry, far more than there are.
    """

    gap: Gap
    by_size: Mapping[str, Differences]
    images_needed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SplitComparison:
    """One split: the figures of every side, and the change of each but the first. `units` were drawn together."""

    images: int
    units: int
    sides: Sequence[SplitMetrics]
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Every split, and for each side but the first the images that changed; `names` are those of the
    sides, `image_ids` (images,) those of the dataset's images."""

    names: tuple[str, ...]
    settings: ScoreSettings
    image_ids: NDArray[np.str_]
    splits: Mapping[str, SplitComparison]
    images: Sequence[ImageChanges]
    remarks: Sequence[str]

    @property
    def headline(self) -> str:
        """Return the name of the split to speak of first: test, or the last there is."""
        return "test" if "test" in self.splits else list(self.splits)[-1]

    def to_json(self) -> dict[str, Any]:
        """Return compare.json's content: plain, with stable keys, and without NaN."""
        settings = self.settings
        first, *others = self.names
        return {
            "schema": SCHEMA,
            "first": first,
            "others": others,
            "iou": settings.iou,
            "matching": settings.matching,
            "ap": settings.ap,
            "threshold_rule": settings.threshold_rule,
            "resamples": settings.resamples,
            "seed": settings.seed,
            "remarks": list(self.remarks),
            "splits": {name: self._split_json(split) for name, split in self.splits.items()},
            "images_changed": {name: changes.counts() for name, changes in zip(others, self.images, strict=True)},
        }

    def _split_json(self, split: SplitComparison) -> dict[str, Any]:
        return {
            "images": split.images,
            "units": split.units,
            "sides": {name: plain(side) for name, side in zip(self.names, split.sides, strict=True)},
            "differences": {
                name: {
                    **change.gap.to_json(),
                    "by_size": {size: one.to_json() for size, one in change.by_size.items()},
                    "images_needed": dict(change.images_needed),
                }
                for name, change in zip(self.names[1:], split.changes, strict=True)
            },
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """A side's figures, and those over the resamples of each split: of all objects, and of each size."""

    metrics: Metrics
    whole: Mapping[str, Resampled]
    by_size: Mapping[str, Mapping[str, Resampled]]


def compare(
    truth: BoxDataset,
    sides: Sequence[Side],
    settings: ScoreSettings | None = None,
    splits: Sequence[str] | None = None,
) -> Comparison:
    """Return the sides' figures side by side, and the differences of each from the first, with paired intervals.

    `splits` None: every split that has images and that all sides were run on.

    Raises:
        UsageError: fewer than two sides, two of one name, or no split that all were run on.
        AnnotationError: a truth or a detection that cannot be scored; see `evaluation.checks`.
    """
    settings = settings or ScoreSettings()
    if len(sides) < 2 or len({side.name for side in sides}) < len(sides):
        raise UsageError(f"sides must be two or more of different names, got {', '.join(s.name for s in sides)}")
    wanted = _common_splits(sides, splits)
    scored = [_scored(truth, side, settings, wanted) for side in sides]
    first, *others = scored
    names = tuple(side.name for side in sides)
    metrics = [one.metrics for one in scored]
    split_names = list(first.metrics.splits)
    units = {name: _units(truth, first.metrics.split_images[name]) for name in split_names}
    return Comparison(
        names=names,
        settings=settings,
        image_ids=truth.images.image_id,
        splits={
            name: SplitComparison(
                images=metrics[0].splits[name].images,
                units=units[name],
                sides=[one.splits[name] for one in metrics],
                changes=[_change(other, first, name) for other in others],
            )
            for name in split_names
        },
        images=[
            image_changes(truth, (sides[0].detections, first.metrics), (side.detections, other.metrics))
            for side, other in zip(sides[1:], others, strict=True)
        ],
        remarks=[*_few(units), *_remarks(names, metrics)],
    )


def _common_splits(sides: Sequence[Side], asked: Sequence[str] | None) -> Sequence[str] | None:
    limited = [side for side in sides if side.splits is not None]
    if asked is not None:
        for side in limited:
            if missing := [name for name in asked if name not in (side.splits or ())]:
                raise UsageError(f"{side.path}: detections must be of the split {missing[0]}, got only {side.splits}")
        return asked
    if not limited:
        return None
    common = [name for name in limited[0].splits or () if all(name in (side.splits or ()) for side in limited)]
    if not common:
        told = "; ".join(f"{side.path}: {', '.join(side.splits or ())}" for side in limited)
        raise UsageError(f"sides must have a split in common, got {told}")
    return common


def _scored(truth: BoxDataset, side: Side, settings: ScoreSettings, splits: Sequence[str] | None) -> _Scored:
    plain_settings = replace(settings, resamples=0)
    metrics = evaluate_splits(truth, side.detections, plain_settings, splits, name=side.path)
    found = scored_candidates(truth, side.detections, settings)
    taken = {size: all_taken(found, size) for size in (ALL, *SIZES)}
    whole, by_size = {}, {}
    for split, inside in metrics.split_images.items():
        unit = drawing_units(truth.images.group, inside)
        units = int(unit.max(initial=-1)) + 1
        chance: dict[str, Any] = {"resamples": settings.resamples, "seed": settings.seed, "split": split}
        counts = counted(metrics.table, unit, metrics.thresholds, found.classes)
        ranked = ranking(found, unit, taken[ALL], settings.ties)
        whole[split] = resampled_figures(ranked, counts, units, settings.ap, **chance)
        by_size[split] = {
            size: resampled_precisions(ranking(found, unit, taken[size], settings.ties), units, settings.ap, **chance)
            for size in SIZES
        }
    return _Scored(metrics, whole, by_size)


def _units(truth: BoxDataset, inside: NDArray[np.bool_]) -> int:
    return int(drawing_units(truth.images.group, inside).max(initial=-1)) + 1


def _change(other: _Scored, first: _Scored, split: str) -> Change:
    figures, own = first.metrics.splits[split], other.metrics.splits[split]
    whole = other.whole[split].minus(first.whole[split])
    found = gap(other.whole[split], first.whole[split], own, figures)
    return Change(
        gap=found,
        by_size={
            size: differences(values.minus(first.by_size[split][size]), (own.by_size[size], figures.by_size[size]))
            for size, values in other.by_size[split].items()
        },
        images_needed={
            name: needed
            for name, one in found.together.figures.items()
            if one.ci is not None and not one.told_apart
            if (needed := images_needed(whole.overall(name), figures.images)) is not None
        },
    )


def images_needed(values: NDArray[np.float64], images: int) -> int | None:
    """Return about how many images would tell a difference apart with probability `POWER`, to two digits.

    `values` (1 + K,) are the difference and its resampled values over `images` images. It takes the difference seen for
    the true one and the spread to fall with the root of the number of images. None where that is no number to name: no
    difference, no spread, or more than a thousand times the images there are.
    Source: Cohen 1988, Statistical Power Analysis, chapter 2: n grows with ((z_level + z_power) spread / difference)^2.
    """
    spread = float(np.nanstd(values[1:])) if len(values) > 1 else 0.0
    if not values[0] or not spread:
        return None
    normal = NormalDist()
    reach = normal.inv_cdf(0.5 + LEVEL / 2) + normal.inv_cdf(POWER)
    factor = (reach * spread / float(values[0])) ** 2
    if factor > _MOST_NEEDED:
        return None
    needed = images * factor
    step: int = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / step) * step


def _few(units: Mapping[str, int]) -> list[str]:
    return [
        f"The intervals of {name} rest on {count} images or groups of images only, and are then too narrow."
        for name, count in units.items()
        if 0 < count < FEW
    ]


def _remarks(names: Sequence[str], metrics: Sequence[Metrics]) -> list[str]:
    """Return what must be known of the figures of the sides; what holds for all is said once."""
    told = [remarks(one) for one in metrics]
    shared = [text for text in told[0] if all(text in texts for texts in told)]
    return [*shared, *(f"{n}: {t}" for n, texts in zip(names, told, strict=True) for t in texts if t not in shared)]
