"""What the network's outputs mean, as tensors: the boxes and odds that an exported model works out by itself."""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from detector.cells import LARGEST_LOG, Cells
from detector.classic_coding import LARGEST_LOG as LARGEST_CLASSIC_LOG
from detector.classic_family import ClassicModel, branch_anchors
from detector.decoding import LEAST_ERROR
from detector.family import Tensor
from detector.ppn import geometry
from detector.ppn_family import PpnModel


def cell_table(model: PpnModel, branch: str) -> NDArray[np.float32]:
    """Return (A, 4) what `decoded` must know of each cell of a branch: its centre, and two numbers more."""
    if isinstance(model, ClassicModel):
        anchors = branch_anchors(model.settings.input, branch)
        return np.concatenate([anchors.centre, anchors.size], axis=1).astype(np.float32)
    shape = geometry(model.settings.input)
    cells: Cells = shape.objects if branch == "object" else shape.parts
    return np.column_stack([cells.centre, cells.prior / 2, LEAST_ERROR * cells.stride]).astype(np.float32)


def decoded(model: PpnModel, raw: Tensor, table: Any) -> tuple[Tensor, Tensor | None]:  # noqa: ANN401
    """Return boxes (..., 4) xyxy input pixels and how far their sides may be off, as `decoding.Branch` has them.

    `raw` (..., 4) are outputs of the network, `table` (..., 4) the rows of their cells.
    """
    centre, more = ops.split(ops.convert_to_tensor(table), 2, axis=-1)
    if isinstance(model, ClassicModel):
        shift, log_size = ops.split(raw, 2, axis=-1)
        middle = shift * more + centre
        half = ops.exp(ops.clip(log_size, -LARGEST_CLASSIC_LOG, LARGEST_CLASSIC_LOG)) * more / 2
        return ops.concatenate([middle - half, middle + half], axis=-1), None
    prior, least = ops.split(more, 2, axis=-1)
    distance = ops.exp(ops.clip(raw, -LARGEST_LOG, LARGEST_LOG)) * prior
    before, after = ops.split(distance, 2, axis=-1)
    return ops.concatenate([centre - before, centre + after], axis=-1), distance + least


def log_odds(model: PpnModel, logits: Tensor) -> Tensor:
    """Return (B, A, C) the log odds of a branch's classes, of what the network gives for them."""
    if not isinstance(model, ClassicModel):
        return logits
    # As `classic_family.log_odds` does: one against the rest of a softmax, whose first is the background.
    columns = np.arange(logits.shape[-1])
    rest = [ops.logsumexp(ops.take(logits, columns[columns != one], axis=-1), axis=-1) for one in columns[1:]]
    return logits[..., 1:] - ops.stack(rest, axis=-1)
