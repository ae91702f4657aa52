"""Non-maximum suppression: of the boxes that show the same object, keep the surest (plain numpy)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def keep_surest(xyxy: NDArray[Any], score: NDArray[Any], iou_threshold: float, most: int) -> NDArray[np.int64]:
    """Return the rows, surest first and `most` at the most, of boxes (N, 4) xyxy that no surer one overlaps too far.

    A box is dropped where its IoU with a kept one is above `iou_threshold`; equal scores go by row.
    Source: greedy suppression as in Felzenszwalb et al. 2010, section 5.1.
    """
    order = np.argsort(-score, kind="stable")
    boxes = xyxy[order].astype(np.float64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = np.ones(len(order), np.bool_)
    kept: list[int] = []
    for row in range(len(order)):
        if not alive[row]:
            continue
        kept.append(row)
        if len(kept) == most:
            break
        rest = slice(row + 1, None)
        width = np.minimum(boxes[row, 2], boxes[rest, 2]) - np.maximum(boxes[row, 0], boxes[rest, 0])
        height = np.minimum(boxes[row, 3], boxes[rest, 3]) - np.maximum(boxes[row, 1], boxes[rest, 1])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        # overlap / union > threshold, without a division by zero for empty boxes.
        alive[rest] &= overlap <= iou_threshold * (area[row] + area[rest] - overlap)
    return order[np.array(kept, np.int64)]
