"""A training that goes on with other data, other programs, or beside a slow disk."""

import json
import os
import shutil
import signal
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_numpy import CONFIG, SETTINGS, WIDTH, NumpyFamily, NumpyLearner, same_end, train
from detector_samples import QUICK, Watch, drawn_dataset

from annotations.errors import PpnlabError, UsageError
from detector import saving, training
from detector.changes import Mark, changes_of
from detector.checkpoint import Progress, checkpoint_path, newest_checkpoint, save_checkpoint, steps_saved
from detector.family import Predict, Scores
from detector.loop import Loop
from detector.run_directory import Run, create_run
from detector.status import RunStatus
from detector.stopping import Interrupted


class MoreRows(NumpyFamily):
    """The same task on 12 rows: 4 steps an epoch."""

    images = 12


def on(path: Path, family: NumpyFamily, data: str, watch: Watch | None = None) -> Loop:
    return Loop(Run(path), family, family.settings, watch or Watch(), data=data, learner=lambda _: NumpyLearner())


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]


class Stumbled(Exception):
    pass


def stumbling(step: int) -> Watch:
    def look(done: int) -> None:
        if done == step:
            raise Stumbled

    return Watch(look)


def begun(path: Path) -> None:
    """A run that stopped in its third epoch, at step 8 of 3 an epoch, saved at 6."""
    run = create_run(path, CONFIG)
    with run.locked(), pytest.raises(Stumbled):
        on(path, NumpyFamily(SETTINGS), "a", stumbling(8)).train()


def test_an_epoch_begins_on_the_new_data_and_all_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run"
    begun(path)
    with Run(path).locked():
        watch = Watch()
        first = on(path, NumpyFamily(SETTINGS), "a", watch)
        assert watch.notes == []
        assert (first.course.total, first.progress.step) == (18, 6)
        loop = on(path, MoreRows(SETTINGS), "b", watch)
        assert "step 6: epoch 3 begins on the new data, with 12 images" in watch.notes[0]
        done = loop.train()
    assert [(row["epoch"], row["step"]) for row in done.history] == [(1, 3), (2, 6), (3, 10), (4, 14), (5, 18), (6, 22)]
    (told,) = [event for event in events(path) if event["event"] == "new-data"]
    assert (told["step"], told["epoch"], told["images"]) == (6, 3, 12)
    assert changes_of(Run(path)) == [Mark(2.0, "other data")]
    assert done.best_step in (10, 14, 18, 22)
    assert Run(path).history()["epoch"] == [1, 2, 3, 4, 5, 6]


def test_a_kill_on_the_new_data_changes_nothing(tmp_path: Path) -> None:
    for name in ("straight", "killed"):
        begun(tmp_path / name)
    for step in (8, 9, 12, 19):
        with Run(tmp_path / "killed").locked(), pytest.raises(Stumbled):
            on(tmp_path / "killed", MoreRows(SETTINGS), "b", stumbling(step)).train()
    for name in ("straight", "killed"):
        with Run(tmp_path / name).locked():
            on(tmp_path / name, MoreRows(SETTINGS), "b").train()
    same_end(tmp_path / "killed", tmp_path / "straight")


def test_each_row_of_the_new_data_is_seen_once_an_epoch(tmp_path: Path) -> None:
    begun(tmp_path / "run")

    seen: list[int] = []

    class Noting(MoreRows):
        def batch(self, step: int) -> Any:  # noqa: ANN401
            seen.append(step)
            return super().batch(step)

    family = Noting(SETTINGS)
    with Run(tmp_path / "run").locked():
        on(tmp_path / "run", family, "b").train()
    # Epochs 3 to 6 of 4 steps each, whatever the steps were before.
    assert sorted(seen) == list(range(8, 24))


def test_a_run_moved_elsewhere_goes_on_with_other_loaders_to_the_same_bits(tmp_path: Path) -> None:
    train(tmp_path / "straight")
    with pytest.raises(Stumbled):
        train(tmp_path / "run", stumbling(8))
    moved = tmp_path / "another disk" / "run"
    moved.parent.mkdir()
    shutil.move(tmp_path / "run", moved)
    train(moved, settings=replace(SETTINGS, loaders=4))
    same_end(moved, tmp_path / "straight")


def test_every_nth_checkpoint_stays(tmp_path: Path) -> None:
    train(tmp_path / "run", settings=replace(SETTINGS, keep=1, keep_every=2, save_every=6))
    best = newest_checkpoint(tmp_path / "run" / "checkpoints").progress.best_step
    assert steps_saved(tmp_path / "run" / "checkpoints") == sorted({6, 12, 18, best})


def test_steps_go_on_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, threads, under_way = threading.Event(), set(), set()

    def slow(*args: Any) -> Path:  # noqa: ANN401
        threads.add(threading.current_thread() is threading.main_thread())
        under_way.add(args[2].step)
        assert gate.wait(20)
        return save_checkpoint(*args)

    monkeypatch.setattr(saving, "save_checkpoint", slow)

    def look(done: int) -> None:
        # The save of step 3 stands still until step 5 is made; that of step 6 waits for it, and none is lost.
        if done == 5:
            assert under_way <= {3}
            assert steps_saved(tmp_path / "run" / "checkpoints") == []
            gate.set()

    train(tmp_path / "run", Watch(look), replace(SETTINGS, keep=9))
    assert threads == {False}
    monkeypatch.undo()
    train(tmp_path / "straight", settings=replace(SETTINGS, keep=9))
    same_end(tmp_path / "run", tmp_path / "straight")
    assert steps_saved(tmp_path / "run" / "checkpoints") == steps_saved(tmp_path / "straight" / "checkpoints")


def test_an_error_in_the_saving_thread_that_is_no_full_disk_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Path:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(saving, "save_checkpoint", broken)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "run")


def test_a_step_saved_before_its_validation_is_saved_again_after_it(tmp_path: Path) -> None:
    learner = NumpyLearner()
    train(tmp_path / "run", settings=replace(SETTINGS, epochs=1))
    path = checkpoint_path(tmp_path / "run" / "checkpoints", 3)
    whole = newest_checkpoint(path.parent).progress
    save_checkpoint(path.parent, learner.arrays(), replace(whole, history=()))
    assert newest_checkpoint(path.parent).progress.history == ()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    # Killed between the removal of the old one and the renaming of the new.
    path.rename(path.with_name(f"{path.name}.renewed"))
    assert steps_saved(path.parent) == []
    with Run(tmp_path / "run").locked():
        assert on(tmp_path / "run", NumpyFamily(SETTINGS), "").progress.step == 3


def test_a_validation_that_was_stopped_counts_before_an_early_stop(tmp_path: Path) -> None:
    settings = replace(SETTINGS, early_stop=3, keep=9)

    class Late(NumpyFamily):
        """Its score rises in the second epoch, and again in the fifth."""

        def __init__(self, stops_at: int) -> None:
            super().__init__(settings)
            self.stops_at = stops_at

        def monitor(self, predict: Predict) -> Scores:
            if len(Run(tmp_path / "run").history().get("epoch", [])) + 1 == self.stops_at:
                os.kill(os.getpid(), signal.SIGTERM)
            predict(np.zeros((1, WIDTH)))
            return {"closeness": (0.1, 0.2, 0.1, 0.1, 0.3, 0.1)[loops[-1].course.epoch(loops[-1].progress.step) - 1]}

    loops: list[Loop] = []

    def go(stops_at: int) -> Progress:
        run = Run(tmp_path / "run") if loops else create_run(tmp_path / "run", CONFIG)
        with run.locked():
            loops.append(Loop(run, Late(stops_at), settings, Watch(), learner=lambda _: NumpyLearner()))
            return loops[-1].train()

    with pytest.raises(Interrupted, match=r"step 15 is saved"):
        go(5)
    done = go(0)
    assert (done.step, done.best_step) == (18, 15)
    assert [row["step"] for row in done.history] == [3, 6, 9, 12, 15, 18]


def test_a_run_in_a_directory_that_cannot_be_written_is_refused_and_can_be_looked_at() -> None:
    # Below no folder of pytest's, which lets nobody else in; root may write anywhere, so the test is nobody's.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        Path(folder).chmod(0o755)
        train(path, settings=replace(SETTINGS, epochs=1))
        (path / "lock").unlink()
        path.chmod(0o555)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            with pytest.raises(PpnlabError, match=r"lock: file must be writable, got Permission denied"):
                train(path)
            assert RunStatus.of(path).checkpoint == 3
            assert newest_checkpoint(path / "checkpoints").progress.step == 3
        finally:
            if root:
                os.seteuid(0)
            path.chmod(0o755)


# What `training` does with a dataset: none of it needs the network.


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    drawn_dataset(tmp_path, {"train": 4, "val": 1}, parts=False)
    monkeypatch.setattr(training, "_train", lambda run, data, *rest: len(data.split("train").images))
    training.start(tmp_path / "data", tmp_path / "run", QUICK, dict, Watch(), "test")  # type: ignore[arg-type]
    return tmp_path


def go_on(place: Path, watch: Watch | None = None, **options: Any) -> Any:  # noqa: ANN401
    return training.go_on(place / "run", options.pop("changes", {}), None, dict, watch or Watch(), **options)  # type: ignore[arg-type]


def replaced_by(place: Path, splits: dict[str, int], *, parts: bool = False) -> None:
    for folder in ("data", "pictures"):
        shutil.rmtree(place / folder)
    drawn_dataset(place, splits, parts=parts, seed=5)


def test_changed_data_is_refused_unless_accepted_and_then_written_down(place: Path) -> None:
    before = Run(place / "run").config()
    assert before["dataset"]["counts"] == {"train": 4, "val": 1, "boxes": 5}
    replaced_by(place, {"train": 6, "val": 2})
    with pytest.raises(PpnlabError, match=r"got another images\.csv, boxes\.csv .*ppnlab resume --accept-new-data"):
        go_on(place)
    assert Run(place / "run").config() == before
    assert go_on(place, accept_new_data=True) == 6
    after = Run(place / "run").config()
    assert after["dataset"]["counts"] == {"train": 6, "val": 2, "boxes": 8}
    (told,) = [event for event in events(place / "run") if event["event"] == "data-changed"]
    assert told["old"]["hashes"] == before["dataset"]["hashes"] != told["new"]["hashes"]
    assert told["new"] == after["dataset"]
    # From now on it is the run's data.
    assert go_on(place) == 6
    assert len([event for event in events(place / "run") if event["event"] == "data-changed"]) == 1


def test_data_with_other_classes_is_refused_even_so(place: Path) -> None:
    replaced_by(place, {"train": 4, "val": 1}, parts=True)
    before = Run(place / "run").config()
    with pytest.raises(PpnlabError, match=r"classes must be qr_code, with the same parts, .*network was built"):
        go_on(place, accept_new_data=True)
    assert Run(place / "run").config() == before


def test_new_data_for_a_training_that_is_over_wants_more_epochs(place: Path) -> None:
    run = Run(place / "run")
    rows = tuple({"epoch": epoch, "step": epoch} for epoch in (1, 2, 3))
    loop = {"data": training._word(run.config()["dataset"]["hashes"]), "per_epoch": 1, "step": 0, "epoch": 0}
    progress = newest = training.Progress(step=3, history=rows, stretch=loop)
    save_checkpoint(run.checkpoints, {}, newest)
    replaced_by(place, {"train": 6, "val": 2})
    with pytest.raises(UsageError, match=r"epochs must be at least 4 \(3 are finished\), got 3"):
        go_on(place, accept_new_data=True)
    assert go_on(place, accept_new_data=True, changes={"epochs": 4}) == 6
    assert progress.step == 3


def test_other_versions_are_told_once(place: Path) -> None:
    run = Run(place / "run")
    config = run.config()
    assert set(config["versions"]) >= {"tensorflow", "keras", "numpy", "python", "processor"}
    run.write_config({**config, "versions": {**config["versions"], "numpy": "1.0.0", "processor": "abacus"}})
    watch = Watch()
    go_on(place, watch)
    assert len(watch.notes) == 2
    assert watch.notes[0].startswith("numpy was 1.0.0 when the run was trained before, and is ")
    (told,) = [event for event in events(place / "run") if event["event"] == "versions-changed"]
    assert told["versions"]["processor"][0] == "abacus"
    again = Watch()
    go_on(place, again)
    assert again.notes == []
