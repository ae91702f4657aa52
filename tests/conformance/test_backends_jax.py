"""The network says the same on JAX as on TensorFlow, and its losses are the same."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import jax_worker
import numpy as np
import pytest
from detector_samples import THREADS
from numpy.typing import NDArray

from detector.engine import configure

configure(THREADS, deterministic=True)


def spread(rng: np.random.Generator, name: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights with which a map is as strong as the one before; the first ones make all cells say nearly the same."""
    if value.ndim == 1:
        return value + 0.1 * np.abs(rng.normal(size=value.shape)).astype(np.float32)
    if name.endswith(("_class/kernel", "_box/kernel")):
        return value  # small: logits of a trained network, and not of a hundred
    inputs = np.prod(value.shape[:2] if value.shape[-1] == 1 else value.shape[:-1])
    return rng.normal(0, np.sqrt(2 / inputs), value.shape).astype(np.float32)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
@pytest.mark.parametrize("backbone", ["none", "lite0"])
def test_outputs_and_losses_are_the_same_on_both_backends(tmp_path: Path, backbone: str) -> None:
    rng = np.random.default_rng(0)
    family = jax_worker.network_family(backbone)
    variables = family.build(pretrained=False).weights
    arrays = [spread(rng, one.path, one.numpy()) for one in variables]
    batch = {"picture": rng.integers(0, 256, (2, 64, 96, 3), np.uint8)}
    for branch in ("object", "part"):
        start = rng.uniform(0, 40, (2, 3, 2))
        batch[f"{branch}_truth"] = np.concatenate([start, start + rng.uniform(4, 24, (2, 3, 2))], axis=2).astype("f4")
        batch[f"{branch}_class"] = np.array([[0, 0, -1], [-1, -1, -1]], np.int32)
    expected = jax_worker.said(family, arrays, batch)
    np.savez(tmp_path / "in.npz", **{f"w{number}": value for number, value in enumerate(arrays)}, **batch)
    command = [sys.executable, jax_worker.__file__, backbone, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "tests"), *sys.path])
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert set(found.files) == set(expected)
        for name, value in expected.items():
            assert np.isfinite(value).all()
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
    # Not the same because all of it is one number.
    assert np.ptp(expected["object_logits"]) > 0.1
    assert np.ptp(expected["part_boxes"]) > 0.1
