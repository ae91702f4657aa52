"""The backbone: its shapes, its arithmetic against plain numpy, and weights that fit or are refused."""

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from annotations.errors import PpnlabError, UsageError
from detector.backbones import efficientnet_lite0, load_backbone_weights
from detector.norm_folding import OF_FILES, OF_RUNS, folded

Arrays = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return efficientnet_lite0()


@pytest.fixture
def arrays(model: keras.Model) -> Arrays:
    rng = np.random.default_rng(0)
    return {
        # Variances have to be positive; the rest may be anything.
        f"{layer.name}/{index}": rng.random(weight.shape, np.float32) + np.float32(0.1)
        for layer in model.layers
        for index, weight in enumerate(layer.weights)
    }


def saved(path: Path, arrays: Arrays) -> str:
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (50, 33)])
def test_outputs_have_strides_4_8_and_16(model: keras.Model, height: int, width: int) -> None:
    outputs = model(np.zeros((2, height, width, 3), np.float32))
    expected = [(2, -(-height // s), -(-width // s), c) for s, c in ((4, 24), (8, 40), (16, 112))]
    assert [tuple(output.shape) for output in outputs] == expected


def test_model_has_the_published_parameters(model: keras.Model) -> None:
    # Cut after b10; counted by the page of the checked conversion.
    assert model.count_params() == 716_928


def test_batch_norms_have_the_published_epsilon_and_the_momentum_asked_for() -> None:
    norms = [layer for layer in efficientnet_lite0(momentum=0.9).layers if layer.name.endswith("_bn")]
    assert len(norms) == 33
    assert all((norm.epsilon, norm.momentum) == (1e-3, 0.9) for norm in norms)


def test_input_is_scaled_as_the_weights_expect(model: keras.Model) -> None:
    scaled = model.get_layer("scaled")(np.float32([0, 127, 255]).reshape(1, 3, 1, 1))
    np.testing.assert_array_equal(np.ravel(scaled), np.float32([-127 / 128, 0, 1]))


def test_stem_is_convolution_norm_and_relu6(model: keras.Model, arrays: Arrays, tmp_path: Path) -> None:
    load_backbone_weights(model, saved(tmp_path / "w.npz", arrays))
    picture = np.random.default_rng(1).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    stem = keras.Model(model.inputs[0], model.get_layer("stem_relu").output)(picture)
    # TensorFlow pads an even size at the far side only: the window of row 0 begins at pixel 0.
    window = (picture[0, :3, 2:5] - 127) / 128
    gamma, beta, mean, variance = (arrays[f"stem_bn/{index}"] for index in range(4))
    value = np.tensordot(window, arrays["stem_conv/0"], axes=3)
    expected = np.clip((value - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0, 6)
    np.testing.assert_allclose(np.asarray(stem)[0, 0, 1], expected, rtol=1e-4, atol=1e-5)


def test_every_weight_is_set_from_its_own_array(model: keras.Model, arrays: Arrays, tmp_path: Path) -> None:
    load_backbone_weights(model, saved(tmp_path / "w.npz", arrays))
    for layer in model.layers:
        for index, weight in enumerate(layer.get_weights()):
            np.testing.assert_array_equal(weight, arrays[f"{layer.name}/{index}"])


def test_package_weights_give_features_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    trained = efficientnet_lite0((64, 64, 3))
    load_backbone_weights(trained, "package")
    ramp = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.float32)[:, None], (1, 64, 64, 3))
    outputs = [np.asarray(output) for output in trained(ramp)]
    # Trained norms keep features around 1, where random weights would let them fade or explode.
    assert all(0.3 < output.std() < 10 for output in outputs)


def test_none_leaves_the_weights_as_they_are(model: keras.Model) -> None:
    before = [weight.copy() for weight in model.get_weights()]
    load_backbone_weights(model, "none")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_arrays_of_stages_that_are_cut_off_are_passed_over(model: keras.Model, arrays: Arrays, tmp_path: Path) -> None:
    load_backbone_weights(model, saved(tmp_path / "w.npz", {**arrays, "b15_dw/0": np.zeros(3, np.float32)}))


def test_array_of_another_shape_is_named_and_nothing_is_set(model: keras.Model, arrays: Arrays, tmp_path: Path) -> None:
    before = [weight.copy() for weight in model.get_weights()]
    arrays["b10_project/0"] = arrays["b10_project/0"][..., :100]
    with pytest.raises(PpnlabError, match=r"b10_project/0: shape must be \(1, 1, 672, 112\), got \(1, 1, 672, 100\)"):
        load_backbone_weights(model, saved(tmp_path / "w.npz", arrays))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_missing_array_is_named(model: keras.Model, arrays: Arrays, tmp_path: Path) -> None:
    del arrays["b3_dw_bn/2"]
    with pytest.raises(PpnlabError, match="b3_dw_bn/2: backbone weights must hold this array"):
        load_backbone_weights(model, saved(tmp_path / "w.npz", arrays))


def test_unknown_weights_are_refused(model: keras.Model) -> None:
    with pytest.raises(UsageError, match="weights must be package, none"):
        load_backbone_weights(model, "imagenet")


def plausible(model: keras.Model) -> Arrays:
    """Return arrays with which features neither fade nor reach the six of ReLU6 everywhere."""
    rng = np.random.default_rng(3)
    arrays = {}
    for layer in model.layers:
        for index, weight in enumerate(layer.weights):
            if len(weight.shape) == 4:
                inputs = np.prod(weight.shape[:2]) * (1 if layer.name.endswith("_dw") else weight.shape[2])
                value = rng.normal(0, inputs**-0.5, weight.shape)
            else:
                value = rng.uniform(0.5, 1.5, weight.shape) if index in (0, 3) else rng.normal(0, 0.3, weight.shape)
            arrays[f"{layer.name}/{index}"] = value.astype(np.float32)
    return arrays


def test_trunk_without_norms_is_the_same_function(model: keras.Model, tmp_path: Path) -> None:
    weights = saved(tmp_path / "w.npz", plausible(model))
    plain = efficientnet_lite0(momentum=None)
    assert not [layer for layer in plain.layers if isinstance(layer, keras.layers.BatchNormalization)]
    load_backbone_weights(model, weights)
    load_backbone_weights(plain, weights)
    picture = np.random.default_rng(4).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    for one, other in zip(model(picture), plain(picture), strict=True):
        assert np.std(one) > 0.1
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_arrays_of_a_head_are_not_folded() -> None:
    ones = np.ones(2, np.float32)
    norm = {f"neck16_bn/{name}": ones for name in OF_RUNS.norm}
    arrays = {"neck16/kernel": np.ones((1, 1, 3, 2), np.float32), **norm}
    assert folded(arrays, OF_RUNS).keys() == arrays.keys()


def test_arrays_that_are_folded_stay_so(model: keras.Model) -> None:
    once = folded(plausible(model), OF_FILES)
    twice = folded(once, OF_FILES)
    assert once.keys() == twice.keys()
    assert all(one is twice[name] for name, one in once.items())
