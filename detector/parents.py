"""Which detected object a detected part belongs to (plain numpy)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotations.tables import NO_PARENT


def parents(
    class_id: NDArray[np.int64],
    score: NDArray[np.float64],
    xyxy: NDArray[np.float64],
    object_class_of: Mapping[int, int],
) -> NDArray[np.int64]:
    """Return (N,) the row of each part's object among one image's detections, NO_PARENT for objects and orphans.

    A part belongs to the surest object of its object class that holds the part's centre, of equals the smallest.
    `object_class_of` maps a part's class id to its object's; `xyxy` is (N, 4) in any one unit.
    """
    result = np.full(len(class_id), NO_PARENT, np.int64)
    area = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    for row in np.flatnonzero(np.isin(class_id, list(object_class_of))):
        inside = ((xyxy[:, :2] <= centre[row]) & (centre[row] <= xyxy[:, 2:])).all(axis=1)
        owners = np.flatnonzero(inside & (class_id == object_class_of[int(class_id[row])]))
        if len(owners):
            result[row] = owners[np.lexsort((area[owners], -score[owners]))[0]]
    return result
