"""Backbones: the picture in, feature maps of strides 4, 8 and 16 out, under the names that converted weights use."""

from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from annotations.errors import PpnlabError
from detector.norm_folding import EPSILON, OF_FILES, folded
from detector.pretrained import weight_arrays


class _Block(NamedTuple):
    kernel: int
    expand: int
    stride: int
    width: int


# Source: EfficientNet-B0, Tan & Le 2019, table 1, in its "lite" form (no squeeze-and-excite, ReLU6), cut after the
# fifth stage: the stages beyond stride 16 hold three quarters of the weights and serve objects as large as the picture.
_LITE0 = (
    _Block(3, 1, 1, 16),
    _Block(3, 6, 2, 24),
    _Block(3, 6, 1, 24),
    _Block(5, 6, 2, 40),
    _Block(5, 6, 1, 40),
    _Block(3, 6, 2, 80),
    _Block(3, 6, 1, 80),
    _Block(3, 6, 1, 80),
    _Block(5, 6, 1, 112),
    _Block(5, 6, 1, 112),
    _Block(5, 6, 1, 112),
)
_STEM_WIDTH = 32
_OUTPUTS = (2, 4, 10)
"""Blocks that are the last of stride 4, 8 and 16."""


def _normalised(x: keras.KerasTensor, name: str, momentum: float | None) -> keras.KerasTensor:
    if momentum is None:
        return x
    return keras.layers.BatchNormalization(epsilon=EPSILON, momentum=momentum, name=f"{name}_bn")(x)


def _pointwise(x: keras.KerasTensor, width: int, name: str, momentum: float | None) -> keras.KerasTensor:
    x = keras.layers.Conv2D(width, 1, use_bias=momentum is None, name=name)(x)
    return _normalised(x, name, momentum)


def _depthwise(x: keras.KerasTensor, block: _Block, name: str, momentum: float | None) -> keras.KerasTensor:
    layer = keras.layers.DepthwiseConv2D(
        block.kernel, strides=block.stride, padding="same", use_bias=momentum is None, name=f"{name}_dw"
    )
    x = _normalised(layer(x), f"{name}_dw", momentum)
    return keras.layers.ReLU(6.0, name=f"{name}_dw_relu")(x)


def _inverted_residual(x: keras.KerasTensor, block: _Block, name: str, momentum: float | None) -> keras.KerasTensor:
    entered = x
    if block.expand > 1:
        x = _pointwise(x, block.expand * x.shape[-1], f"{name}_expand", momentum)
        x = keras.layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
    x = _depthwise(x, block, name, momentum)
    x = _pointwise(x, block.width, f"{name}_project", momentum)
    if block.stride == 1 and entered.shape[-1] == block.width:
        x = keras.layers.Add(name=f"{name}_add")([entered, x])
    return x


def efficientnet_lite0(
    input_shape: tuple[int | None, int | None, int] = (None, None, 3), *, momentum: float | None = 0.99
) -> keras.Model:
    """Return EfficientNet-Lite0 up to stride 16: (B, H, W, 3) RGB 0..255 to feature maps of strides 4, 8 and 16.

    The outputs are a list of (B, H/4, W/4, 24), (B, H/8, W/8, 40) and (B, H/16, W/16, 112), sizes rounded up; the
    input is scaled inside. `momentum` is the batch normalisations'; None leaves them out, and gives the convolutions
    biases, in which pretrained norms are folded. The weights are random: see `load_backbone_weights`.
    """
    picture = keras.Input(input_shape, name="picture")
    # (x - 127) / 128, in float arithmetic exactly. Source: EfficientNet-Lite's preprocessing (MEAN_RGB, STDDEV_RGB).
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="scaled")(picture)
    stem = keras.layers.Conv2D(_STEM_WIDTH, 3, strides=2, padding="same", use_bias=momentum is None, name="stem_conv")
    x = _normalised(stem(x), "stem", momentum)
    x = keras.layers.ReLU(6.0, name="stem_relu")(x)
    outputs = []
    for number, block in enumerate(_LITE0):
        x = _inverted_residual(x, block, f"b{number}", momentum)
        if number in _OUTPUTS:
            outputs.append(x)
    return keras.Model(picture, outputs, name="efficientnet_lite0")


def _layer_arrays(
    layer: keras.layers.Layer, arrays: Mapping[str, NDArray[np.float32]], origin: str
) -> list[NDArray[np.float32]]:
    found = []
    for index, weight in enumerate(layer.weights):
        key = f"{layer.name}/{index}"
        if key not in arrays:
            raise PpnlabError(f"{origin}: {key}: backbone weights must hold this array, got none")
        if arrays[key].shape != tuple(weight.shape):
            raise PpnlabError(f"{origin}: {key}: shape must be {tuple(weight.shape)}, got {arrays[key].shape}")
        found.append(arrays[key])
    return found


def load_backbone_weights(model: keras.Model, weights: str) -> None:
    """Set the weights of a backbone: "package" (ImageNet), "none" (leave them random), or a path of a .npz or .pth.

    Nothing is set unless every array that the model needs is there in its shape; arrays that it has no layer for (the
    stages beyond stride 16) are passed over.

    Raises:
        UsageError: `weights` is none of these.
        PpnlabError: the weights are missing, damaged or not of this model.
    """
    arrays = weight_arrays(weights)
    if arrays is None:
        return
    layers = [layer for layer in model.layers if layer.weights]
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        arrays = folded(arrays, OF_FILES)
    found = [_layer_arrays(layer, arrays, weights) for layer in layers]
    for layer, values in zip(layers, found, strict=True):
        layer.set_weights(values)
