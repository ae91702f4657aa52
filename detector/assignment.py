"""Which cells answer for which object: task-aligned assignment, restricted to the levels that fit the object's size."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from keras import ops

from detector.box_coding import Tensor, iou
from detector.cells import SIZE_RATIO, Cells

TOP_CELLS: Final = 10
SCORE_POWER: Final = 0.5
IOU_POWER: Final = 6.0
"""Cells an object takes at most, and the powers of score and IoU in the alignment.

Source: Feng et al. 2021, "TOOD", section 3.2 (alpha 1, beta 6, m 13); 0.5 and 10 as in the later YOLO implementations.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What every cell should say: `score` (B, A, C) in [0, 1], `box` (B, A, 4) xyxy pixels where the score is not 0.

    `counted` (B, A) is 0 where a cell without a score is not to blame for anything it says, and 1 elsewhere.
    """

    score: Tensor
    box: Tensor
    counted: Tensor


def _fits_level(size: Tensor, cells: Cells) -> Tensor:
    """Return (B, M, A) whether a cell's level may answer for an object of side `size` (B, M)."""
    priors = np.unique(cells.prior)
    gap = ops.abs(ops.log(ops.maximum(size, 1e-3))[..., None] - ops.convert_to_tensor(np.log(priors)))
    nearest = gap <= ops.min(gap, axis=-1, keepdims=True)
    allowed = ops.logical_or(gap <= float(np.log(SIZE_RATIO)), nearest)
    level_of_cell = np.searchsorted(priors, cells.prior).astype(np.int32)
    return ops.take(allowed, ops.convert_to_tensor(level_of_cell), axis=-1)


def _holds_centre(truth: Tensor, cells: Cells) -> Tensor:
    """Return (B, M, A) whether a cell's centre lies in a true box, widened to one stride on each side of its middle."""
    middle = (truth[..., :2] + truth[..., 2:]) / 2.0
    half = (truth[..., 2:] - truth[..., :2]) / 2.0
    stride = ops.convert_to_tensor(cells.stride)
    reach_x, reach_y = (ops.maximum(half[..., i : i + 1], stride) for i in (0, 1))
    inside_x = ops.abs(ops.convert_to_tensor(cells.centre[:, 0]) - middle[..., 0:1]) < reach_x
    inside_y = ops.abs(ops.convert_to_tensor(cells.centre[:, 1]) - middle[..., 1:2]) < reach_y
    return ops.logical_and(inside_x, inside_y)


def assign(probabilities: Tensor, boxes: Tensor, cells: Cells, truth: Tensor, truth_class: Tensor) -> Targets:
    """Return the targets of every cell, without gradient.

    `probabilities` (B, A, C) and `boxes` (B, A, 4) are what the cells say now; `truth` is (B, M, 4) xyxy input pixels,
    padded, and `truth_class` (B, M) with -1 at padding and less where a box is to be ignored: a crowd, or an object
    that does not count. No cell answers for it, and none in it is told that nothing is there. An image may have no
    object; M is at least 1.
    """
    real = truth_class >= 0
    ignored = ops.logical_and(_holds_centre(truth, cells), (truth_class < -1)[..., None])
    counted = 1.0 - ops.cast(ops.any(ignored, axis=1), boxes.dtype)
    sides = ops.maximum(truth[..., 2:] - truth[..., :2], 0.0)
    size = ops.sqrt(sides[..., 0] * sides[..., 1])
    candidate = ops.logical_and(_holds_centre(truth, cells), _fits_level(size, cells))
    candidate = ops.cast(ops.logical_and(candidate, real[..., None]), boxes.dtype)

    overlap = iou(truth[:, :, None, :], boxes[:, None, :, :]) * candidate
    one_hot = ops.one_hot(ops.maximum(truth_class, 0), probabilities.shape[-1], dtype=boxes.dtype)
    score = ops.matmul(one_hot, ops.transpose(probabilities, (0, 2, 1)))
    alignment = ops.power(score, SCORE_POWER) * ops.power(overlap, IOU_POWER) * candidate

    best = ops.top_k(alignment, TOP_CELLS)[0]
    chosen = ops.logical_and(alignment >= best[..., -1:], alignment > 0)
    chosen = ops.cast(chosen, boxes.dtype)
    # A cell that several objects want answers for the one that it overlaps most.
    claimed = overlap * chosen
    chosen = chosen * ops.cast(claimed >= ops.max(claimed, axis=1, keepdims=True), boxes.dtype)
    chosen = chosen * ops.cast(ops.cumsum(chosen, axis=1) <= 1, boxes.dtype)

    # The surest cell of an object gets the object's best IoU as its target, the others their share of that.
    aligned = alignment * chosen
    largest = ops.max(aligned, axis=-1, keepdims=True)
    # IoU to the sixth is small: 4e-15 for an object of 2 pixels in a prior box of 32. float32 begins at 1e-38.
    quality = aligned / ops.maximum(largest, 1e-37) * ops.max(overlap * chosen, axis=-1, keepdims=True)
    target_score = ops.matmul(ops.transpose(quality, (0, 2, 1)), one_hot)
    target_box = ops.matmul(ops.transpose(chosen, (0, 2, 1)), truth)
    return Targets(ops.stop_gradient(target_score), ops.stop_gradient(target_box), counted)


def padded(
    boxes: list[np.ndarray[Any, np.dtype[np.float64]]], classes: list[np.ndarray[Any, np.dtype[np.int64]]]
) -> tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.int32]]]:
    """Return the boxes (B, M, 4) and class ids (B, M) of B images, M of the fullest; -1 marks the padding.

    M is at least 1, even without any object: keras takes no maximum of nothing.
    """
    most = max([1, *map(len, classes)])
    all_boxes = np.zeros((len(boxes), most, 4), np.float32)
    all_classes = np.full((len(boxes), most), -1, np.int32)
    for row, (image_boxes, image_classes) in enumerate(zip(boxes, classes, strict=True)):
        all_boxes[row, : len(image_boxes)] = image_boxes
        all_classes[row, : len(image_classes)] = image_classes
    return all_boxes, all_classes
