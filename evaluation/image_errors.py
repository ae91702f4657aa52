"""What went right and wrong in each image, at the thresholds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotations.columns import column
from evaluation.figures import Metrics


@dataclass(frozen=True, slots=True, eq=False)
class ImageErrors:
    """One row an image of the dataset: `truth`, `tp`, `fp` and `fn`, counted over all classes."""

    truth: NDArray[np.int64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("truth", "tp", "fp"):
            object.__setattr__(self, name, column("ImageErrors", name, getattr(self, name), np.int64, self.truth.shape))

    @property
    def fn(self) -> NDArray[np.int64]:
        """Return the (images,) number of truths that were missed."""
        return np.asarray(self.truth - self.tp)

    def worst(self, inside: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
        """Return up to `most` rows of images with errors, most errors first, then most missed, then table order."""
        errors = np.where(inside, self.fp + self.fn, 0)
        order = np.lexsort((-self.fn, -errors))
        return np.asarray(order[: min(most, int((errors > 0).sum()))])


def kept_rows(metrics: Metrics) -> NDArray[np.bool_]:
    """Return the (N,) mask of the rows of the match table that reach the threshold of their class."""
    return np.asarray(metrics.table.score >= metrics.thresholds[metrics.table.class_id])


def image_errors(metrics: Metrics, images: int) -> ImageErrors:
    """Return the counts of every image of the dataset, which has `images` of them."""
    table, kept = metrics.table, kept_rows(metrics)
    return ImageErrors(
        truth=np.bincount(table.every_truth_image_row[~table.every_truth_ignored], minlength=images),
        tp=np.bincount(table.image_row[kept & table.hit], minlength=images),
        fp=np.bincount(table.image_row[kept & table.false_positive], minlength=images),
    )
