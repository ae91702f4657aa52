"""A disk that fills up: the training goes on with a warning, and stops where its state would be lost."""

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_runner import ppnlab
from detector_numpy import CONFIG, SETTINGS, NumpyFamily, same_end, train
from detector_samples import Watch

from annotations.errors import PpnlabError
from detector import loop
from detector.checkpoint import Progress, load_checkpoint, newest_checkpoint, steps_saved
from detector.course import Course
from detector.diary import Diary
from detector.run_directory import Run, create_run
from detector.saving import Saver, State
from detector.status import RunStatus, StatusFile
from detector.steering import ask_to_change, ask_to_stop
from detector.stopping import Interrupted

FILL = 500
"""Bytes that the disk takes of a file: less than a checkpoint's arrays."""


@contextmanager
def no_larger_than(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes: what a full disk does, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "AT_THE_END", (0.0,) * 3)
    monkeypatch.setattr(loop, "ON_A_STOP", (0.0,) * 3)


@pytest.fixture
def straight(tmp_path: Path) -> Path:
    train(tmp_path / "straight")
    return tmp_path / "straight"


def at(moments: dict[int, Callable[[], object]]) -> Watch:
    return Watch(lambda done: moments.get(done, lambda: None)() and None)


def fill() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILL, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def saved(run: Path, step: int) -> None:
    """Wait until a step is saved, for saves go on beside the steps."""
    deadline = time.monotonic() + 60
    while step not in steps_saved(run / "checkpoints") and time.monotonic() < deadline:
        time.sleep(0.002)


def fill_after(run: Path, step: int) -> Callable[[], object]:
    return lambda: (saved(run, step), fill())


def make_room() -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]


def test_a_disk_that_is_full_for_a_while_changes_nothing_but_a_warning(tmp_path: Path, straight: Path) -> None:
    path = tmp_path / "run"
    whole_while_full: list[list[int]] = []
    watch = at(
        {4: fill_after(path, 3), 11: lambda: whole_while_full.append(steps_saved(path / "checkpoints")), 12: make_room}
    )
    train(path, watch, every=0.0)
    assert whole_while_full == [[3]]
    same_end(path, straight)
    kinds = [event["event"] for event in events(path)]
    assert kinds == ["checkpoint-failed", "checkpoint-saved"]
    assert "step-00000006: checkpoint must be writable, got File too large" in events(path)[0]["reason"]
    assert sum("tries again at the next one" in note for note in watch.notes) == 1
    assert sum("is saved again" in note for note in watch.notes) == 1
    # What the log could not take at its time came later, and in order.
    epochs = [line.split(" epoch ")[1].split(",")[0] for line in (path / "log.txt").read_text().splitlines()]
    assert epochs == ["1", "2", "3", "4", "5", "6"]


def test_a_full_disk_is_told_in_the_status_until_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "run"
    told: dict[int, str | None] = {}

    def look(done: int) -> None:
        {4: fill_after(path, 3), 12: make_room}.get(done, lambda: None)()
        told[done] = RunStatus.of(path).warning

    train(path, Watch(look), every=0.0)
    assert told[5] is None
    assert "checkpoint must be writable" in (told[9] or "")
    assert told[17] is None


def test_an_end_that_cannot_be_saved_says_what_to_do_and_loses_no_older_one(tmp_path: Path, straight: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(PpnlabError, match=r"step-000000\d\d: checkpoint .*File too large; .*free some space, .*resume"):
        train(path, at({13: fill_after(path, 12)}))
    make_room()
    assert 12 in steps_saved(path / "checkpoints")
    train(path)
    same_end(path, straight)


def test_the_end_is_tried_again_until_there_is_room(
    tmp_path: Path, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def pause(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 2:
            make_room()

    monkeypatch.setattr(loop.time, "sleep", pause)
    train(tmp_path / "run", at({16: fill}))
    assert len(tries) == 2
    same_end(tmp_path / "run", straight)


@pytest.mark.parametrize(
    "stop",
    [lambda run: os.kill(os.getpid(), signal.SIGTERM), lambda run: ask_to_stop(run, "now")],
    ids=["TERM", "stop"],
)
def test_a_stop_while_the_end_is_tried_again_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(loop, "AT_THE_END", (1e9,) * 9)
    pauses: list[float] = []
    monkeypatch.setattr(loop.time, "sleep", lambda s: (pauses.append(s), stop(tmp_path / "run")))
    with pytest.raises(PpnlabError, match="checkpoint must be writable"):
        train(tmp_path / "run", at({16: fill}), every=0.0)
    assert len(pauses) == 1


def test_a_stop_that_cannot_be_saved_is_an_error(tmp_path: Path, straight: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(PpnlabError, match="step-00000008: checkpoint must be writable"):
        train(path, at({7: fill, 8: lambda: os.kill(os.getpid(), signal.SIGTERM)}))
    make_room()
    train(path)
    same_end(path, straight)


def test_a_change_that_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    before = []

    def ask() -> None:
        before.append((path / "config.json").read_bytes())
        ask_to_change(path, {"learning_rate": "0.5"}, SETTINGS)
        fill()

    watch = at({8: ask, 11: make_room})
    train(path, watch, every=0.0)
    assert (path / "config.json").read_bytes() == before[0]
    assert any("nothing changed" in note for note in watch.notes)
    assert "change-refused" in [event["event"] for event in events(path)]


def test_a_best_state_that_the_disk_refused_is_written_before_any_later_one(tmp_path: Path) -> None:
    def state(step: int, best: int) -> State:
        arrays = {"a": NumpyFamily(SETTINGS).batch(step)["picture"].repeat(9)}
        return State(arrays, Progress(step=step, best_step=best, best_score=0.5))

    settings = replace(SETTINGS, keep=1)
    with Saver(tmp_path) as saver:
        with no_larger_than(100):
            assert saver.save(state(1, 1), settings).failure is not None
            assert saver.save(state(2, 1), settings).failure is not None
        assert list(tmp_path.iterdir()) == []
        assert saver.save(state(3, 1), settings).failure is None
        assert steps_saved(tmp_path) == [1, 3]
        arrays, progress = load_checkpoint(tmp_path / "step-00000001")
        assert progress == state(1, 1).progress
        assert arrays["a"].tobytes() == state(1, 1).arrays["a"].tobytes()
        # One that a better one has taken the place of is owed no more.
        with no_larger_than(100):
            assert saver.save(state(4, 4), settings).failure is not None
        assert saver.save(state(5, 5), settings).failure is None
        assert steps_saved(tmp_path) == [5]


def test_the_diary_loses_no_line_and_leaves_no_half_of_one(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", {"settings": {}, "classes": [], "parts": {}, "dataset": {}})
    notes: list[str] = []
    diary = Diary(run, notes.append)
    diary.event("first")
    size = (run.path / "events.jsonl").stat().st_size
    with no_larger_than(size + 20):
        diary.event("second")
        diary.history([{"epoch": 1, "loss": 0.5, "val_ap": 0.25, "seconds": 1234567890}] * 3)
        assert (run.path / "events.jsonl").stat().st_size == size
    diary.event("third")
    assert [event["event"] for event in events(run.path)] == ["first", "second", "third"]
    assert len(run.history()["epoch"]) == 3
    assert len(notes) == 2
    assert "the training goes on" in notes[0]
    assert "written again" in notes[1]


def test_a_disk_of_no_more_than_a_checkpoint_and_a_bit_is_full(tmp_path: Path) -> None:
    """A whole training on a real small file system, where the machine lets the tests mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs '{disk}' 2>/dev/null"):
        pytest.skip("no right to mount a small disk")
    try:
        filler = disk / "filler"

        def fill_up() -> None:
            saved(disk / "run", 3)
            with filler.open("wb", buffering=0) as handle, pytest.raises(OSError, match="No space"):
                while True:
                    handle.write(b"x" * 4096)

        watch = at({4: fill_up})
        with pytest.raises(PpnlabError, match=r"No space left on device; .*free some space"):
            train(disk / "run", watch)
        assert newest_checkpoint(disk / "run" / "checkpoints").progress.step == 3
        filler.unlink()
        with pytest.raises(Interrupted):
            train(disk / "run", at({8: lambda: os.kill(os.getpid(), signal.SIGINT)}))
        train(disk / "run")
        train(tmp_path / "straight")
        same_end(disk / "run", tmp_path / "straight")
        assert len(Run(disk / "run").history()["epoch"]) == 6
    finally:
        os.system(f"umount '{disk}'")


def test_the_command_line_tells_what_a_training_goes_on_in_spite_of(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    with run.locked():
        StatusFile(run.path, every=0.0).training(Progress(step=3), Course(9, 3), "the disk is full")
        told = ppnlab("status", str(run.path))
    assert told.stderr == f"warning: {run.path}: the disk is full\n"
    assert "3/9" in told.stdout
    assert ppnlab("status", str(run.path)).stderr == ""


def test_a_run_that_could_never_save_begins_anew(tmp_path: Path, straight: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(PpnlabError, match="checkpoint must be writable"):
        train(path, at({1: fill}))
    make_room()
    # A history without a checkpoint would be that of a run which lost them.
    assert not Run(path).history()
    train(path)
    same_end(path, straight)
