"""The published network in the real loop: stopped and gone on with, evaluated and predicted with."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from classic_samples import CLASSIC_QUICK
from detector_samples import THREADS, Watch, drawn_dataset

from annotations.dataset import read_dataset
from annotations.errors import PpnlabError, UsageError
from detector import training
from detector.checkpoint import checkpoint_path, load_checkpoint
from detector.classic_family import ClassicFamily
from detector.engine import configure
from detector.evaluating import detect_splits
from detector.families import box_family
from detector.picture_cache import NoCache
from detector.predicting import predict_files
from detector.run_directory import Run
from detector.stopping import Interrupted
from detector.weights import load_predictor
from evaluation.monitor import monitor_ap

configure(THREADS, deterministic=True)

SETTINGS = replace(CLASSIC_QUICK, batch=3, epochs=2, optimizer="adam", score_floor=0.02)
"""8 images in steps of 3, 3 and 2: 2 epochs are 6 steps."""


@pytest.fixture(scope="module", params=[True, pytest.param(False, marks=pytest.mark.slow)], ids=["parts", "plain"])
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A directory with the data set `data` and the finished run `straight`, that nothing interrupted."""
    place = tmp_path_factory.mktemp("classic")
    drawn_dataset(place, {"train": 8, "val": 2}, parts=request.param)
    start(place, "straight")
    return place


def start(place: Path, name: str, watch: Watch | None = None) -> training.Trained:
    return training.start(place / "data", place / name, SETTINGS, monitor_ap, watch or Watch(), "test")


def at(step: int, do: Callable[[], object]) -> Watch:
    return Watch(lambda done: do() if done == step else None)


@pytest.mark.slow
def test_a_stop_in_mid_epoch_changes_nothing(place: Path) -> None:
    with pytest.raises(Interrupted, match=r"SIGTERM came; step 4 is saved"):
        start(place, "stopped", at(4, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    training.go_on(place / "stopped", {}, None, monitor_ap, Watch())
    (arrays, progress), (expected, straight) = (
        load_checkpoint(checkpoint_path(Run(place / run).checkpoints, 6)) for run in ("stopped", "straight")
    )
    assert arrays.keys() == expected.keys()
    assert [key for key in arrays if arrays[key].tobytes() != expected[key].tobytes()] == []
    assert progress.best_score == straight.best_score
    losses = [{k: v for k, v in row.items() if k.endswith("loss")} for row in progress.history]
    assert losses == [{k: v for k, v in row.items() if k.endswith("loss")} for row in straight.history]
    assert all(losses)


def test_the_run_is_evaluated_and_predicts(place: Path, tmp_path: Path) -> None:
    predictor = load_predictor(place / "straight", "last")
    data = read_dataset(place / "data")
    chosen, found = detect_splits(predictor, data, ["train"])
    assert len(chosen.images) == 10
    assert len(found.score)
    assert set(found.class_id.tolist()) <= set(range(len(data.classes)))
    predicted = predict_files(predictor, [data.picture(0)], tmp_path / "out", drawn_above=0.02)
    assert not predicted.faults
    alone = predicted.detections.xyxy_rel
    np.testing.assert_allclose(alone, found.xyxy_rel[found.image_row == 0], atol=1e-4)


def test_batches_hold_what_the_signature_says_and_are_the_same_each_time(place: Path) -> None:
    family = box_family(SETTINGS, read_dataset(place / "data"), monitor_ap, NoCache())
    assert isinstance(family, ClassicFamily)
    first, again = family.batch(1), family.batch(1)
    assert first.keys() == family.signature.keys()
    for name, (shape, dtype) in family.signature.items():
        assert first[name].dtype == dtype
        assert first[name].shape == (3, *shape[1:])
        assert (first[name] == again[name]).all()
    assert (first["object_said"] == 1).any()


def test_an_epoch_of_training_says_its_losses(place: Path) -> None:
    row = Run(place / "straight").history()
    named = {name for name in row if name.endswith("_loss")}
    parts = {"part_class_loss", "part_box_loss"} if read_dataset(place / "data").parts else set()
    assert named == {"object_class_loss", "object_box_loss"} | parts
    assert all(np.isfinite(value) for name in named for value in row[name])


def test_a_run_whose_weights_are_not_there_is_not_made(place: Path) -> None:
    settings = replace(SETTINGS, backbone="mobilenet", weights="missing.h5")
    with pytest.raises(UsageError, match=r"weights must be imagenet, none, or .*'missing\.h5'"):
        training.start(place / "data", place / "none", settings, monitor_ap, Watch(), "test")
    assert not (place / "none").exists()


def test_a_resume_keeps_the_family(place: Path) -> None:
    with pytest.raises(UsageError, match=r"family must stay ppn_classic in this run, got ppn"):
        training.go_on(place / "straight", {"family": "ppn"}, None, monitor_ap, Watch())


def test_a_checkpoint_of_another_family_is_refused(place: Path) -> None:
    run = Run(place / "straight")
    config = run.config()
    run.write_config({**config, "settings": {**config["settings"], "family": "ppn"}})
    try:
        with pytest.raises(PpnlabError, match="must hold just what the model has"):
            load_predictor(place / "straight", "last")
    finally:
        run.write_config(config)
