"""A family and its learner in plain numpy: what the loop loses is seen in milliseconds, without a network."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from detector_samples import QUICK, Watch
from numpy.typing import NDArray

from detector.checkpoint import Progress, newest_checkpoint
from detector.family import Batch, Predict, Scores
from detector.loop import Loop
from detector.order import batch_rows, sample_generator, steps_per_epoch
from detector.run_directory import Run, create_run
from detector.settings import Settings
from detector.status import StatusFile
from detector.steering import Requests

CONFIG: dict[str, Any] = {"settings": {}, "classes": [], "parts": {}, "dataset": {"path": "../data", "hashes": {}}}
WIDTH = 16
SETTINGS = QUICK.changed({"batch": 3, "epochs": 6, "learning_rate": 0.05, "schedule": "kicks", "patience": 1}, "tests")
"""8 rows in steps of 3, 3 and 2: 6 epochs are 18 steps."""


class NumpyFamily:
    """Rows of numbers, whose sum is to be told; not a picture among them."""

    images = 8
    best_by = "closeness"
    signature: Mapping[str, tuple[tuple[int | None, ...], str]] = {"picture": ((None, WIDTH), "float64")}

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def batch(self, step: int) -> Batch:
        rows = batch_rows(self.settings.seed, step, self.images, self.settings.batch)
        epoch = step // steps_per_epoch(self.images, self.settings.batch)
        noise = [sample_generator(self.settings.seed, epoch, int(row)).normal(0, 0.1, WIDTH) for row in rows]
        return {"picture": rows[:, None] / 8 + np.array(noise)}

    def monitor(self, predict: Predict) -> Scores:
        rows = np.arange(8)[:, None] / 8 + np.zeros(WIDTH)
        gap = predict(rows)["told"] - rows.sum(axis=1)
        return {"closeness": float(1 / (1 + np.square(gap).mean()))}

    def changed(self, settings: Settings) -> Self:
        other = copy.copy(self)
        other.settings = settings
        return other

    def build(self, *, pretrained: bool) -> Any:  # noqa: ANN401
        raise NotImplementedError

    def is_trunk(self, layer: str) -> bool:
        raise NotImplementedError

    def losses(self, outputs: Any, batch: Any) -> Any:  # noqa: ANN401
        raise NotImplementedError


class NumpyLearner:
    """Least squares by momentum, with running averages and a generator whose state is part of its own."""

    def __init__(self) -> None:
        generator = np.random.default_rng(1)
        self.weights, self.momentum = generator.normal(0, 0.1, WIDTH), np.zeros(WIDTH)
        self.averaged, self.draws = self.weights.copy(), np.zeros((), np.int64)

    def step(self, batch: Batch, number: int, rate: float) -> Mapping[str, float]:
        x = batch["picture"] + np.random.default_rng((2, int(self.draws))).normal(0, 0.01, batch["picture"].shape)
        gap = x @ self.weights - x.sum(axis=1)
        self.momentum = 0.9 * self.momentum + gap @ x / len(x)
        self.weights = self.weights - 0.1 * rate * self.momentum
        self.averaged = 0.9 * self.averaged + 0.1 * self.weights
        self.draws = self.draws + np.int64(number + 1)
        return {"loss": float(np.square(gap).mean())}

    def predict(self, pictures: NDArray[Any], /) -> dict[str, NDArray[Any]]:
        return {"told": pictures @ self.averaged}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {name: np.array(value) for name, value in vars(self).items()}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for name, value in arrays.items():
            setattr(self, name, np.array(value))


def train(path: Path, watch: Watch | None = None, settings: Settings = SETTINGS, every: float = 0.5) -> Progress:
    """Begin a run, or go on with it, as `detector.training` does; look for requests `every` so many seconds."""
    run = Run(path) if path.exists() else create_run(path, CONFIG)
    with run.locked():
        loop = Loop(run, NumpyFamily(settings), settings, watch or Watch(), learner=lambda _: NumpyLearner())
        loop.requests, loop.status = Requests(path, every), StatusFile(path, every)
        return loop.train()


TIMES = ("seconds", "images_per_second", "data_wait")


def untimed(rows: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def same_end(path: Path, straight: Path) -> None:
    """Check that two runs ended in the same bits, with the same history and the same best."""
    one, other = (newest_checkpoint(run / "checkpoints") for run in (path, straight))
    assert one.progress.step == other.progress.step
    assert one.arrays.keys() == other.arrays.keys()
    assert [name for name in one.arrays if one.arrays[name].tobytes() != other.arrays[name].tobytes()] == []
    assert untimed(one.progress.history) == untimed(other.progress.history)
    for name in ("best_step", "best_score", "watched", "skipped", "stretch"):
        assert getattr(one.progress, name) == getattr(other.progress, name), name
    tables = [Run(run).history() for run in (path, straight)]
    assert tables[0].keys() == tables[1].keys()
    assert all(tables[0][name] == tables[1][name] for name in tables[0] if name not in TIMES)
    assert not list((path / "checkpoints").glob(".*"))
