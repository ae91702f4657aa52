"""How the objects of two label images overlap: one histogram of label pairs, in any number of dimensions.

A label image holds 0 for background and one positive number for each object. Its neighbouring pixels are mostly equal,
so the histogram is made from runs of equal pairs: an order of magnitude fewer than pixels. Blocks keep memory bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from annotations.errors import AnnotationError

Labels = NDArray[np.integer] | NDArray[np.bool_]
"""A label image: (H, W) or (D, H, W) whole numbers from 0, or one object as a mask."""

_BLOCK = 1 << 22
"""Pixels that are looked at at once."""

_TABLE = 8
"""Entries a number that a table of ticks may take before sorting is cheaper."""

_OF_TRUTH, _OF_PREDICTED = ("truth_label", "truth_size"), ("predicted_label", "predicted_size")
_OF_PAIRS = ("truth_row", "predicted_row", "shared")


@dataclass(frozen=True, slots=True, eq=False)
class LabelOverlaps:
    """The objects of a truth and a predicted label image of `pixels` pixels (voxels), and every pair that overlaps.

    `truth_label` and `truth_size` (T,), `predicted_label` and `predicted_size` (P,): labels, ascending, and their
    pixels. `truth_row`, `predicted_row` and `shared` (K,): rows of the two, and the pixels that they share, at least 1.
    """

    pixels: int
    truth_label: NDArray[np.int64]
    truth_size: NDArray[np.int64]
    predicted_label: NDArray[np.int64]
    predicted_size: NDArray[np.int64]
    truth_row: NDArray[np.int64]
    predicted_row: NDArray[np.int64]
    shared: NDArray[np.int64]

    def __post_init__(self) -> None:
        for names in (_OF_TRUTH, _OF_PREDICTED, _OF_PAIRS):
            rows = (len(getattr(self, names[0])),)
            for name in names:
                object.__setattr__(self, name, column("LabelOverlaps", name, getattr(self, name), np.int64, rows))

    @property
    def iou(self) -> NDArray[np.float64]:
        """Return the (K,) IoU of each pair that overlaps, above 0."""
        union = self.truth_size[self.truth_row] + self.predicted_size[self.predicted_row] - self.shared
        return np.asarray(self.shared / union)

    @property
    def iou_matrix(self) -> NDArray[np.float64]:
        """Return the (T, P) IoU of every truth with every predicted object; memory is O(T P)."""
        matrix = np.zeros((len(self.truth_label), len(self.predicted_label)))
        matrix[self.truth_row, self.predicted_row] = self.iou
        return matrix


def label_overlaps(truth: Labels, predicted: Labels) -> LabelOverlaps:
    """Return the overlaps of two label images of one size, of any integer types; images without pixels are fine.

    Raises:
        AnnotationError: the sizes differ; nothing is ever resized.
        ValueError: an array is no label image.
    """
    check_labels("truth", truth)
    check_labels("predicted", predicted)
    check_same_size(truth.shape, predicted.shape)
    blocks = [_block_histogram(*block) for block in _blocks(truth, predicted)]
    truths, predictions, count = _histogram(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
    truth_label, truth_row = _distinct(truths)
    predicted_label, predicted_row = _distinct(predictions)
    both = (truths > 0) & (predictions > 0)
    # Background, where there is any, is the first label of both.
    skip_truth, skip_predicted = int((truth_label == 0).sum()), int((predicted_label == 0).sum())
    return LabelOverlaps(
        pixels=truth.size,
        truth_label=truth_label[skip_truth:],
        truth_size=_sums(truth_row, count)[skip_truth:],
        predicted_label=predicted_label[skip_predicted:],
        predicted_size=_sums(predicted_row, count)[skip_predicted:],
        truth_row=truth_row[both] - skip_truth,
        predicted_row=predicted_row[both] - skip_predicted,
        shared=count[both],
    )


def check_labels(name: str, labels: Labels) -> None:
    """Refuse an array that is no label image.

    Raises:
        ValueError: it holds other than whole numbers from 0 to 2**63 - 1, or has no dimension.
    """
    if labels.dtype.kind not in "biu" or not labels.ndim:
        raise ValueError(f"{name} must be an array of integers, got {labels.dtype} of shape {labels.shape}")
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise ValueError(f"{name} must hold labels from 0, got {labels.min()}")
    if labels.dtype == np.uint64 and labels.size and labels.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must hold labels below 2**63, got {labels.max()}")


def check_same_size(
    truth: tuple[int, ...], predicted: tuple[int, ...], *, truth_name: str = "truth", name: str = "predicted"
) -> None:
    """Refuse to compare pictures of unequal shapes, and name both sizes; the names (files, say) go into the message.

    Raises:
        AnnotationError: the shapes differ.
    """
    if truth != predicted:
        needed, got = size_text(truth), size_text(predicted)
        raise AnnotationError(f"{name}: size must be {needed} as of {truth_name}, got {got}; nothing is resized")


def size_text(shape: tuple[int, ...]) -> str:
    """Return a shape (H, W) or (D, H, W) as people write it: width x height, and x depth."""
    return " x ".join(str(length) for length in (*reversed(shape[-2:]), *reversed(shape[:-2]))) or "one number"


def _blocks(truth: Labels, predicted: Labels) -> Iterator[tuple[Labels, Labels]]:
    """Give the two pictures in flat blocks; one empty block for pictures without pixels."""
    flat, other = truth.reshape(-1), predicted.reshape(-1)
    for start in range(0, max(1, len(flat)), _BLOCK):
        yield flat[start : start + _BLOCK], other[start : start + _BLOCK]


def _block_histogram(truth: Labels, predicted: Labels) -> tuple[NDArray[np.int64], ...]:
    changes = (truth[1:] != truth[:-1]) | (predicted[1:] != predicted[:-1])
    start = np.append(np.zeros(min(1, len(truth)), np.int64), np.flatnonzero(changes) + 1)
    length = np.diff(start, append=len(truth))
    return _histogram(truth[start].astype(np.int64), predicted[start].astype(np.int64), length)


def _histogram(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], ...]:
    """Return the distinct pairs of (N,) labels and how much of `count` each has: three (K,) columns."""
    truth_label, truth_row = _distinct(truth)
    predicted_label, predicted_row = _distinct(predicted)
    width = max(1, len(predicted_label))
    key, place = _distinct(truth_row * width + predicted_row)
    return truth_label[key // width], predicted_label[key % width], _sums(place, count)


def _distinct(number: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct ones, ascending, of (N,) numbers from 0, and for each number its row among them."""
    highest = int(number.max(initial=-1))
    if highest > _TABLE * len(number):
        return np.unique(number, return_inverse=True)
    # Numbers that are not much larger than there are many are ticked off in a table: ten times quicker than sorting.
    present = np.zeros(highest + 1, np.bool_)
    present[number] = True
    row = np.cumsum(present) - 1
    return np.flatnonzero(present), row[number]


def _sums(place: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    # bincount adds in float64, which is exact up to 2**53 pixels.
    return np.bincount(place, count).astype(np.int64)
