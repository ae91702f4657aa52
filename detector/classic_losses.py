"""The losses of the published network: focal loss of the softmax, and smooth L1 of the offsets, in `keras.ops`.

Both are summed over the anchors that count and divided by their number, positives and negatives alike.

Source: the reference implementation of Blanger & Hirata, ICIP 2019, with its gamma of 2 and weights of 1.
"""

from typing import Final

import numpy as np
from keras import ops

from detector.box_coding import Tensor
from detector.family import Loss

LEAST_PROBABILITY: Final = 1e-12
"""Bound below which a probability's logarithm, and its gradient, stop."""


def class_loss(logits: Tensor, said: Tensor) -> Tensor:
    """Return the summed focal loss of (B, A, 1 + C) logits, background first, against (B, A) classes.

    Source: Lin et al. 2017, "Focal Loss", equation 4 with gamma 2, on the softmax's probability of the true class.
    """
    true_class = ops.one_hot(ops.maximum(said, 0), logits.shape[-1], dtype=logits.dtype)
    log = ops.sum(true_class * ops.log_softmax(logits, axis=-1), axis=-1)
    log = ops.maximum(log, float(np.log(LEAST_PROBABILITY)))
    # 1 - p without the digits that a p near 1 loses.
    focal = -ops.square(ops.expm1(log)) * log
    return ops.sum(ops.where(said >= 0, focal, 0.0))


def box_loss(offsets: Tensor, said: Tensor, true_offsets: Tensor) -> Tensor:
    """Return the summed smooth L1 loss of (B, A, 4) offsets, where an anchor has a class.

    Source: Girshick 2015, "Fast R-CNN", equation 3.
    """
    gap = ops.abs(ops.where((said > 0)[..., None], offsets - true_offsets, 0.0))
    return ops.sum(ops.where(gap < 1.0, 0.5 * ops.square(gap), gap - 0.5))


def branch_losses(
    logits: Tensor, offsets: Tensor, said: Tensor, true_offsets: Tensor, share: float = 1.0
) -> tuple[Loss, Loss]:
    """Return class and box loss of a branch, both over the number of anchors that count."""
    weight = ops.sum(ops.cast(said >= 0, logits.dtype))
    return Loss(class_loss(logits, said), weight, share), Loss(box_loss(offsets, said, true_offsets), weight, share)
