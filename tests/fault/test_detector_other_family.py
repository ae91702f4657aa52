"""The loop knows nothing of boxes: volumes with masks train, stop and resume through it, bit for bit."""

import ast
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from detector_numpy import CONFIG, same_end
from detector_samples import QUICK, THREADS, Watch
from keras import ops

import detector
from detector import checkpoint, diary, feeding, keeping, loop, saving, status, steering, stopping, stretch
from detector.engine import configure
from detector.family import Batch, Loss, Predict, Scores
from detector.loop import Loop
from detector.order import batch_rows
from detector.run_directory import Run, create_run
from detector.status import RunStatus
from detector.stopping import Interrupted

configure(THREADS, deterministic=True)
SETTINGS = replace(QUICK, batch=2, epochs=2, learning_rate=0.01, save_steps=2)
SHAPE = (6, 8, 8, 1)


class VolumeFamily:
    """Four volumes of 16-bit voxels, of which the bright ones are the mask."""

    images = 4
    best_by = "overlap"
    signature: Mapping[str, tuple[tuple[int | None, ...], str]] = {
        "picture": ((None, *SHAPE), "uint16"),
        "mask": ((None, *SHAPE), "uint8"),
    }

    def __init__(self) -> None:
        self.volumes = np.random.default_rng(0).integers(0, 60_000, (4, *SHAPE)).astype(np.uint16)
        self.masks = (self.volumes > 30_000).astype(np.uint8)

    def batch(self, step: int) -> Batch:
        rows = batch_rows(SETTINGS.seed, step, self.images, SETTINGS.batch)
        return {"picture": self.volumes[rows], "mask": self.masks[rows]}

    def build(self, *, pretrained: bool) -> keras.Model:
        volume = keras.Input(SHAPE, name="volume")
        x = keras.layers.Conv3D(2, 3, padding="same", name="plain_conv")(volume / 30_000 - 1)
        x = keras.layers.BatchNormalization(name="plain_norm")(x)
        x = keras.layers.Dropout(0.2, seed=1, name="plain_dropout")(x)
        return keras.Model(volume, {"logits": keras.layers.Conv3D(1, 1, name="head")(x)})

    def is_trunk(self, layer: str) -> bool:
        return layer.startswith("plain")

    def losses(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Loss]:
        mask = ops.cast(batch["mask"], "float32")
        each = ops.binary_crossentropy(mask, outputs["logits"], from_logits=True)
        return {"mask_loss": Loss(ops.sum(each), ops.cast(ops.size(mask), "float32"))}

    def monitor(self, predict: Predict) -> Scores:
        found, truth = predict(self.volumes)["logits"] > 0, self.masks > 0
        return {"overlap": float((found & truth).sum() / max(1, (found | truth).sum()))}


def train(path: Path, watch: Watch | None = None) -> None:
    run = Run(path) if path.exists() else create_run(path, CONFIG)
    with run.locked():
        Loop(run, VolumeFamily(), SETTINGS, watch or Watch()).train()


def test_volumes_with_masks_stop_and_resume_bit_for_bit(tmp_path: Path) -> None:
    train(tmp_path / "straight")
    with pytest.raises(Interrupted):
        train(tmp_path / "run", Watch(lambda done: os.kill(os.getpid(), signal.SIGTERM) if done == 1 else None))
    train(tmp_path / "run")
    same_end(tmp_path / "run", tmp_path / "straight")
    assert list(Run(tmp_path / "run").history()) == [
        "epoch", "step", "learning_rate", "loss", "mask_loss", "val_overlap", "seconds", "images_per_second",
        "data_wait",
    ]  # fmt: skip
    told = json.loads(json.dumps(RunStatus.of(tmp_path / "run").to_json()))
    assert told["score"] == "overlap"
    assert told["best_score"] >= told["last_score"] > 0


@pytest.mark.parametrize(
    "module", [loop, checkpoint, keeping, saving, diary, stretch, feeding, steering, stopping, status]
)
def test_the_loop_names_no_family_and_no_network(module: Any) -> None:  # noqa: ANN401
    tree = ast.parse(Path(module.__file__).read_text())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    families = {path.stem for path in Path(detector.__file__).parent.glob("*.py") if "famil" in path.stem}
    assert not [name for name in names if name.startswith("keras")]
    assert {name.removeprefix("detector.") for name in names} & families <= {"family"}
    words = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    words |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not [word for word in words if "box" in word.lower()]
