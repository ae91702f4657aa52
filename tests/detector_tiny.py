"""A family of the loop with a network of a few weights: it tells the loop's faults in seconds."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from detector_samples import QUICK, Watch
from keras import ops

from detector.checkpoint import Progress
from detector.family import Batch, Loss, Predict, Scores
from detector.loop import Loop
from detector.order import batch_rows, sample_generator, steps_per_epoch
from detector.run_directory import Run, create_run
from detector.settings import Settings

CONFIG: dict[str, Any] = {"settings": {}, "classes": [], "parts": {}, "dataset": {"path": "../data", "hashes": {}}}
SIDE = 8


class TinyFamily:
    """8 pictures of noise in 8 x 8 pixels, whose brightness is to be told; `broken` is a step with a loss of inf."""

    images = 8
    best_by = "ap"
    sides: tuple[int | None, int | None] = SIDE, SIDE
    signature: Mapping[str, tuple[tuple[int | None, ...], str]] = {
        "picture": ((None, SIDE, SIDE, 3), "uint8"),
        "target": ((None, 1), "float32"),
    }

    def __init__(self, settings: Settings, broken: int | None = None) -> None:
        self.settings, self.broken = settings, broken
        self.pretrained: list[bool] = []

    def batch(self, step: int) -> Batch:
        rows = batch_rows(self.settings.seed, step, self.images, self.settings.batch)
        epoch = step // steps_per_epoch(self.images, self.settings.batch)
        noise = [sample_generator(self.settings.seed, epoch, int(row)).normal(0, 9, (SIDE, SIDE, 3)) for row in rows]
        picture = (28 * rows[:, None, None, None] + noise).clip(0, 255).astype(np.uint8)
        target = np.full((len(rows), 1), np.inf) if step == self.broken else rows[:, None] / 8
        return {"picture": picture, "target": target.astype(np.float32)}

    def changed(self, settings: Settings) -> Self:
        other = copy.copy(self)
        other.settings = settings
        return other

    def build(self, *, pretrained: bool) -> keras.Model:
        self.pretrained.append(pretrained)
        picture = keras.Input((*self.sides, 3), name="picture")
        x = keras.layers.Conv2D(4, 3, name="plain_conv")(picture / 128)
        x = keras.layers.BatchNormalization(momentum=0.9, name="plain_bn")(x)
        x = keras.layers.GlobalAveragePooling2D(name="plain_mean")(x)
        return keras.Model(picture, {"told": keras.layers.Dense(1, name="head")(x)})

    def is_trunk(self, layer: str) -> bool:
        return layer.startswith("plain")

    def losses(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Loss]:
        gap, count = outputs["told"] - batch["target"], ops.cast(ops.shape(batch["target"])[0], "float32")
        square, size = ops.sum(ops.square(gap)), ops.sum(ops.square(outputs["told"]))
        # The size counts twice the images, so that the two losses have weights of their own.
        return {"square_loss": Loss(square, count), "size_loss": Loss(size, 2.0 * count, 0.02)}

    def monitor(self, predict: Predict) -> Scores:
        picture = np.arange(8, dtype=np.uint8).reshape(8, 1, 1, 1) * np.full((1, SIDE, SIDE, 3), 28, np.uint8)
        gap = predict(picture)["told"][:, 0] - np.arange(8) / 8
        return {"ap": float(1 / (1 + np.square(gap).mean())), "ap50": None}


SETTINGS = QUICK.changed({"batch": 3, "learning_rate": 0.01}, "tests")
"""8 images in steps of 3, 3 and 2: 3 epochs are 9 steps."""


def train(path: Path, watch: Watch | None = None, settings: Settings = SETTINGS, broken: int | None = None) -> Progress:
    """Begin a run, or go on with it, as `detector.training` does."""
    run = Run(path) if path.exists() else create_run(path, CONFIG)
    with run.locked():
        return Loop(run, TinyFamily(settings, broken), settings, watch or Watch()).train()
