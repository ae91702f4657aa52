"""What the network's outputs mean, as tensors: the boxes and odds that an exported model works out by itself."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from keras import ops

from detector import classic_coding
from detector.box_coding import decode
from detector.cells import LARGEST_LOG, Cells
from detector.classic_family import ClassicModel, branch_anchors
from detector.decoding import LEAST_ERROR
from detector.family import Tensor
from detector.ppn import geometry
from detector.ppn_family import PpnModel


class Told(NamedTuple):
    """What a branch says: `logits` (B, A, C), the log odds of its classes, and `boxes` (B, A, 4) xyxy input pixels.

    `errors` (B, A, 4) and None are as in `decoding.Branch`, whose tensors these are.
    """

    logits: Tensor
    boxes: Tensor
    errors: Tensor | None


def told(model: PpnModel, outputs: Mapping[str, Tensor]) -> dict[str, Told]:
    """Return what each branch of the model's network says, by the branch's name."""
    kind = _classic if isinstance(model, ClassicModel) else _ours
    return {name: kind(model, name, outputs[f"{name}_logits"], outputs[f"{name}_boxes"]) for name in model.branches()}


def _ours(model: PpnModel, branch: str, logits: Tensor, raw: Tensor) -> Told:
    shape = geometry(model.settings.input)
    cells = shape.objects if branch == "object" else shape.parts
    return Told(logits, decode(raw, cells), _side_errors(raw, cells))


def _side_errors(raw: Tensor, cells: Cells) -> Tensor:
    """Return (B, A, 4): what `decoding.side_errors` does."""
    half, least = (ops.convert_to_tensor(column[:, None]) for column in (cells.prior / 2, LEAST_ERROR * cells.stride))
    return ops.exp(ops.clip(raw, -LARGEST_LOG, LARGEST_LOG)) * half + least


def _classic(model: PpnModel, branch: str, logits: Tensor, offsets: Tensor) -> Told:
    boxes = classic_coding.decode(offsets, branch_anchors(model.settings.input, branch), ops)
    return Told(_log_odds(logits), boxes, None)


def _log_odds(logits: Tensor) -> Tensor:
    """Return (B, A, C) of (B, A, 1 + C): what `classic_family.log_odds` does."""
    columns = np.arange(logits.shape[-1])
    rest = [ops.logsumexp(ops.take(logits, columns[columns != one], axis=-1), axis=-1) for one in columns[1:]]
    return logits[..., 1:] - ops.stack(rest, axis=-1)
