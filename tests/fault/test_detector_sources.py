"""Trainings that draw by source, keep pictures and name a device: exact after a stop, refused before they begin."""

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_samples import QUICK, TIMED, Watch, drawn_dataset

from annotations.dataset import read_dataset, write_dataset
from annotations.errors import PpnlabError, UsageError
from detector.checkpoint import newest_checkpoint
from detector.run_directory import Run
from detector.stopping import Interrupted
from detector.training import go_on, start

SETTINGS = QUICK.changed({"sampling": "corrected:3,simulated:0.5", "cache": "disk", "batch": 2, "epochs": 2}, "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of six training images: one corrected, three simulated."""
    place = tmp_path_factory.mktemp("sources")
    drawn = read_dataset(drawn_dataset(place / "drawn", {"train": 6, "val": 2}))
    sources = [f"{'corrected' if row < 1 else 'simulated' if row < 4 else 'other'}/{row}.json" for row in range(8)]
    images = replace(drawn.images, source=np.array(sources, np.str_))
    write_dataset(place / "data", replace(drawn, images=images), [], command="test")
    return place / "data"


def scores(truth: object, found: object) -> Mapping[str, float | None]:
    return {"ap": 0.5, "ap50": 0.5}


def rows(run: Path) -> list[dict[str, Any]]:
    history = newest_checkpoint(Run(run).checkpoints).progress.history
    return [{name: value for name, value in row.items() if name not in TIMED} for row in history]


@pytest.mark.slow
def test_a_stop_changes_nothing_where_images_are_drawn_by_source(data: Path, tmp_path: Path) -> None:
    told = Watch()
    start(data, tmp_path / "straight", SETTINGS, scores, told, "test")
    # One image of weight 3, three of 0.5, two of 1: 6.5 in all.
    share = "share of an epoch's draws: corrected (weight 3): 1 images, 46.2%"
    assert sum(note.startswith(share) for note in told.notes) == 1

    def stop(done: int) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        start(data, tmp_path / "stopped", SETTINGS, scores, Watch(stop), "test")
    # Another cache on the way: the same pictures.
    go_on(tmp_path / "stopped", {"cache": "ram"}, None, scores, Watch())
    arrays, expected = (newest_checkpoint(Run(tmp_path / name).checkpoints).arrays for name in ("stopped", "straight"))
    assert [name for name in expected if arrays[name].tobytes() != expected[name].tobytes()] == []
    assert rows(tmp_path / "stopped") == rows(tmp_path / "straight")
    waits = Run(tmp_path / "straight").history()["data_wait"]
    assert all(wait is not None and 0 <= wait <= 1 for wait in waits)
    assert list((data / ".cache").rglob("*.picture"))


def test_a_source_that_is_not_there_is_refused_before_a_run_is_made(data: Path, tmp_path: Path) -> None:
    wrong = SETTINGS.changed({"sampling": {"correct": 3}}, "test")
    with pytest.raises(UsageError, match=r"got 'correct'; there are simulated \(3\), other \(2\), corrected \(1\)$"):
        start(data, tmp_path / "run", wrong, scores, Watch(), "test")
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_refused_before_a_run_is_made(data: Path, tmp_path: Path) -> None:
    with pytest.raises(PpnlabError, match=r"device must be one of those that TensorFlow finds, cpu.*, got gpu:99$"):
        start(data, tmp_path / "run", replace(SETTINGS, device="gpu:99"), scores, Watch(), "test")
    assert not (tmp_path / "run").exists()
