"""Detections on whole splits of a dataset, for the evaluation."""

from collections.abc import Callable, Sequence

import numpy as np

from annotations.errors import PpnlabError, UsageError
from annotations.tables import BoxDataset, Detections
from detector.detecting import detect_images
from detector.tiling import Tiling
from detector.weights import Predictor

Progress = Callable[[int, int], None]


def detect_splits(
    predictor: Predictor,
    dataset: BoxDataset,
    splits: Sequence[str],
    progress: Progress | None = None,
    tiling: Tiling | None = None,
) -> tuple[BoxDataset, Detections]:
    """Return the images of `splits` (none: all that have a split) and of val, and the detections on them.

    val is always among them, for it chooses the score threshold. With `tiling`, large pictures are looked at in tiles.

    Raises:
        UsageError: a split has no images.
        PpnlabError: the dataset has other classes than the run, or a picture cannot be read.
    """
    model = predictor.model
    if dataset.classes != model.classes:
        raise PpnlabError(
            f"{dataset.root}: classes must be those of the run, {', '.join(model.classes)}, "
            f"got {', '.join(dataset.classes)}"
        )
    for name in splits:
        if not len(dataset.images.rows_of(name)):
            raise UsageError(f"{dataset.root}: split {name} must hold images, got none")
    wanted = {*splits, "val"} if splits else {"train", "val", "test"}
    chosen = dataset.of_images(np.flatnonzero(np.isin(dataset.images.split, list(wanted))))
    return chosen, detect_images(model, chosen, predictor.predict, progress, tiling=tiling)
