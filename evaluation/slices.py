"""APs over the parts of a split that hide each other in the whole: the sizes of objects, the flags of images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.average_precision import AT_50, AT_75, IOU_THRESHOLDS
from evaluation.emptiness import why_no_recall
from evaluation.figures import Range, SliceMetrics
from evaluation.matching import Candidates
from evaluation.precisions import average_precisions, truth_counts
from evaluation.sizes import ALL, SIZES

Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class Precisions:
    """The (10, classes) APs at IoU .5 to .95 over some images, NaN without truth, and the (classes,) `truth` there."""

    images: int
    truth: NDArray[np.int64]
    values: NDArray[np.float64]

    def of_classes(self, class_ids: slice) -> SliceMetrics:
        """Return the means over these classes, as far as they have truth."""
        means = {"ap50": self.values[AT_50], "ap75": self.values[AT_75], "ap": self.values.mean(axis=0)}
        figures = {name: mean_or_none(values[class_ids]) for name, values in means.items()}
        undefined = {name: why_no_recall(self.images) for name, value in figures.items() if value is None}
        truth = self.truth[class_ids]
        return SliceMetrics(
            images=self.images,
            truth=int(truth.sum()),
            classes_without_truth=int((truth == 0).sum()),
            **figures,
            undefined=undefined,
        )


@dataclass(frozen=True, slots=True, eq=False)
class SplitPrecisions:
    """The APs of one split, over all of it and over its parts; `ties` (2, classes) are AP@.5, misses or hits first."""

    whole: Precisions
    by_size: Mapping[str, Precisions]
    by_flag: Mapping[str, Precisions]
    ties: NDArray[np.float64]

    def ties_of(self, class_ids: slice) -> Range | None:
        """Return the lowest and the highest mean AP@.5 of these classes that an order of equal scores can give."""
        low, high = (mean_or_none(values) for values in self.ties[:, class_ids])
        return None if low is None or high is None else Range(low, high)


def mean_or_none(values: NDArray[np.float64]) -> float | None:
    """Return the mean of the (K,) values that are not NaN, or None where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


def split_precisions(found: Candidates, splits: Masks, *, reading: str, ties: str) -> dict[str, SplitPrecisions]:
    """Return the APs of every split: of all of it, of each size, and of each flag that one of its images has."""
    flagged = {
        (split, flag): inside & having
        for flag, having in flag_images(found.dataset.images.flags).items()
        for split, inside in splits.items()
        if (inside & having).any()
    }
    plain = {(split, ""): inside for split, inside in splits.items()}
    # A flag that all images of a split carry, as Labelme's own for the split, is the split again.
    parts = {name: inside for name, inside in flagged.items() if not np.array_equal(inside, splits[name[0]])}
    whole = _precisions(found, {**plain, **parts}, reading, ties, ALL)
    whole |= {(split, flag): whole[split, ""] for split, flag in flagged if (split, flag) not in parts}
    by_size = {size: _precisions(found, plain, reading, ties, size) for size in SIZES}
    ends = [
        average_precisions(found, splits, reading, ties=end, thresholds=IOU_THRESHOLDS[[AT_50]])
        for end in ("misses-first", "hits-first")
    ]
    return {
        split: SplitPrecisions(
            whole=whole[split, ""],
            by_size={size: parts[split, ""] for size, parts in by_size.items()},
            by_flag={flag: whole[split, flag] for name, flag in flagged if name == split},
            ties=np.concatenate([end[split] for end in ends]),
        )
        for split in splits
    }


def flag_images(flags: NDArray[np.str_]) -> dict[str, NDArray[np.bool_]]:
    """Return the (images,) mask of every flag that an image carries, by name; `flags` (images,) are joined by ";"."""
    names, number = np.unique(flags, return_inverse=True)
    carried = [set(name.split(";")) - {""} for name in names.tolist()]
    every = sorted(set().union(*carried))
    return {flag: np.array([flag in some for some in carried], np.bool_)[number] for flag in every}


def _precisions(
    found: Candidates, parts: Mapping[tuple[str, str], NDArray[np.bool_]], reading: str, ties: str, size: str
) -> dict[tuple[str, str], Precisions]:
    values = average_precisions(found, parts, reading, ties=ties, size=size)
    return {
        name: Precisions(int(inside.sum()), truth_counts(found, inside, size), values[name])
        for name, inside in parts.items()
    }
