"""The published network itself: its size, its outputs and its trunks."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from classic_samples import CLASSIC_QUICK, classic_family, classic_model
from detector_samples import QUICK, THREADS
from numpy.typing import NDArray

from detector.application_trunks import application_trunk
from detector.classic_anchors import ANCHORS_A_CELL, anchors
from detector.classic_family import ClassicModel
from detector.engine import configure
from detector.families import box_model
from detector.ppn_family import PpnModel
from detector.settings import CLASSIC

# Before the first tensor: TensorFlow fixes its threads then.
configure(THREADS, deterministic=True)

SLOW = ("mobilenet", "resnet50", "vgg16", "lite0")


def array(tensor: object) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@pytest.mark.parametrize(
    ("backbone", "weights", "fixed"),
    [
        ("mobilenet", 2_496_664, 14_720),
        pytest.param("resnet50", 9_589_080, 30_592, marks=pytest.mark.slow),
        pytest.param("vgg16", 15_583_512, 0, marks=pytest.mark.slow),
    ],
)
def test_the_network_has_as_many_weights_as_in_the_reference_s_notebooks(
    backbone: str, weights: int, fixed: int
) -> None:
    network = classic_model(replace(CLASSIC, backbone=backbone), "qr", "fip").build(pretrained=False)
    assert network.count_params() == weights
    assert sum(int(np.prod(v.shape)) for v in network.non_trainable_variables) == fixed
    assert {name: tuple(output.shape) for name, output in network.output.items()} == {
        "object_logits": (None, 7260, 2),
        "object_boxes": (None, 7260, 4),
        "part_logits": (None, 7260, 2),
        "part_boxes": (None, 7260, 4),
    }


@pytest.mark.parametrize(
    ("backbone", "canvas"),
    [("none", (416, 96)), *(pytest.param(n, (96, 160), marks=pytest.mark.slow) for n in SLOW)],
)
def test_outputs_count_the_anchors_of_any_height_and_width(backbone: str, canvas: tuple[int, int]) -> None:
    settings = replace(CLASSIC_QUICK, backbone=backbone, input=canvas)
    network = classic_model(settings, "qr", "cell", "fip", "dot").build(pretrained=False)
    size = len(anchors(settings.input))
    shapes = {name: tuple(output.shape) for name, output in network.output.items()}
    assert shapes["object_logits"] == shapes["part_logits"] == (None, size, 3)
    assert shapes["object_boxes"] == shapes["part_boxes"] == (None, size, 4)


def test_without_parts_there_is_no_part_branch() -> None:
    one = classic_model(CLASSIC_QUICK, "a", "b", "c")
    network = one.build(pretrained=False)
    assert set(network.output) == {"object_logits", "object_boxes"}
    assert network.output["object_logits"].shape[2] == 4
    assert not [layer.name for layer in network.layers if layer.name.startswith(("part", "seen"))]
    assert set(one.branches()) == {"object"}


def test_outputs_are_in_the_anchors_order() -> None:
    # A classifier that knows nothing of the picture but its own biases: six numbers a cell, background and class.
    network = classic_model(CLASSIC_QUICK, "qr").build(pretrained=False)
    layer = network.get_layer("object_class")
    layer.set_weights([np.zeros(layer.kernel.shape), np.arange(2 * ANCHORS_A_CELL)])
    logits = array(network(np.zeros((1, 64, 64, 3), np.float32))["object_logits"])[0]
    assert logits.tolist() == np.tile(np.arange(12.0).reshape(6, 2), (len(logits) // 6, 1)).tolist()


def test_what_the_parts_branch_says_reaches_the_objects_and_not_the_other_way() -> None:
    network = classic_model(CLASSIC_QUICK, "qr", "fip").build(pretrained=False)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    before = {name: array(value) for name, value in network(picture).items()}
    network.get_layer("part_box").bias.assign(np.full(24, 5.0))
    after = {name: array(value) for name, value in network(picture).items()}
    assert np.abs(after["object_logits"] - before["object_logits"]).max() > 1e-3
    network.get_layer("object_box").bias.assign(np.full(24, 5.0))
    assert (array(network(picture)["part_boxes"]) == after["part_boxes"]).all()


def test_the_parts_probabilities_are_a_softmax_a_cell_and_anchor() -> None:
    network = classic_model(CLASSIC_QUICK, "qr", "fip").build(pretrained=False)
    seen = keras.Model(network.input, [network.get_layer("seen_flat0").output, network.output["part_logits"]])
    picture = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    scores, logits = (array(value) for value in seen(picture))
    first = logits[0, : 16 * ANCHORS_A_CELL].astype(np.float64)
    softmax = np.exp(first) / np.exp(first).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores.reshape(-1, 2), softmax, rtol=1e-5)


def test_all_levels_share_one_predictor() -> None:
    network = classic_model(CLASSIC_QUICK, "qr", "fip").build(pretrained=False)
    heads = sorted(v.path for v in network.trainable_variables if v.path.startswith(("object_", "part_")))
    assert heads == [
        f"{branch}_{layer}/{weight}"
        for branch in ("object", "part")
        for layer in ("box", "class", "shared")
        for weight in ("bias", "kernel")
    ]


@pytest.mark.parametrize("backbone", ["none", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_every_layer_of_the_trunk_and_none_of_the_head_learns_at_the_trunks_rate(backbone: str) -> None:
    settings = replace(CLASSIC_QUICK, backbone=backbone)
    network = classic_model(settings, "qr", "fip").build(pretrained=False)
    is_trunk = classic_family(settings).is_trunk
    layers = [layer.name for layer in network.layers if layer.weights]
    assert {name for name in layers if not is_trunk(name)} == {
        f"{branch}_{layer}" for branch in ("object", "part") for layer in ("box", "class", "shared")
    }


def test_trunks_see_the_colours_that_they_were_trained_on() -> None:
    rgb = np.array([255.0, 127.5, 0.0], np.float32) * np.ones((1, 64, 64, 3), np.float32)
    for backbone, expected in (("mobilenet", [1.0, 0.0, -1.0]), ("vgg16", [-103.939, 10.721, 131.32])):
        trunk = application_trunk(backbone, (64, 64))
        scaled = keras.Model(trunk.input, trunk.get_layer("scaled").output)
        np.testing.assert_allclose(array(scaled(rgb))[0, 0, 0], expected, atol=1e-4)


def test_the_family_is_chosen_by_its_name() -> None:
    kinds = [type(box_model(replace(QUICK, family=name), ("qr",), {})) for name in ("ppn", "ppn_classic")]
    assert kinds == [PpnModel, ClassicModel]
