"""The published network's losses against values worked by hand from the reference's formulas, and its gradients."""

import itertools
from dataclasses import replace
from math import log

import keras
import numpy as np
import pytest
import tensorflow as tf
from classic_samples import CLASSIC_QUICK, classic_family
from detector_samples import THREADS
from numpy.typing import NDArray

from detector.assignment import padded
from detector.classic_anchors import anchors
from detector.classic_family import branch_anchors, log_odds
from detector.classic_losses import box_loss, branch_losses, class_loss
from detector.classic_matching import targets
from detector.engine import configure

# Before the first tensor: TensorFlow fixes its threads then.
configure(THREADS, deterministic=True)


ZERO = np.zeros((1, 1, 4), np.float32)


def logits_of(*probabilities: tuple[float, ...]) -> NDArray[np.float32]:
    """(1, A, 1 + C) logits whose softmax has these probabilities; a constant added changes nothing."""
    return (np.log(np.array([probabilities])) + 3.0).astype(np.float32)


def test_focal_loss_has_its_hand_worked_value() -> None:
    logits = logits_of((0.25, 0.75), (0.25, 0.75), (0.5, 0.5))
    # (1 - p)^2 of minus the log of the true class's p, each.
    expected = 0.25**2 * -log(0.75), 0.75**2 * -log(0.25), 0.5**2 * -log(0.5)
    for row, value in enumerate(expected):
        said = np.full((1, 3), -1, np.int32)
        said[0, row] = (1, 0, 0)[row]
        assert float(class_loss(logits, said)) == pytest.approx(value, rel=1e-5)
    assert float(class_loss(logits, np.array([[1, 0, 0]], np.int32))) == pytest.approx(sum(expected), rel=1e-5)


def test_only_the_true_class_of_several_counts() -> None:
    logits = logits_of((0.5, 0.2, 0.2, 0.1))
    values = [float(class_loss(logits, np.array([[said]], np.int32))) for said in (0, 1, 2, 3)]
    expected = [0.25 * log(2), 0.64 * log(5), 0.64 * log(5), 0.81 * log(10)]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_a_probability_of_nothing_costs_its_bound() -> None:
    # The reference takes the logarithm of no less than 1e-12.
    logits = np.array([[[1000.0, 0.0]]], np.float32)
    assert float(class_loss(logits, np.array([[1]], np.int32))) == pytest.approx(12 * log(10), rel=1e-5)
    assert float(class_loss(logits, np.array([[0]], np.int32))) == 0.0


def test_smooth_l1_is_square_within_one_and_straight_beyond() -> None:
    offsets = np.array([[[0.5, -0.5, 2.0, -3.0], [9.0, 9.0, 9.0, 9.0], [9.0, 9.0, 9.0, 9.0]]], np.float32)
    true = np.zeros_like(offsets)
    # 0.5 x 0.25 twice, 2 - 0.5, 3 - 0.5; background and what does not count have no box.
    said = np.array([[1, 0, -1]], np.int32)
    assert float(box_loss(offsets, said, true)) == pytest.approx(0.125 + 0.125 + 1.5 + 2.5, rel=1e-6)
    assert float(box_loss(true + 1, said, true)) == pytest.approx(4 * 0.5, rel=1e-6)


def test_both_losses_are_over_the_anchors_that_count_of_the_whole_batch() -> None:
    logits = np.concatenate([logits_of((0.5, 0.5), (0.5, 0.5)), logits_of((0.5, 0.5), (0.5, 0.5))])
    offsets, true = np.full((2, 2, 4), 2.0, np.float32), np.zeros((2, 2, 4), np.float32)
    said = np.array([[1, 0], [0, -1]], np.int32)
    by_class, by_box = branch_losses(logits, offsets, said, true, share=0.5)
    # Three anchors count, one of them with a box: 0.5 x (3 x 0.25 ln 2) / 3 and 0.5 x (4 x 1.5) / 3.
    assert float(by_class.value()) == pytest.approx(0.5 * 0.25 * log(2), rel=1e-5)
    assert float(by_box.value()) == pytest.approx(1.0, rel=1e-5)


def test_a_batch_in_which_nothing_counts_costs_nothing() -> None:
    losses = branch_losses(logits_of((0.5, 0.5)), np.ones((1, 1, 4), np.float32), np.array([[-1]]), ZERO)
    assert [float(loss.value()) for loss in losses] == [0.0, 0.0]


def test_a_picture_s_whole_loss_has_the_reference_s_value() -> None:
    # One code of 48 x 48 on an anchor of 480 x 480 pixels, and a network that says nothing (all logits 0, all offsets
    # the anchors): 0.25 ln 2 a counted anchor, and the smooth L1 of the true offsets.
    known = anchors((480, 480))
    said, offsets = targets(np.array([[64.0, 32.0, 112.0, 80.0]]), np.array([0]), known)
    by_class, by_box = branch_losses(
        np.zeros((1, 7260, 2), np.float32), np.zeros((1, 7260, 4), np.float32), said[None], offsets[None]
    )
    assert float(by_class.value()) == pytest.approx(0.25 * log(2), rel=1e-5)
    # Positives: the square itself (0), its four neighbours (a third off, one way), ratios 1/2 and 2 at its place
    # (half a ln 2 off, both ways), and the larger square, where the rounding of its half allows.
    positives = said > 0
    larger = int(positives.reshape(-1, 6)[: 30 * 30, 5].sum())
    expected = 4 * 0.5 / 9 + 2 * 2 * 0.5 * (log(2) / 2) ** 2 + larger * 2 * 0.5 * (log(2) / 2) ** 2
    assert positives.sum() == 7 + larger
    assert float(by_box.value()) * (said >= 0).sum() == pytest.approx(expected, rel=1e-5)


def test_log_odds_give_the_softmax_s_probability() -> None:
    odds = log_odds(logits_of((0.5, 0.2, 0.3), (0.01, 0.98, 0.01))[0])
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), [[0.2, 0.3], [0.98, 0.01]], rtol=1e-5)
    assert log_odds(np.array([[1000.0, 0.0]], np.float32)).tolist() == [[-1000.0]]


@pytest.mark.parametrize(("count", "side"), [(0, 1.0), (1, 1.0), (1, 64.0), (500, 6.0), (500, 0.01)])
@pytest.mark.parametrize("wild", [0.01, 50.0])
def test_losses_and_gradients_are_finite(count: int, side: float, wild: float) -> None:
    rng = np.random.default_rng(count)
    one = classic_family()
    start = rng.uniform(0, 64 - side, (count, 2))
    found = np.concatenate([start, start + side], axis=1)
    # The second image is empty.
    boxes, classes = padded([found, np.zeros((0, 4))], [np.zeros(count, np.int64), np.zeros(0, np.int64)])
    outputs: dict[str, tf.Variable] = {}
    batch: dict[str, NDArray[np.generic]] = {}
    for branch in ("object", "part"):
        size = len(branch_anchors((64, 64), branch))
        outputs[f"{branch}_logits"] = tf.Variable(rng.normal(0, wild, (2, size, 2)).astype(np.float32))
        outputs[f"{branch}_boxes"] = tf.Variable(rng.normal(0, wild, (2, size, 4)).astype(np.float32))
        pairs = [one._targets(branch, *image) for image in zip(boxes, classes, strict=True)]
        batch[f"{branch}_said"], batch[f"{branch}_offsets"] = (np.stack(each) for each in zip(*pairs, strict=True))
    with tf.GradientTape() as tape:
        losses = one.losses(outputs, batch)
        total = tf.add_n([loss.value() for loss in losses.values()])
    assert list(losses) == ["object_class_loss", "object_box_loss", "part_class_loss", "part_box_loss"]
    assert np.isfinite(total)
    for name, gradient in zip(outputs, tape.gradient(total, list(outputs.values())), strict=True):
        assert gradient is not None, name
        assert np.isfinite(gradient).all(), name
    if count == 0 or side < 0.1:
        assert float(losses["object_box_loss"].value()) == 0


def test_the_parts_weight_weighs_their_losses() -> None:
    rng = np.random.default_rng(0)
    outputs, batch = {}, {}
    for branch in ("object", "part"):
        size = len(branch_anchors((64, 64), branch))
        outputs |= {f"{branch}_logits": rng.normal(size=(1, size, 2)).astype(np.float32)}
        outputs |= {f"{branch}_boxes": np.ones((1, size, 4), np.float32)}
        batch |= {f"{branch}_said": np.ones((1, size), np.int32), f"{branch}_offsets": np.zeros((1, size, 4), "f4")}
    once, thrice = (classic_family(replace(CLASSIC_QUICK, parts_weight=w)).losses(outputs, batch) for w in (1.0, 3.0))
    for name in once:
        factor = 3.0 if name.startswith("part") else 1.0
        assert float(thrice[name].value()) == pytest.approx(factor * float(once[name].value()), rel=1e-6)


def test_the_gradient_of_the_class_loss_is_the_formula_s() -> None:
    # Against differences: (L(z + h) - L(z - h)) / 2h, in the middle of the softmax.
    logits = np.array([[[0.3, -0.2, 0.5], [1.0, 0.0, -1.0]]], np.float64)
    said = np.array([[2, 0]], np.int32)
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = class_loss(variable, said)
    gradient = keras.ops.convert_to_numpy(tape.gradient(loss, variable))
    for place in itertools.product((0,), (0, 1), (0, 1, 2)):
        step = np.zeros_like(logits)
        step[place] = 1e-5
        up, down = (float(class_loss(tf.constant(z), said)) for z in (logits + step, logits - step))
        assert gradient[place] == pytest.approx((up - down) / 2e-5, abs=1e-6)
