"""The real network on batches that are made beforehand: what the benchmarks of the loop measure is the loop alone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from annotations.dataset import read_dataset, write_dataset
from annotations.pictures import write_picture
from annotations.scenes import OBJECT, PART, SceneSettings, draw_scene
from annotations.tables import NO_PARENT, Annotations, BoxDataset, Images
from detector.family import Batch, Predict, Scores
from detector.order import steps_per_epoch
from detector.ppn_family import PpnFamily, PpnModel
from detector.settings import Settings

SETTINGS = Settings(backbone="lite0", weights="none", input=(128, 128), batch=8, epochs=1, threads=2, loaders=1)
CONFIG: dict[str, Any] = {"settings": {}, "classes": [], "parts": {}, "dataset": {"path": "", "hashes": {}}}
"""What the runs of a benchmark hold."""
DRAWN = 64
"""Scenes that the batches are made of."""


class FixedFamily(PpnFamily):
    """The family with batches from memory, of one shape, and without validation."""

    def prepare(self) -> "FixedFamily":
        """Make the batches of an epoch, once, and return the family."""
        made = [super(FixedFamily, self).batch(step) for step in range(steps_per_epoch(DRAWN, self.settings.batch))]
        object.__setattr__(self, "_made", _of_one_shape(made))
        return self

    def batch(self, step: int) -> Batch:
        """Return one of the batches."""
        made: list[Batch] = self._made  # type: ignore[attr-defined]
        return made[step % len(made)]

    def monitor(self, predict: Predict) -> Scores:
        """Return no scores: nothing is validated."""
        return {"ap": None, "ap50": None}


class Long:
    """The family, with epochs of so many steps over the same batches."""

    def __init__(self, family: FixedFamily, steps: int) -> None:
        self.images = steps * family.settings.batch
        self.best_by, self.batch, self.monitor, self.signature = "ap", family.batch, family.monitor, family.signature


def _of_one_shape(batches: list[Batch]) -> list[Batch]:
    """Return the batches with as many places for boxes in each; what is added is what `padded` adds."""
    most = {name: max(batch[name].shape[1] for batch in batches) for name in batches[0] if name != "picture"}

    def wider(name: str, array: np.ndarray) -> np.ndarray:
        if name == "picture":
            return array
        spare = most[name] - array.shape[1]
        fill = -1 if name.endswith("_class") else 0
        return np.pad(array, [(0, 0), (0, spare), *[(0, 0)] * (array.ndim - 2)], constant_values=fill)

    return [{name: wider(name, array) for name, array in batch.items()} for batch in batches]


def fixed_family(folder: Path, settings: Settings) -> FixedFamily:
    """Return the family on scenes drawn into a folder, with its batches made."""
    draw_dataset(folder)
    data = read_dataset(folder / "data")
    model = PpnModel(settings, data.classes, data.parts)
    return FixedFamily(model, data.split("train"), data.split("val"), lambda *_: {}).prepare()


def draw_dataset(folder: Path) -> None:
    """Write a box dataset of DRAWN scenes to train on and one to validate with."""
    side, scenes = 256, DRAWN + 1
    (folder / "pictures").mkdir(parents=True)
    rows: list[tuple[int, int, list[float]]] = []
    for index in range(scenes):
        scene = draw_scene(0, index, SceneSettings(side, side))
        write_picture(folder / "pictures" / f"s{index}.png", scene.pixels)
        for class_id, label in enumerate((OBJECT, PART)):
            rows += [(index, class_id, (box / side).tolist()) for box in scene.xyxy(label)]
    paths = np.array([f"pictures/s{index}.png" for index in range(scenes)])
    empty, sides = np.array([""] * scenes, np.str_), np.full(scenes, side)
    split = np.array([*["train"] * DRAWN, "val"])
    texts = np.array([""] * len(rows), np.str_)
    boxes = Annotations(
        np.array([row[0] for row in rows]),
        np.arange(len(rows)),
        np.full(len(rows), NO_PARENT),
        texts,
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]).reshape(-1, 4),
        texts,
    )
    names = np.array([f"s{index}" for index in range(scenes)])
    images = Images(names, paths, sides, sides, split, empty, empty, empty)
    data = BoxDataset(folder, (OBJECT, PART), {PART: OBJECT}, images, boxes)
    write_dataset(folder / "data", data, [], command="benchmark")


@dataclass
class Clock:
    """A loop's watcher that takes the time and the CPU seconds at every step."""

    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def step(self, done: int, total: int, images: int, losses: Mapping[str, float]) -> None:
        """Take the time."""
        self.take()

    def take(self) -> None:
        """Take the time."""
        self.times.append(time.perf_counter())
        self.cpu.append(time.process_time())

    def epoch(self, row: Mapping[str, float | int | None]) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Print it."""
        print(f"  {text}", flush=True)

    def a_step(self) -> tuple[float, float]:
        """Return seconds and CPU seconds of a step, from the first to the last."""
        steps = len(self.times) - 1
        return (self.times[-1] - self.times[0]) / steps, (self.cpu[-1] - self.cpu[0]) / steps
