"""The trunks by name, what of them stays fixed, and the small plain one that needs no pretrained weights."""

from typing import Any, Final

import keras
from keras import layers

from detector.backbones import efficientnet_lite0, load_backbone_weights
from detector.settings import Settings

NORM_MOMENTUM: Final = 0.97
"""Share that a norm's running statistics keep in a step; Keras's 0.99 lags behind in runs of some hundred steps."""
_PLAIN_WIDTHS: Final = (16, 24, 40, 80)


def _plain(shape: tuple[int | None, int | None, int]) -> keras.Model:
    """Return a small trunk of separable convolutions with the outputs of the other trunks (strides 4, 8, 16)."""
    picture = keras.Input(shape, name="picture")
    x: Any = layers.Rescaling(1 / 128, offset=-127 / 128, name="scaled")(picture)
    outputs = []
    for number, width in enumerate(_PLAIN_WIDTHS):
        kind = layers.Conv2D if number == 0 else layers.SeparableConv2D
        x = kind(width, 3, strides=2, padding="same", use_bias=False, name=f"plain{number}")(x)
        x = layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=1e-3, name=f"plain{number}_bn")(x)
        x = layers.ReLU(name=f"plain{number}_relu")(x)
        if number > 0:
            outputs.append(x)
    return keras.Model(picture, outputs, name="plain")


def build_trunk(name: str, canvas: tuple[int | None, int | None], *, norms: bool = True) -> keras.Model:
    """Return the trunk `lite0` or `none` (plain) for (height, width) pixels, with outputs at strides 4, 8 and 16.

    With (None, None) it takes pictures of any size. Without `norms` those of lite0 are folded into its convolutions.
    """
    shape = (*canvas, 3)
    return efficientnet_lite0(shape, momentum=NORM_MOMENTUM if norms else None) if name == "lite0" else _plain(shape)


def freeze_trunk(trunk: keras.Model, blocks: int, *, depthwise: bool) -> None:
    """Fix the stem and the leading `blocks` of a pretrained EfficientNet-Lite0, and all its `depthwise` kernels.

    A few hundred photographs do not improve what a million taught, and a fixed start needs no backward pass. The
    depthwise kernels are a tenth of the weights, and a fifth of a step's time on processors.
    """
    fixed = ("stem_", *(f"b{number}_" for number in range(blocks))) if blocks else ()
    for layer in trunk.layers:
        if layer.name.startswith(fixed) or (depthwise and layer.name.endswith("_dw")):
            layer.trainable = False


def pretrained_trunk(settings: Settings, *, load: bool, any_size: bool = False) -> keras.Model:
    """Return the settings' trunk with its leading blocks fixed; `load` gives it the weights that they name.

    It is for the settings' input, or with `any_size` for pictures of any. The statistics of pretrained norms stay as
    they are, for a batch of a few pictures has worse ones: so they can be folded into the convolutions, which saves
    passes over the maps.

    Raises:
        UsageError, PpnlabError: see `load_backbone_weights`.
    """
    pretrained = settings.backbone == "lite0" and settings.weights != "none"
    trunk = build_trunk(settings.backbone, (None, None) if any_size else settings.input, norms=not pretrained)
    if pretrained:
        freeze_trunk(trunk, settings.frozen_blocks, depthwise=settings.frozen_depthwise)
        if load:
            load_backbone_weights(trunk, settings.weights)
    return trunk
