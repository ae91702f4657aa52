"""The real network in the real loop: exact resume, what a resume refuses, and pictures that changed."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detector_samples import QUICK, THREADS, TIMED, Watch, drawn_dataset

from annotations.dataset import read_dataset
from annotations.errors import AnnotationError, PpnlabError, UsageError
from annotations.pictures import write_picture
from detector import training
from detector.checkpoint import ARRAYS, checkpoint_path, load_checkpoint, save_checkpoint
from detector.detecting import detect_images
from detector.engine import Trainer, configure
from detector.loop import Loop
from detector.ppn_family import PpnFamily, PpnModel
from detector.run_directory import Run
from detector.status import RunStatus
from detector.stopping import Interrupted
from detector.weights import load_predictor
from evaluation.monitor import monitor_ap

configure(THREADS, deterministic=True)

SETTINGS = replace(QUICK, batch=3)
"""8 images in steps of 3, 3 and 2: 3 epochs are 9 steps."""


# The network without the parts' branch is compiled in half the time.
@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "parts"])
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A directory with the data set `data` and the finished run `straight`, that nothing interrupted."""
    place = tmp_path_factory.mktemp("resume")
    drawn_dataset(place, {"train": 8, "val": 2}, parts=request.param)
    start(place, "straight")
    return place


def start(place: Path, name: str, watch: Watch | None = None) -> training.Trained:
    return training.start(place / "data", place / name, SETTINGS, monitor_ap, watch or Watch(), "test")


def go_on(place: Path, name: str, watch: Watch | None = None, **changes: object) -> training.Trained:
    return training.go_on(place / name, changes, None, monitor_ap, watch or Watch())


def at(step: int, do: Callable[[], object]) -> Watch:
    def look(done: int) -> None:
        if done == step:
            do()

    return Watch(look)


def copied(place: Path, name: str) -> Run:
    """A run of its own, that stands where `straight` ended."""
    shutil.copytree(place / "straight", place / name)
    return Run(place / name)


def events(place: Path, name: str) -> list[str]:
    lines = (place / name / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def without_time(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name not in TIMED}


def assert_ended_as_straight(place: Path, name: str) -> None:
    (arrays, progress), (expected, straight) = (
        load_checkpoint(checkpoint_path(Run(place / run).checkpoints, 9)) for run in (name, "straight")
    )
    assert arrays.keys() == expected.keys()
    assert [key for key in arrays if arrays[key].tobytes() != expected[key].tobytes()] == []
    assert [without_time(dict(row)) for row in progress.history] == [
        without_time(dict(row)) for row in straight.history
    ]
    assert (progress.best_step, progress.best_score) == (straight.best_step, straight.best_score)
    assert Run(place / name).history()["epoch"] == [1, 2, 3]
    assert not list((place / name / "checkpoints").glob(".*"))


def test_every_variable_is_in_the_arrays_under_a_name_of_its_own(place: Path) -> None:
    trainer = Trainer(family(place), SETTINGS)
    optimizers = [optimizer for optimizer, _, _ in trainer._groups.values()]
    count = len(trainer.model.variables) + len(trainer.averaged.variables) + sum(len(o.variables) for o in optimizers)
    assert len(trainer.arrays()) == count
    # This process has built optimizers before; their number must not be in the names.
    arrays = load_checkpoint(checkpoint_path(Run(place / "straight").checkpoints, 9))[0]
    trainer.load(arrays)
    assert all(np.array_equal(value, arrays[name]) for name, value in trainer.arrays().items())


def family(place: Path) -> PpnFamily:
    data = read_dataset(place / "data")
    return PpnFamily(PpnModel(SETTINGS, data.classes, data.parts), data.split("train"), data.split("val"), monitor_ap)


def test_predictions_are_the_same_in_a_batch_and_alone(place: Path) -> None:
    pictures = family(place).batch(0)["picture"]
    predict = load_predictor(place / "straight", "last").predict
    together = predict(pictures)
    for row in range(len(pictures)):
        for name, value in predict(pictures[row : row + 1]).items():
            np.testing.assert_allclose(value[0], together[name][row], atol=1e-4)


@pytest.mark.slow
def test_layers_that_are_fixed_keep_their_weights_in_a_step(place: Path) -> None:
    # The pretrained form of the trunk, with first weights at random.
    settings = replace(SETTINGS, backbone="lite0", weights="package", frozen_blocks=3)
    one = family(place)
    one = replace(one, model=replace(one.model, settings=settings))
    trainer = Trainer(one, settings, pretrained=False)
    before = trainer.arrays()
    trainer.step(one.batch(0), 0, 1e-3)
    after = trainer.arrays()
    moved = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    fixed = ("stem_", "b0_", "b1_", "b2_")
    assert not [name for name in moved if name.split("/")[1].startswith(fixed)]
    trunk_norms = [n for n in moved if n.split("/")[1][:1] == "b" and "_bn/" in n]
    assert trunk_norms == []
    assert {"model/b3_project/kernel", "averaged/b3_project/kernel", "model/object_class/kernel"} <= moved


def test_a_stop_in_mid_epoch_changes_nothing(place: Path) -> None:
    with pytest.raises(Interrupted, match=r"SIGTERM came; step 5 is saved in .*step-00000005"):
        start(place, "stopped", at(5, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    done = go_on(place, "stopped")
    assert done.epochs == 3
    assert_ended_as_straight(place, "stopped")
    assert events(place, "stopped") == ["started", "interrupted", "resumed", "finished"]
    assert events(place, "straight") == ["started", "finished"]
    # Here too little is learnt of parts for scores to be tried by it.
    with_parts = {"layout.json"} if Run(place / "stopped").config()["parts"] else set()
    assert {path.name for path in (place / "stopped").iterdir()} == with_parts | {
        "config.json", "history.csv", "events.jsonl", "checkpoints", "lock", "log.txt", "requests", "status.json",
    }  # fmt: skip
    assert {"val_ap", "val_ap50", "val_ap50/qr_code"} <= Run(place / "stopped").history().keys()


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[training.Settings]:
    """The settings that a training would have begun with."""
    begun: list[training.Settings] = []
    monkeypatch.setattr(training, "_train", lambda run, data, settings, *rest: begun.append(settings))
    return begun


def test_allowed_changes_are_kept_in_the_run(place: Path, untrained: list[training.Settings]) -> None:
    run = copied(place, "changed")
    go_on(place, "changed", epochs="4", learning_rate="1e-4")
    go_on(place, "changed")
    expected = replace(SETTINGS, epochs=4, learning_rate=1e-4)
    assert untrained == [expected, expected]
    line = json.loads((run.path / "events.jsonl").read_text().splitlines()[-1])
    assert line["event"] == "changed"
    assert line["settings"] == {"epochs": 4, "learning_rate": 1e-4}


def test_fewer_epochs_than_begun_are_refused(place: Path) -> None:
    before = (place / "straight" / "config.json").read_bytes()
    with pytest.raises(UsageError, match=r"epochs must be at least 3 \(begun already\), got 2"):
        go_on(place, "straight", epochs=2)
    assert (place / "straight" / "config.json").read_bytes() == before


@pytest.mark.parametrize(("setting", "value"), [("batch", 2), ("seed", 9), ("input", "96"), ("threads", 2)])
def test_a_change_that_would_make_another_run_is_refused_by_name(place: Path, setting: str, value: object) -> None:
    before = (place / "straight" / "config.json").read_bytes()
    with pytest.raises(UsageError, match=rf"--set: {setting} must stay .*, got .*A resume may change .*epochs"):
        go_on(place, "straight", **{setting: value})
    assert (place / "straight" / "config.json").read_bytes() == before


def test_a_run_that_another_process_trains_keeps_its_settings(place: Path) -> None:
    run = copied(place, "busy")
    before = (run.path / "config.json").read_bytes()
    with run.locked(), pytest.raises(PpnlabError, match="one process at a time"):
        go_on(place, "busy", epochs=50)
    assert (run.path / "config.json").read_bytes() == before


def test_another_dataset_is_refused_and_the_same_elsewhere_is_not(
    place: Path, untrained: list[training.Settings]
) -> None:
    run = copied(place, "moved")
    for folder in ("data", "pictures"):
        shutil.copytree(place / folder, place / "other" / folder)
    boxes = place / "other" / "data" / "boxes.csv"
    boxes.write_text("\n".join(boxes.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(PpnlabError, match=r"dataset must be the one that the run began with, got another boxes\.csv"):
        training.go_on(run.path, {}, place / "other" / "data", monitor_ap, Watch())
    shutil.copy(place / "data" / "boxes.csv", boxes)
    training.go_on(run.path, {}, place / "other" / "data", monitor_ap, Watch())
    assert untrained == [SETTINGS]
    assert training.dataset_of(run, run.config()) == place / "other" / "data"


def test_a_dataset_that_is_gone_is_named_with_the_way_to_tell_it(place: Path) -> None:
    run = copied(place, "lonely")
    config = run.config()
    run.write_config({**config, "dataset": {**config["dataset"], "path": "../nowhere"}})
    with pytest.raises(PpnlabError, match=r"dataset must be in .*nowhere, got nothing there; .*--data"):
        go_on(place, "lonely")


def damage(checkpoint: Path) -> None:
    data = bytearray((checkpoint / ARRAYS).read_bytes())
    data[len(data) // 2] ^= 1
    (checkpoint / ARRAYS).write_bytes(data)


def test_a_damaged_best_checkpoint_is_named_and_the_last_still_predicts(place: Path) -> None:
    run = copied(place, "best")
    arrays, progress = load_checkpoint(checkpoint_path(run.checkpoints, 9))
    save_checkpoint(run.checkpoints, arrays, replace(progress, step=12, best_step=6))
    damage(checkpoint_path(run.checkpoints, 6))
    with pytest.raises(PpnlabError, match=r"step-00000006.*damaged"):
        load_predictor(run.path, "best")
    last = load_predictor(run.path, "last")
    assert (last.step, last.damaged) == (12, ())
    damage(checkpoint_path(run.checkpoints, 12))
    last = load_predictor(run.path, "last")
    assert last.step == 9
    assert "step-00000012" in last.damaged[0]


def test_an_existing_run_is_refused_untouched(place: Path) -> None:
    before = {path: path.read_bytes() for path in (place / "straight").rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="run must not exist yet"):
        start(place, "straight")
    assert {path: path.read_bytes() for path in (place / "straight").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("split", "how"), [("train", "--ratios 70/15/15 --again"), ("val", "--of train --ratios 85/15")]
)
def test_a_split_without_images_names_the_command_that_makes_one(tmp_path: Path, split: str, how: str) -> None:
    drawn_dataset(tmp_path, {other: 1 for other in ("train", "val", "test") if other != split})
    with pytest.raises(PpnlabError, match=rf"split {split} must hold images, got none; `ppnlab split .*data {how}`"):
        start(tmp_path, "run")
    assert not (tmp_path / "run").exists()


def test_leaving_at_once_is_no_failure_of_the_training(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied(place, "in_a_hurry")

    def interrupted(loop: Loop) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go_on(place, run.path.name)
    assert events(place, run.path.name)[-1] == "interrupted"
    assert RunStatus.of(run.path).state == "stopped"


def test_a_resume_of_a_finished_run_says_that_there_is_nothing_left(place: Path) -> None:
    run, watch = copied(place, "finished_before"), Watch()
    go_on(place, run.path.name, watch)
    assert f"all 9 steps are made; `ppnlab resume {run.path} --epochs 13` would train longer" in watch.notes


def test_weights_that_are_not_there_leave_no_run_behind(place: Path) -> None:
    settings = replace(SETTINGS, backbone="lite0", weights="nowhere.npz")
    with pytest.raises(UsageError, match=r"weights must be .*'nowhere\.npz'"):
        training.start(place / "data", place / "weightless", settings, monitor_ap, Watch(), "test")
    assert not (place / "weightless").exists()


def test_a_picture_that_is_gone_is_named(tmp_path: Path) -> None:
    drawn_dataset(tmp_path, {"train": 2, "val": 1})
    (tmp_path / "pictures" / "s1.png").unlink()
    with pytest.raises(PpnlabError, match=r"s1\.png: picture must be there, got no such file \(1 are missing\)"):
        start(tmp_path, "run")
    assert not (tmp_path / "run").exists()


def test_a_picture_that_is_damaged_is_named(tmp_path: Path) -> None:
    drawn_dataset(tmp_path, {"train": 2, "val": 1})
    (tmp_path / "pictures" / "s1.png").write_bytes(b"no picture")
    with pytest.raises(AnnotationError, match=r"s1\.png: picture must be readable"):
        start(tmp_path, "run")
    assert events(tmp_path, "run") == ["started", "failed"]


def test_a_picture_of_another_shape_is_named(tmp_path: Path) -> None:
    drawn_dataset(tmp_path, {"train": 1, "val": 1})
    write_picture(tmp_path / "pictures" / "s0.png", np.zeros((96, 200, 3), np.uint8))
    with pytest.raises(AnnotationError, match=r"s0\.png: picture must have the shape of 96 x 96 pixels, got 200 x 96"):
        family(tmp_path).batch(0)


def test_a_picture_made_smaller_since_gives_the_same_boxes(tmp_path: Path) -> None:
    drawn_dataset(tmp_path, {"train": 1, "val": 1})
    one = family(tmp_path)
    cell = 20

    def predict(pictures: np.ndarray) -> dict[str, np.ndarray]:
        outputs = {
            "object_logits": np.full((len(pictures), 85, 1), -20, np.float32),
            "object_boxes": np.full((len(pictures), 85, 4), -1, np.float32),
            "part_logits": np.full((len(pictures), 340, 1), -20, np.float32),
            "part_boxes": np.zeros((len(pictures), 340, 4), np.float32),
        }
        outputs["object_logits"][:, cell] = 3
        return outputs

    found = detect_images(one.model, one.val, predict)
    assert len(found) == 1
    truth = one.batch(0)["object_truth"]
    write_picture(tmp_path / "pictures" / "s1.png", np.zeros((48, 48, 3), np.uint8))
    np.testing.assert_allclose(detect_images(one.model, one.val, predict).xyxy_rel, found.xyxy_rel)
    write_picture(tmp_path / "pictures" / "s0.png", np.zeros((48, 48, 3), np.uint8))
    np.testing.assert_allclose(one.batch(0)["object_truth"], truth, atol=1e-4)
