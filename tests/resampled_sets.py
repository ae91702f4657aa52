"""Resampled sets in which the drawn images really stand, for the tests of the bootstrap."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from annotations.tables import Annotations, BoxDataset, Detections, Images

Table = TypeVar("Table", Annotations, Detections)


def really_resampled(truth: BoxDataset, found: Detections, drawn: np.ndarray) -> tuple[BoxDataset, Detections]:
    """The set in which the drawn images really stand, some of them several times."""

    def copied(table: Table) -> Table:
        rows = np.concatenate([np.flatnonzero(table.image_row == old) for old in drawn])
        image_row = np.concatenate([np.full((table.image_row == old).sum(), new) for new, old in enumerate(drawn)])
        return replace(table.take(rows), image_row=image_row, object_id=np.arange(len(rows)))

    old = truth.images.take(drawn)
    table: Images = replace(old, image_id=np.array([f"copy{row}" for row in range(len(drawn))]))
    return replace(truth, images=table, annotations=copied(truth.annotations)), copied(found)
