"""The tiny family with pictures that grow on the way, and differ from step to step for a while."""

from collections.abc import Mapping
from pathlib import Path

import detector_tiny
import numpy as np
from detector_samples import Watch
from detector_tiny import CONFIG, SIDE, TinyFamily

from detector.canvases import canvas
from detector.checkpoint import Progress
from detector.family import Batch, Predict, Scores
from detector.loop import Loop
from detector.run_directory import Run, create_run
from detector.settings import Settings
from detector.steering import Requests

SETTINGS = detector_tiny.SETTINGS.changed(
    {"input": 96, "small_input": 64, "small_share": 0.4, "multi_scale": 0.35, "mosaic_off": 0.4}, "tests"
)
"""Epochs of 3 steps: one at 64 pixels, one at 64, 96 or 128 as each step draws, and one at 96."""


class GrownFamily(TinyFamily):
    """The pictures of noise, side by side until they have the size of the step."""

    sides = None, None
    signature: Mapping[str, tuple[tuple[int | None, ...], str]] = {
        "picture": ((None, 96, 96, 3), "uint8"),
        "target": ((None, 1), "float32"),
    }

    def batch(self, step: int) -> Batch:
        batch = super().batch(step)
        height, width = canvas(self.images, self.settings, step)
        return {**batch, "picture": np.tile(batch["picture"], (1, height // SIDE, width // SIDE, 1))}

    def monitor(self, predict: Predict) -> Scores:
        return super().monitor(lambda pictures: predict(np.tile(pictures, (1, 96 // SIDE, 96 // SIDE, 1))))


def train(path: Path, watch: Watch | None = None, settings: Settings = SETTINGS) -> Progress:
    """Begin a run, or go on with it, as `detector.training` does."""
    run = Run(path) if path.exists() else create_run(path, CONFIG)
    with run.locked():
        loop = Loop(run, GrownFamily(settings), settings, watch or Watch())
        # What is asked for is done at the next step, and not in half a second.
        loop.requests = Requests(path, 0.0)
        return loop.train()
