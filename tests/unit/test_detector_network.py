"""Box coding, assignment, losses and the network itself, against values worked by hand."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from detector_samples import QUICK, THREADS, cells_boxes
from numpy.typing import NDArray

from annotations.tables import BoxDataset
from detector.assignment import TOP_CELLS, Targets, assign, padded
from detector.augment import ignored_class
from detector.box_coding import complete_iou, decode, encode, iou
from detector.cells import OBJECT_PRIOR, OBJECT_STRIDES, PART_PRIOR, PART_STRIDES, Cells, cells
from detector.decoding import decode_boxes
from detector.engine import configure
from detector.losses import BOX_WEIGHT, branch_losses, class_loss
from detector.ppn import SpaceToDepth, build_ppn, geometry
from detector.ppn_family import PpnFamily, PpnModel
from detector.settings import Settings
from detector.trunks import build_trunk

# Before the first tensor: TensorFlow fixes its threads then.
configure(THREADS, deterministic=True)

LEVEL = cells((32, 32), (8,), 4.0)
"""One level of 4 x 4 cells; cell 5 has its centre at (12, 12), and cell 6 at (20, 12)."""
FAR = [90.0, 90.0, 91.0, 91.0]


def array(tensor: object) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_decode_undoes_encode_and_numpy_agrees() -> None:
    grid = cells((64, 96), PART_STRIDES, PART_PRIOR)
    boxes = cells_boxes(np.random.default_rng(0), grid).astype(np.float32)
    raw = encode(boxes[None], grid)
    np.testing.assert_allclose(array(decode(raw, grid))[0], boxes, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(decode_boxes(array(raw)[0], grid), boxes, rtol=1e-4, atol=1e-3)


def test_a_wild_output_decodes_to_a_finite_box_as_in_numpy() -> None:
    raw = np.array([1e9, -1e9, 7.0, -7.0], np.float32) * np.ones((len(LEVEL), 1), np.float32)
    np.testing.assert_allclose(array(decode(raw, LEVEL)), decode_boxes(raw, LEVEL), rtol=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0),
        ([0, 0, 2, 2], [1, 0, 3, 2], 2 / 6),
        ([0, 0, 2, 2], [2, 0, 4, 2], 0.0),
        ([0, 0, 4, 4], [1, 1, 2, 3], 2 / 16),
        ([1, 1, 1, 1], [1, 1, 1, 1], 0.0),
    ],
)
def test_iou_has_its_hand_worked_value(a: list[float], b: list[float], expected: float) -> None:
    assert float(iou(np.array(a, np.float32), np.array(b, np.float32))) == pytest.approx(expected)


def test_complete_iou_has_its_hand_worked_value() -> None:
    def value(a: list[float], b: list[float]) -> float:
        return float(complete_iou(np.array(a, np.float32), np.array(b, np.float32)))

    assert value([0, 0, 2, 2], [0, 0, 2, 2]) == pytest.approx(1.0)
    # Centres 1 apart; the box around both is 3 x 2.
    assert value([0, 0, 2, 2], [1, 0, 3, 2]) == pytest.approx(1 / 3 - 1 / 13)
    # Apart: no overlap, centres 4 apart, 6 x 2 around both.
    assert value([0, 0, 2, 2], [4, 0, 6, 2]) == pytest.approx(-16 / 40)
    # 2 x 1 in 1 x 2: overlap 1 of 3; centres half a pixel apart both ways; 2 x 2 around both.
    aspect = 4 / np.pi**2 * (np.arctan(2) - np.arctan(0.5)) ** 2
    expected = 1 / 3 - 0.5 / 8 - aspect**2 / (1 - 1 / 3 + aspect)
    assert value([0, 0, 2, 1], [0, 0, 1, 2]) == pytest.approx(expected, rel=1e-5)


def assigned(
    said: dict[int, tuple[list[float], list[float]]], truth: list[list[float]], classes: list[int], grid: Cells = LEVEL
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Score (A, 2) and box (A, 4) targets of an image whose cells say FAR, p = 0.5, but for {cell: (box, p)}."""
    boxes = np.tile(np.array(FAR, np.float32), (1, len(grid), 1))
    probabilities = np.full((1, len(grid), 2), 0.5, np.float32)
    for cell, (box, p) in said.items():
        boxes[0, cell], probabilities[0, cell] = box, p
    rows = np.array(truth, np.float32).reshape(1, -1, 4)
    targets = assign(probabilities, boxes, grid, rows, np.array(classes, np.int32).reshape(1, -1))
    return array(targets.score)[0], array(targets.box)[0]


def test_the_best_aligned_cell_gets_its_iou_and_the_others_their_share() -> None:
    whole, half = [0.0, 0.0, 32.0, 32.0], [0.0, 0.0, 16.0, 32.0]
    score, box = assigned({5: (whole, [0.1, 0.25]), 6: (half, [0.1, 1.0])}, [whole], [1])
    # Alignment: sqrt(0.25) * 1 and sqrt(1) * 0.5^6; the second is 1/32 of the first.
    expected = np.zeros((16, 2))
    expected[5, 1], expected[6, 1] = 1.0, 1 / 32
    np.testing.assert_allclose(score, expected, rtol=1e-5)
    assert box[[5, 6]].tolist() == [whole, whole]
    assert (box[[0, 15]] == 0).all()


def test_the_target_of_a_loose_box_is_its_iou() -> None:
    score, _ = assigned({5: ([0.0, 0.0, 16.0, 32.0], [0.5, 0.5])}, [[0.0, 0.0, 32.0, 32.0]], [0])
    assert score[5].tolist() == pytest.approx([0.5, 0.0])


def test_a_cell_that_two_objects_want_answers_for_the_one_it_overlaps_most() -> None:
    first, second = [0.0, 0.0, 16.0, 16.0], [8.0, 8.0, 24.0, 24.0]
    score, box = assigned({5: (second, [0.9, 0.1])}, [first, second], [0, 1])
    assert score[5].tolist() == pytest.approx([0.0, 1.0])
    assert box[5].tolist() == second


def test_a_cell_with_two_equal_objects_answers_for_one() -> None:
    whole = [0.0, 0.0, 32.0, 32.0]
    score, box = assigned({5: (whole, [0.5, 0.5])}, [whole, whole], [0, 1])
    assert score[5].tolist() == pytest.approx([1.0, 0.0])
    assert box[5].tolist() == whole


def test_padding_and_a_centre_outside_of_the_object_take_no_cell() -> None:
    whole = [0.0, 0.0, 32.0, 32.0]
    assert not assigned({5: (whole, [0.5, 0.5])}, [whole], [-1])[0].any()
    # The cell's centre is 8 pixels and more beyond this box, though its own box fits well.
    low = [0.0, 21.0, 32.0, 32.0]
    assert not assigned({5: (low, [0.5, 0.5])}, [low], [0])[0].any()


def test_no_objects_at_all_give_targets_of_zero() -> None:
    score, box = assigned({5: (FAR, [0.9, 0.9])}, [[0.0, 0.0, 0.0, 0.0]], [-1])
    assert score.shape == (16, 2)
    assert not score.any()
    assert not box.any()


def test_an_object_takes_no_more_than_the_top_cells() -> None:
    whole = [0.0, 0.0, 32.0, 32.0]
    said = {cell: (whole, [(cell + 1) / 20, 0.0]) for cell in range(16)}
    score, _ = assigned(said, [whole], [0])
    assert np.flatnonzero(score[:, 0]).tolist() == list(range(16 - TOP_CELLS, 16))


@pytest.mark.parametrize(("side", "priors"), [(32, {32, 64}), (64, {32, 64, 128}), (2, {32}), (250, {128, 256})])
def test_only_levels_that_fit_the_size_answer(side: int, priors: set[int]) -> None:
    grid = cells((256, 256), OBJECT_STRIDES, OBJECT_PRIOR)
    start = 128 - side / 2
    box = [start, start, start + side, start + side]
    # Every cell says just the right box; more than the top cells are equal, and all of those are taken.
    score, _ = assigned({cell: (box, [0.5, 0.5]) for cell in range(len(grid))}, [box], [0], grid)
    assert set(grid.prior[score[:, 0] > 0].tolist()) == priors


@pytest.mark.parametrize("seed", range(5))
def test_every_visible_object_of_an_untrained_network_gets_a_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = cells((128, 192), OBJECT_STRIDES, OBJECT_PRIOR)
    # One object in each of 2 x 3 squares of 64 pixels, from 2 pixels up, of any shape.
    corner = np.stack(np.meshgrid(range(0, 192, 64), range(0, 128, 64)), axis=-1).reshape(-1, 2)
    sides = np.exp(rng.uniform(np.log(2), np.log(60), (6, 2)))
    start = corner + rng.uniform(0, 1, (6, 2)) * (64 - sides)
    truth = np.concatenate([start, start + sides], axis=1).astype(np.float32)
    boxes = decode_boxes(np.zeros((len(grid), 4), np.float32), grid).astype(np.float32)[None]
    targets = assign(
        np.full((1, len(grid), 2), 0.018, np.float32), boxes, grid, truth[None], np.zeros((1, 6), np.int32)
    )
    score, box = array(targets.score)[0], array(targets.box)[0]
    assert score.min() >= 0
    assert score.max() <= 1
    for row in truth:
        own = (box == row).all(axis=1) & (score[:, 0] > 0)
        assert own.any()
        # The surest of its cells is told the best IoU among them.
        assert score[own, 0].max() == pytest.approx(array(iou(boxes[0, own], row)).max(), rel=1e-4)


def test_padded_marks_what_is_no_object() -> None:
    boxes = [np.ones((2, 4)), np.zeros((0, 4)), np.ones((1, 4))]
    all_boxes, all_classes = padded(boxes, [np.array([3, 4]), np.zeros(0, np.int64), np.array([5])])
    assert all_classes.tolist() == [[3, 4], [-1, -1], [5, -1]]
    assert all_boxes.shape == (3, 2, 4)
    empty_boxes, empty_classes = padded([np.zeros((0, 4))] * 2, [np.zeros(0, np.int64)] * 2)
    assert empty_boxes.shape == (2, 1, 4)
    assert empty_classes.tolist() == [[-1], [-1]]


def test_losses_have_their_hand_worked_values() -> None:
    logits = np.array([[[0.0], [0.0], [-30.0]]], np.float32)
    score = np.array([[[0.5], [0.0], [0.0]]], np.float32)
    boxes = np.array([[[0, 0, 2, 2], [5, 5, 6, 6], [7, 7, 8, 8]]], np.float32)
    truth = np.array([[[1, 0, 3, 2], [0, 0, 0, 0], [0, 0, 0, 0]]], np.float32)
    # The positive weighs its target, the first negative 0.75 p^1.5, and the second next to nothing.
    expected = (0.5 + 0.75 * 0.5**1.5) * np.log(2)
    targets = Targets(score, truth, np.ones((1, 3), np.float32))
    assert float(class_loss(logits, targets)) == pytest.approx(expected, rel=1e-5)
    by_class, by_box = branch_losses(logits, boxes, targets)
    # The sum of targets is below 1: divided by 1.
    assert float(by_class.value()) == pytest.approx(expected, rel=1e-5)
    assert float(by_box.value()) == pytest.approx(BOX_WEIGHT * 0.5 * (1 - (1 / 3 - 1 / 13)), rel=1e-5)


def test_losses_are_over_the_sum_of_the_targets() -> None:
    logits, score = np.zeros((1, 4, 1), np.float32), np.ones((1, 4, 1), np.float32)
    boxes = np.tile(np.array([0, 0, 2, 2], np.float32), (1, 4, 1))
    by_class, by_box = branch_losses(logits, boxes, Targets(score, boxes, np.ones((1, 4), np.float32)))
    assert float(by_class.value()) == pytest.approx(np.log(2))
    assert float(by_box.value()) == pytest.approx(0.0, abs=1e-6)


def test_extreme_logits_give_finite_losses() -> None:
    logits = np.array([[[1e4], [-1e4], [1e4], [-1e4]]], np.float32)
    score = np.array([[[1.0], [1.0], [0.0], [0.0]]], np.float32)
    assert float(class_loss(logits, Targets(score, np.zeros((1, 4, 4)), np.ones((1, 4), np.float32)))) == pytest.approx(
        1e4 + 0.75e4, rel=1e-5
    )


def test_cells_that_do_not_count_are_not_blamed() -> None:
    logits = np.array([[[0.0], [0.0]]], np.float32)
    score = np.array([[[0.5], [0.0]]], np.float32)
    boxes = np.zeros((1, 2, 4), np.float32)
    blamed, spared = (
        float(class_loss(logits, Targets(score, boxes, np.array([[0.0, counted]], np.float32)))) for counted in (1, 0)
    )
    # The positive weighs its target whether it counts or not.
    assert spared == pytest.approx(0.5 * np.log(2), rel=1e-5)
    assert blamed == pytest.approx((0.5 + 0.75 * 0.5**1.5) * np.log(2), rel=1e-5)


def test_an_ignored_box_is_nobodys_target_and_nobodys_fault() -> None:
    shape = geometry((64, 64)).objects
    count = len(shape)
    said = np.full((1, count, 1), 0.5, np.float32)
    boxes = np.tile(np.array([0, 0, 30, 30], np.float32), (1, count, 1))
    truth = np.array([[[0, 0, 30, 30], [40, 40, 60, 60]]], np.float32)
    found = assign(said, boxes, shape, truth, np.array([[-2, 0]], np.int32))
    inside = (shape.centre < 30).all(axis=1)
    assert np.asarray(found.counted)[0, inside].max() == 0
    far = (shape.centre > 36).all(axis=1) & (shape.stride == 8)
    assert np.asarray(found.counted)[0, far].min() == 1
    assert np.asarray(found.score)[0, inside].max() == 0
    plain = assign(said, boxes, shape, truth, np.array([[0, 0]], np.int32))
    assert np.asarray(plain.counted).min() == 1
    assert np.asarray(plain.score)[0, inside].max() > 0.9


def test_crowds_and_ignored_boxes_keep_their_class_below_minus_one() -> None:
    ignored = np.array([False, True, True])
    coded = ignored_class(np.array([1, 0, 3]), ignored)
    assert coded.tolist() == [1, -2, -5]
    assert ignored_class(coded, ignored).tolist() == [1, 0, 3]


CLASSES, PARTS = ("qr", "fip"), {"fip": "qr"}
BLACK = np.zeros((2, 64, 64, 3), np.uint8)


def network(settings: Settings, *, parts: bool = True) -> PpnModel:
    return PpnModel(settings, CLASSES if parts else CLASSES[:1], PARTS if parts else {})


def no_data(model: PpnModel) -> PpnFamily:
    from detector_samples import annotations_table, images_table

    nothing = BoxDataset(
        Path("nowhere"), model.classes, model.parts, images_table([], [], (64, 64)), annotations_table([])
    )
    return PpnFamily(model, nothing, nothing, lambda truth, found: {})


def scattered(rng: np.random.Generator, count: int, side: float) -> list[list[float]]:
    start = rng.uniform(0, 64 - side, (count, 2))
    return np.concatenate([start, start + side], axis=1).tolist()


@pytest.mark.parametrize(
    ("count", "side"), [(0, 1.0), (1, 1.0), (5, 0.01), (1, 64.0), (100, 6.0), (500, 1.0), (500, 12.0)]
)
@pytest.mark.parametrize("wild", [0.01, 20.0])
def test_losses_and_gradients_are_finite(count: int, side: float, wild: float) -> None:
    rng = np.random.default_rng(count)
    family = no_data(network(QUICK))
    shape = geometry(QUICK.input)
    sizes = {"object_logits": (2, len(shape.objects), 1), "object_boxes": (2, len(shape.objects), 4)}
    sizes |= {"part_logits": (2, len(shape.parts), 1), "part_boxes": (2, len(shape.parts), 4)}
    outputs = {name: tf.Variable(rng.normal(0, wild, size).astype(np.float32)) for name, size in sizes.items()}
    # The second image is empty.
    truth, classes = padded(
        [np.array(scattered(rng, count, side)).reshape(-1, 4), np.zeros((0, 4))],
        [np.zeros(count, np.int64), np.zeros(0, np.int64)],
    )
    batch = {f"{branch}_truth": truth for branch in ("object", "part")} | {"picture": BLACK}
    batch |= {f"{branch}_class": classes for branch in ("object", "part")}
    with tf.GradientTape() as tape:
        losses = family.losses(outputs, batch)
        total = tf.add_n([loss.value() for loss in losses.values()])
    assert list(losses) == ["object_class_loss", "object_box_loss", "part_class_loss", "part_box_loss"]
    assert np.isfinite(total)
    for name, gradient in zip(outputs, tape.gradient(total, list(outputs.values())), strict=True):
        assert gradient is not None, name
        assert np.isfinite(gradient).all(), name
    if count == 0:
        assert float(losses["object_box_loss"].value()) == 0


def test_the_parts_weight_weighs_their_losses() -> None:
    outputs = {
        name: np.zeros(size, np.float32)
        for name, size in {
            "object_logits": (1, 85, 1),
            "object_boxes": (1, 85, 4),
            "part_logits": (1, 340, 1),
            "part_boxes": (1, 340, 4),
        }.items()
    }
    truth = np.array([[[8, 8, 30, 30]]], np.float32)
    batch = {f"{branch}_truth": truth for branch in ("object", "part")} | {"picture": BLACK}
    batch |= {f"{branch}_class": np.zeros((1, 1), np.int32) for branch in ("object", "part")}
    once, thrice = (no_data(network(replace(QUICK, parts_weight=w))).losses(outputs, batch) for w in (1.0, 3.0))
    for name in once:
        factor = 3.0 if name.startswith("part") else 1.0
        assert float(thrice[name].value()) == pytest.approx(factor * float(once[name].value()), rel=1e-6)
        assert float(once[name].value()) > 0


@pytest.mark.parametrize("canvas", [(64, 64), (64, 160), (416, 96)])
def test_outputs_count_the_cells_of_the_geometry(canvas: tuple[int, int]) -> None:
    model = network(replace(QUICK, input=canvas)).build(pretrained=False)
    shape = geometry(canvas)
    assert {name: tuple(output.shape) for name, output in model.output.items()} == {
        "object_logits": (None, len(shape.objects), 1),
        "object_boxes": (None, len(shape.objects), 4),
        "part_logits": (None, len(shape.parts), 1),
        "part_boxes": (None, len(shape.parts), 4),
    }


def test_a_network_of_any_size_is_the_one_of_each_size() -> None:
    canvas = (64, 96)
    settings = replace(QUICK, input=(96, 160), small_input=canvas, small_share=0.5)
    growing = no_data(network(settings))
    free = growing.build(pretrained=False)
    fixed = network(replace(QUICK, input=canvas)).build(pretrained=False)
    assert free.input_shape == (None, None, None, 3)
    # What is used after the training, and the trainings of one size, know their size.
    assert growing.model.build(pretrained=False).input_shape == (None, 96, 160, 3)
    assert no_data(network(QUICK)).build(pretrained=False).input_shape == (None, 64, 64, 3)
    fixed.set_weights(free.get_weights())
    rng = np.random.default_rng(0)
    truth, classes = np.array([[[8, 8, 40, 40]], [[0, 0, 0, 0]]], np.float32), np.array([[0], [-1]], np.int32)
    batch = {"picture": rng.integers(0, 256, (2, *canvas, 3), np.uint8)}
    batch |= {f"{branch}_truth": truth for branch in ("object", "part")}
    batch |= {f"{branch}_class": classes for branch in ("object", "part")}
    told = []
    for model, family in ((free, growing), (fixed, no_data(network(replace(QUICK, input=canvas))))):
        with tf.GradientTape() as tape:
            losses = family.losses(model(batch["picture"].astype(np.float32), training=True), batch)
            total = tf.add_n([loss.value() for loss in losses.values()])
        told.append([total, *tape.gradient(total, [variable.value for variable in model.trainable_variables])])
    for one, other in zip(*told, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)


def test_without_parts_there_is_no_part_branch() -> None:
    model = network(QUICK, parts=False).build(pretrained=False)
    assert set(model.output) == {"object_logits", "object_boxes"}
    assert not [layer.name for layer in model.layers if "part" in layer.name or "neck4" in layer.name]


def test_all_levels_share_one_predictor() -> None:
    model = build_ppn(build_trunk("none", (64, 64)), 3, 2)
    kernels = [v.path for v in model.trainable_variables if v.path.startswith("object") and "kernel" in v.path]
    assert sorted(kernels) == [
        "object_box/kernel",
        "object_class/kernel",
        "object_entry/kernel",
        "object_tower/depthwise_kernel",
        "object_tower/pointwise_kernel",
    ]


def test_an_untrained_network_says_prior_boxes_with_low_scores() -> None:
    model = network(QUICK).build(pretrained=False)
    outputs = {name: array(value) for name, value in model(np.full((1, 64, 64, 3), 127.0, np.float32)).items()}
    np.testing.assert_allclose(outputs["object_boxes"], 0, atol=0.5)
    np.testing.assert_allclose(outputs["part_logits"], -4, atol=0.5)


def test_a_pretrained_trunk_is_fixed_where_the_settings_say() -> None:
    model = network(replace(QUICK, backbone="lite0", weights="package", frozen_blocks=3)).build(pretrained=False)
    family = no_data(network(QUICK))
    learning = [v.path for layer in model.layers if family.is_trunk(layer.name) for v in layer.trainable_variables]
    assert learning
    assert not [path for path in learning if path.startswith(("stem_", "b0_", "b1_", "b2_")) or "_bn/" in path]
    fixed = [v.path for v in model.non_trainable_variables]
    assert "b2_project/kernel" in fixed
    assert "b3_project/kernel" in learning
    shape = geometry(QUICK.input)
    assert model.output["object_logits"].shape[1] == len(shape.objects)
    assert model.output["part_logits"].shape[1] == len(shape.parts)


def test_every_layer_of_the_trunk_and_none_of_the_head_learns_at_the_trunks_rate() -> None:
    for backbone in ("none", "lite0"):
        settings = replace(QUICK, backbone=backbone, weights="none")
        trunk = {layer.name for layer in build_trunk(backbone, QUICK.input).layers if layer.weights}
        model = network(settings).build(pretrained=False)
        family = no_data(network(settings))
        assert {layer.name for layer in model.layers if layer.weights and family.is_trunk(layer.name)} == trunk


def test_space_to_depth_keeps_the_place_in_the_block() -> None:
    x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    folded = array(SpaceToDepth()(x))
    # Odd sides are padded with 0.
    assert folded[0].tolist() == [[[0, 1, 3, 4], [2, 0, 5, 0]], [[6, 7, 0, 0], [8, 0, 0, 0]]]
    assert SpaceToDepth().compute_output_shape((None, 3, 5, 2)) == (None, 2, 3, 8)
    assert SpaceToDepth().compute_output_shape((None, None, None, 2)) == (None, None, None, 8)
