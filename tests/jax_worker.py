"""Run by a test in a process of its own, with Keras on JAX: raw outputs, boxes and losses of a network."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from annotations.tables import Annotations, BoxDataset, Images
from detector.ppn_family import PpnFamily, PpnModel
from detector.settings import Settings


def network_family(backbone: str) -> PpnFamily:
    """The family, without data, of a small network with parts."""
    settings = Settings(backbone=backbone, weights="none", input=(64, 96))  # type: ignore[arg-type]
    none, text, number = np.zeros(0, np.int64), np.zeros(0, np.str_), np.zeros((0, 4))
    name, side = np.array(["a"]), np.array([96])
    images = Images(name, name, side, side, name, name, name, name)
    truth = Annotations(none, none, none, text, none, number, text)
    data = BoxDataset(Path(), ("qr", "fip"), {"fip": "qr"}, images, truth)
    model = PpnModel(settings, data.classes, data.parts)
    return PpnFamily(model, data, data, lambda truth, found: {})


def said(family: PpnFamily, arrays: list[NDArray[Any]], batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs of the family's network with these weights, and its losses, on a batch."""
    network = family.build(pretrained=False)
    network.set_weights(arrays)
    outputs = network.predict_on_batch(batch["picture"].astype(np.float32))

    def values(outputs: dict[str, Any]) -> dict[str, Any]:
        return {name: loss.value() for name, loss in family.losses(outputs, batch).items()}

    losses = _compiled(values)(outputs)
    return {name: np.asarray(keras.ops.convert_to_numpy(value)) for name, value in {**outputs, **losses}.items()}


def _compiled(function: Any) -> Any:  # noqa: ANN401
    if keras.backend.backend() != "jax":
        return function
    # One by one the operations take minutes to compile.
    import jax

    return jax.jit(function)


if __name__ == "__main__":
    if keras.backend.backend() != "jax":
        sys.exit("keras must be on jax")
    with np.load(sys.argv[2], allow_pickle=False) as given:
        weights = [given[f"w{number}"] for number in range(sum(name.startswith("w") for name in given.files))]
        inputs = {name: given[name] for name in given.files if not name.startswith("w")}
    np.savez(sys.argv[3], **said(network_family(sys.argv[1]), weights, inputs))
    if "tensorflow" in sys.modules:
        sys.exit("tensorflow must not be needed")
