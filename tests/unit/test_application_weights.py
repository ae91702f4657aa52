"""The weights that the trunks of keras.applications start from: files, downloads, and what is none of these."""

import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from classic_samples import CLASSIC_QUICK
from detector_samples import THREADS

from annotations.errors import PpnlabError, UsageError
from detector import application_trunks
from detector.application_trunks import application_trunk, load_application_weights, pretrained_network
from detector.classic_family import ClassicModel
from detector.engine import configure

# Before the first tensor: TensorFlow fixes its threads then.
configure(THREADS, deterministic=True)

MOBILE = replace(CLASSIC_QUICK, backbone="mobilenet")


SAVED = (".h5", ".keras", ".weights.h5")


class Saved(NamedTuple):
    """A trunk's network of keras.applications, and the places where its weights were saved."""

    network: keras.Model
    files: dict[str, Path]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    place = tmp_path_factory.mktemp("weights")
    network = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(64, 64, 3))
    for variable in network.variables:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    files = {kind: place / f"mobile{kind}" for kind in SAVED}
    with warnings.catch_warnings():
        # Keras warns that a .h5 of a whole network is an old form; it is the one that it publishes weights in. And
        # numpy, of how Keras reads its variables.
        warnings.simplefilter("ignore")
        network.save(files[".h5"])
        network.save(files[".keras"])
        network.save_weights(files[".weights.h5"])
    return Saved(network, files)


@pytest.mark.parametrize("kind", [".h5", *(pytest.param(kind, marks=pytest.mark.slow) for kind in SAVED[1:])])
def test_a_trunk_takes_the_weights_of_a_file(saved: Saved, kind: str) -> None:
    trunk = application_trunk("mobilenet", (64, 96))
    load_application_weights(trunk, "mobilenet", str(saved.files[kind]))
    layers = [layer for layer in trunk.layers if layer.weights]
    assert layers
    for layer in layers:
        for got, expected in zip(layer.get_weights(), saved.network.get_layer(layer.name).get_weights(), strict=True):
            assert np.array_equal(got, expected)


@pytest.mark.slow
def test_the_family_loads_the_weights_only_where_they_are_asked_for(saved: Saved) -> None:
    settings = replace(MOBILE, weights=str(saved.files[".h5"]))
    expected = saved.network.get_layer("conv1").get_weights()[0]
    for pretrained in (True, False):
        network = ClassicModel(settings, ("qr",), {}).build(pretrained=pretrained)
        assert np.array_equal(network.get_layer("conv1").get_weights()[0], expected) == pretrained


@pytest.mark.parametrize("weights", ["package", "no/such/file.h5", "mobile.npz", "imagenet21k"])
def test_weights_that_are_none_are_a_mistake_of_the_command(weights: str) -> None:
    with pytest.raises(UsageError, match=r"weights must be imagenet, none, or the path of a \.h5 or \.keras file, got"):
        pretrained_network("mobilenet", weights)


@pytest.mark.slow
def test_the_weights_of_another_network_are_refused_by_name(saved: Saved, tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    for kind, save in ((".keras", other.save), (".weights.h5", other.save_weights)):
        file = tmp_path / f"other{kind}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(file)
        with pytest.raises(PpnlabError, match=rf"other{kind}: weights must be those of keras\.applications\.MobileNet"):
            pretrained_network("mobilenet", str(file))


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        (".h5", "cut"),
        *(pytest.param(".h5", how, marks=pytest.mark.slow) for how in ("empty", "rubbish")),
        *(pytest.param(".keras", how, marks=pytest.mark.slow) for how in ("cut", "empty", "rubbish")),
    ],
)
def test_damaged_weights_are_refused_by_name(saved: Saved, tmp_path: Path, kind: str, damage: str) -> None:
    whole = saved.files[kind].read_bytes()
    file = tmp_path / f"damaged{kind}"
    file.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "rubbish": os.urandom(1000)}[damage])
    with pytest.raises(PpnlabError, match=rf"damaged{kind}: weights must be those of keras\.applications\.MobileNet"):
        pretrained_network("mobilenet", str(file))


@pytest.mark.slow
def test_weights_that_are_not_finite_are_refused(saved: Saved, tmp_path: Path) -> None:
    network = keras.models.clone_model(saved.network)
    network.get_layer("conv1").kernel.assign(np.full((3, 3, 3, 32), np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save_weights(tmp_path / "bad.weights.h5")
    with pytest.raises(PpnlabError, match=r"bad\.weights\.h5: conv1/kernel: weights must be finite"):
        pretrained_network("mobilenet", str(tmp_path / "bad.weights.h5"))


@pytest.mark.parametrize(
    "error", [Exception("URL fetch failure on https://x: None -- no name"), OSError("cut"), ValueError("corrupted")]
)
def test_weights_that_cannot_be_downloaded_are_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def offline(**options: Any) -> keras.Model:  # noqa: ANN401
        print("Downloading data", file=sys.stdout)
        raise error

    monkeypatch.setattr(application_trunks.keras.applications, "ResNet50", offline)
    with pytest.raises(PpnlabError, match=r"^weights=imagenet: .* of ResNet50, got .*--set weights=none") as told:
        pretrained_network("resnet50", "imagenet")
    assert "ResNet50(include_top=False)" in str(told.value)
    assert capsys.readouterr().out == ""


def test_a_bug_in_a_download_is_no_user_s_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**options: Any) -> keras.Model:  # noqa: ANN401
        raise TypeError("a bug")

    monkeypatch.setattr(application_trunks.keras.applications, "VGG16", broken)
    with pytest.raises(TypeError, match="a bug"):
        pretrained_network("vgg16", "imagenet")
