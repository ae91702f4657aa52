"""Boxes as the published network writes them: offsets from an anchor, on numpy arrays or, in the network, on tensors.

Source: Ren et al. 2015, "Faster R-CNN", equation 2, without the variances that SSD divides by: the reference
implementation has none.
"""

from types import ModuleType
from typing import Any, Final

import numpy as np

from detector.classic_anchors import Anchors

LARGEST_LOG: Final = 20.0
"""Bound of a log size before `exp`, so that a wild network gives a huge box and not an infinite one; ours."""


def encode(xyxy: Any, anchors: Anchors, ops: ModuleType = np) -> Any:  # noqa: ANN401
    """Return the (..., A, 4) offsets of boxes (..., A, 4) xyxy pixels, one an anchor: x, y, log width, log height.

    `ops` is numpy, for arrays, or keras.ops, for tensors. Inverse of `decode`; sides must be above 0.
    """
    centre, size = (_constant(values, ops) for values in (anchors.centre, anchors.size))
    shift = ((xyxy[..., :2] + xyxy[..., 2:]) / 2 - centre) / size
    return ops.concatenate([shift, ops.log((xyxy[..., 2:] - xyxy[..., :2]) / size)], axis=-1)


def decode(offsets: Any, anchors: Anchors, ops: ModuleType = np) -> Any:  # noqa: ANN401
    """Return the (..., A, 4) xyxy pixels of offsets (..., A, 4); zeros give the anchors. Inverse of `encode`."""
    centre, size = (_constant(values, ops) for values in (anchors.centre, anchors.size))
    middle = offsets[..., :2] * size + centre
    half = ops.exp(ops.clip(offsets[..., 2:], -LARGEST_LOG, LARGEST_LOG)) * size / 2
    return ops.concatenate([middle - half, middle + half], axis=-1)


def _constant(values: Any, ops: ModuleType) -> Any:  # noqa: ANN401
    # A tensor of 64-bit numbers would not mix with the network's 32-bit ones.
    return values if ops is np else ops.convert_to_tensor(values, "float32")
