"""The graph from pictures to detections in the ONNX form, and on from there to OpenVINO's."""

import contextlib
import importlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from annotations.errors import PpnlabError
from detector.export_tensors import detection_function

if TYPE_CHECKING:
    import keras

    from detector.ppn_family import PpnModel

OPSET: Final = 17
"""ONNX Runtime reads it from its version 1.12 on."""
COLUMNS: Final = ("image", "class_id", "score", "xyxy")
"""The outputs in their order."""


def onnx_model(network: "keras.Model", model: "PpnModel", facts: Mapping[str, Any]) -> bytes:
    """Return the network and what is done with its outputs as an ONNX file, which holds the `facts` as metadata.

    Inputs and outputs are those of `detection_function`; each of the facts is a property whose value is JSON.
    """
    onnx = importlib.import_module("onnx")
    with _quiet():
        from keras.src.export.tf2onnx_lib import patch_tf2onnx

        tf2onnx = importlib.import_module("tf2onnx")
        # tf2onnx 1.17 speaks to numpy 1; Keras brings what it lacks.
        patch_tf2onnx()
        function = detection_function(network, model)
        made, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET)
    made.producer_name, made.producer_version = "ppnlab", str(facts["ppnlab"])
    onnx.helper.set_model_props(made, {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()})
    _name_sizes(made)
    _tell_size_of_boxes(onnx, made)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the converter remarks on its own code and its steps."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _name_sizes(made: Any) -> None:  # noqa: ANN401
    """Give the sizes that are open a name, and the outputs their order."""
    for value in made.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    outputs = sorted(made.graph.output, key=lambda value: COLUMNS.index(value.name))
    for value in outputs:
        value.type.tensor_type.shape.dim[0].dim_param = "detections"
    del made.graph.output[:]
    made.graph.output.extend(outputs)


def _tell_size_of_boxes(onnx: Any, made: Any) -> None:  # noqa: ANN401
    """Say before suppression that a box has four numbers: OpenVINO cannot conclude it, and does not load the model."""
    place, node = next((i, one) for i, one in enumerate(made.graph.node) if one.op_type == "NonMaxSuppression")
    # 0: as many as there are.
    shape = onnx.numpy_helper.from_array(np.array([0, -1, 4], np.int64), "boxes_of_four")
    made.graph.initializer.append(shape)
    made.graph.node.insert(place, onnx.helper.make_node("Reshape", [node.input[0], shape.name], ["sized_boxes"]))
    node.input[0] = "sized_boxes"


def save_openvino(data: bytes, file: Path) -> None:
    """Write an ONNX model as `file` (.xml), with the weights (.bin) beside it, as 32-bit numbers.

    Raises:
        PpnlabError: it cannot be written.
    """
    openvino = importlib.import_module("openvino")
    try:
        openvino.save_model(openvino.Core().read_model(data), file, compress_to_fp16=False)
    except RuntimeError as error:
        raise PpnlabError(f"{file}: model must be writable, got {error}") from error
