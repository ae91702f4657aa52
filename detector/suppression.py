"""Non-maximum suppression: of the boxes that show the same object, keep the surest (plain numpy).

What is dropped still has a say: several cells saw the object, and the mean of what they say of a side is nearer to the
truth than what the surest says.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.box_overlaps import paired_iou
from annotations.tables import Boxes


def keep_surest(xyxy: NDArray[Any], score: NDArray[Any], iou_threshold: float, most: int) -> NDArray[np.int64]:
    """Return the rows, surest first and `most` at the most, of boxes (N, 4) xyxy that no surer one overlaps too far.

    A box is dropped where its IoU with a kept one is above `iou_threshold`; equal scores go by row.
    Source: greedy suppression as in Felzenszwalb et al. 2010, section 5.1.
    """
    return suppressed(xyxy, score, iou_threshold, most)[0]


def suppressed(
    xyxy: NDArray[Any], score: NDArray[Any], iou_threshold: float, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (K,) the rows that `keep_surest` gives, and (N,) for each box the place among them of the one it shows.

    That is its own for a kept box, and of the others the surest kept one that drops it; -1 for boxes beyond `most`.
    """
    order = np.argsort(-score, kind="stable")
    boxes = xyxy[order].astype(np.float64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = np.ones(len(order), np.bool_)
    shows = np.full(len(order), -1, np.int64)
    kept: list[int] = []
    for row in range(len(order)):
        if not alive[row]:
            continue
        shows[row] = len(kept)
        kept.append(row)
        rest = slice(row + 1, None)
        width = np.minimum(boxes[row, 2], boxes[rest, 2]) - np.maximum(boxes[row, 0], boxes[rest, 0])
        height = np.minimum(boxes[row, 3], boxes[rest, 3]) - np.maximum(boxes[row, 1], boxes[rest, 1])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        # overlap / union > threshold, without a division by zero for empty boxes.
        same = alive[rest] & (overlap > iou_threshold * (area[row] + area[rest] - overlap))
        shows[rest][same] = shows[row]
        alive[rest] &= ~same
        if len(kept) == most:
            break
    rows = order[np.array(kept, np.int64)]
    place = np.empty(len(order), np.int64)
    place[order] = shows
    return rows, place


def agreeing(xyxy: Boxes, kept: NDArray[np.int64], shows: NDArray[np.int64], least_iou: float) -> NDArray[np.int64]:
    """Return (N,) `shows` with -1 for boxes whose IoU with the kept one is below `least_iou`.

    What overlaps it less may yet show another object. `kept` and `shows` are what `suppressed` gives.
    """
    rows = np.flatnonzero(shows >= 0)
    near = paired_iou(xyxy[rows], xyxy[kept[shows[rows]]]) >= least_iou
    result = np.full(len(shows), -1, np.int64)
    result[rows[near]] = shows[rows[near]]
    result[kept] = np.arange(len(kept))
    return result


def voted(xyxy: Boxes, weight: Boxes, kept: NDArray[np.int64], shows: NDArray[np.int64]) -> Boxes:
    """Return the (K, 4) kept boxes, each side at the weighted mean of what the boxes that show the same say of it.

    `weight` (N, 4), 0 or more, is that of each side of the boxes (N, 4) xyxy; `shows` is what `agreeing` gives.
    Source: Gidaris & Komodakis 2015, "Object detection via a multi-region and semantic segmentation-aware CNN model",
    section 5 (box voting), with a weight for each side.
    """
    surest = xyxy[kept]
    said = np.flatnonzero(shows >= 0)
    owner = shows[said]
    moved, total = np.zeros_like(surest), np.zeros_like(surest)
    # Not the mean itself but how far it is from the kept box: a box that is alone stays where it is to the last bit.
    np.add.at(moved, owner, weight[said] * (xyxy[said] - surest[owner]))
    np.add.at(total, owner, weight[said])
    return np.asarray(surest + moved / np.where(total > 0, total, 1.0))
