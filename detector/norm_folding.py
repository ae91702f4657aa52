"""Folding norms with fixed statistics into the convolutions before them: the same function in fewer passes (numpy)."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_CONVOLUTION: Final = re.compile(r"(stem)_conv|(b\d+_(?:expand|dw|project))")
"""Layers of the trunk that have a norm, which is called like what the groups hold, and `_bn`."""
EPSILON: Final = 1e-3
"""Of every batch normalisation. Source: EfficientNet's `batch_norm_epsilon`, which the published weights assume."""


class Names(NamedTuple):
    """How arrays are named behind the slash: a convolution's kernel and bias, and a norm's four arrays."""

    kernel: str
    bias: str
    norm: tuple[str, str, str, str]


OF_FILES: Final = Names("0", "1", ("0", "1", "2", "3"))
"""Of a file of weights: places in a layer."""
OF_RUNS: Final = Names("kernel", "bias", ("gamma", "beta", "moving_mean", "moving_variance"))
"""Of a run's checkpoints: names of variables."""


def folded(arrays: Mapping[str, NDArray[Any]], names: Names) -> dict[str, NDArray[Any]]:
    """Return the arrays `LAYER/NAME` of a trunk with the norm of each convolution folded into its kernel and a bias.

    Kernels are (h, w, in, out), depthwise ones (`LAYER` ends in `_dw`) (h, w, channels, 1). What is no convolution of
    the trunk with a norm of its own stays as it is.

    Source: y = gamma (Wx - mean) / sqrt(variance + EPSILON) + beta; Ioffe & Szegedy 2015, algorithm 2.
    """
    new = dict(arrays)
    for layer in dict.fromkeys(key.rpartition("/")[0] for key in arrays):
        found = _CONVOLUTION.fullmatch(layer)
        keys = [f"{found[1] or found[2]}_bn/{part}" for part in names.norm] if found else []
        if found and all(key in arrays for key in keys):
            kernel = new[f"{layer}/{names.kernel}"]
            gamma, beta, mean, variance = (new.pop(key).astype(np.float64) for key in keys)
            factor = gamma / np.sqrt(variance + EPSILON)
            new[f"{layer}/{names.kernel}"] = (kernel * _along(factor, layer)).astype(kernel.dtype)
            new[f"{layer}/{names.bias}"] = (beta - mean * factor).astype(kernel.dtype)
    return new


def _along(factor: NDArray[np.float64], layer: str) -> NDArray[np.float64]:
    """Return the (channels,) factors along the axis of the outputs of the layer's kernel."""
    return factor[:, None] if layer.endswith("_dw") else factor
