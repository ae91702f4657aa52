"""The losses of one branch (objects or parts): quality-aware class loss and complete-IoU box loss, in `keras.ops`."""

from typing import Final

from keras import ops

from detector.assignment import Targets
from detector.box_coding import Tensor, complete_iou
from detector.family import Loss

NEGATIVE_WEIGHT: Final = 0.75
NEGATIVE_POWER: Final = 1.5
"""Weight and power of a negative's loss. Source: Zhang et al. 2021, "VarifocalNet", equation 2 (alpha .75, gamma 2);
1.5 from own measurement."""
BOX_WEIGHT: Final = 2.0
"""Weight of the box loss beside the class loss. Source: VarifocalNet, section 3.5 (1.5 and 2)."""


def class_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Return the summed varifocal loss of (B, A, C) logits: a positive is weighted by its target, a negative by p^1.5.

    Source: Zhang et al. 2021, "VarifocalNet", equation 2.
    """
    probability = ops.sigmoid(logits)
    positive = targets.score > 0
    negative = NEGATIVE_WEIGHT * ops.power(probability, NEGATIVE_POWER) * targets.counted[..., None]
    weight = ops.where(positive, targets.score, negative)
    # Binary cross-entropy from logits, in the form that overflows nowhere.
    entropy = ops.maximum(logits, 0.0) - logits * targets.score + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.sum(weight * entropy)


def box_loss(boxes: Tensor, targets: Targets) -> Tensor:
    """Return the summed complete-IoU loss of (B, A, 4) xyxy pixels, each cell weighted by its target score."""
    weight = ops.sum(targets.score, axis=-1)
    # Cells without an object compare with themselves, so that no gradient, nor a NaN, comes from them.
    truth = ops.where(weight[..., None] > 0, targets.box, ops.stop_gradient(boxes))
    return ops.sum(weight * (1.0 - complete_iou(boxes, truth)))


def branch_losses(logits: Tensor, boxes: Tensor, targets: Targets, share: float = 1.0) -> tuple[Loss, Loss]:
    """Return class and box loss of a branch, both over the sum of the targets."""
    weight = ops.sum(targets.score)
    boxes_total = BOX_WEIGHT * box_loss(boxes, targets)
    return Loss(class_loss(logits, targets), weight, share), Loss(boxes_total, weight, share)
