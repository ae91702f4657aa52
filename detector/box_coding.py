"""Boxes as the network writes them, in `keras.ops`: distances from a cell's centre to the four sides, in log scale."""

from typing import Any

import numpy as np
from keras import ops

from detector.cells import LARGEST_LOG, Cells

Tensor = Any


def decode(raw: Tensor, cells: Cells) -> Tensor:
    """Return (..., A, 4) xyxy input pixels of (..., A, 4) raw outputs; zero gives the cell's prior box.

    Source: distances to the sides as in FCOS, Tian et al. 2019, equation 1; `exp` and the prior as its scale are ours.
    """
    half = ops.convert_to_tensor((cells.prior / 2)[:, None])
    distance = ops.exp(ops.clip(raw, -LARGEST_LOG, LARGEST_LOG)) * half
    centre = ops.convert_to_tensor(cells.centre)
    return ops.concatenate([centre - distance[..., :2], centre + distance[..., 2:]], axis=-1)


def encode(xyxy: Tensor, cells: Cells) -> Tensor:
    """Return (..., A, 4) raw outputs of (..., A, 4) xyxy boxes that hold their cell's centre; inverse of `decode`."""
    half = ops.convert_to_tensor((cells.prior / 2)[:, None])
    centre = ops.convert_to_tensor(cells.centre)
    distance = ops.concatenate([centre - xyxy[..., :2], xyxy[..., 2:] - centre], axis=-1)
    return ops.clip(ops.log(distance / half), -LARGEST_LOG, LARGEST_LOG)


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the (...) intersection over union of boxes a and b, (..., 4) xyxy, broadcast; empty unions give 0."""
    left_a, top_a, right_a, bottom_a = _corners(a)
    left_b, top_b, right_b, bottom_b = _corners(b)
    width = ops.maximum(ops.minimum(right_a, right_b) - ops.maximum(left_a, left_b), 0.0)
    height = ops.maximum(ops.minimum(bottom_a, bottom_b) - ops.maximum(top_a, top_b), 0.0)
    overlap = width * height
    union = (right_a - left_a) * (bottom_a - top_a) + (right_b - left_b) * (bottom_b - top_b) - overlap
    return overlap / ops.maximum(union, 1e-9)


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the (...) complete IoU of boxes a (predicted) and b (true), (..., 4) xyxy, in [-1.x, 1].

    Source: Zheng et al. 2020, "Distance-IoU Loss", equations 7 to 11; the trade-off weight has no gradient, as there.
    """
    left_a, top_a, right_a, bottom_a = _corners(a)
    left_b, top_b, right_b, bottom_b = _corners(b)
    overlap = iou(a, b)
    enclosing_width = ops.maximum(right_a, right_b) - ops.minimum(left_a, left_b)
    enclosing_height = ops.maximum(bottom_a, bottom_b) - ops.minimum(top_a, top_b)
    diagonal = ops.square(enclosing_width) + ops.square(enclosing_height)
    distance = ops.square(left_a + right_a - left_b - right_b) + ops.square(top_a + bottom_a - top_b - bottom_b)
    angle_a = ops.arctan((right_a - left_a) / ops.maximum(bottom_a - top_a, 1e-6))
    angle_b = ops.arctan((right_b - left_b) / ops.maximum(bottom_b - top_b, 1e-6))
    aspect = ops.square(angle_a - angle_b) * (4.0 / np.pi**2)
    trade_off = ops.stop_gradient(aspect / ops.maximum(1.0 - overlap + aspect, 1e-9))
    return overlap - distance / 4.0 / ops.maximum(diagonal, 1e-9) - trade_off * aspect
