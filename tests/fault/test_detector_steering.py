"""A training that is looked at, steered and stopped from outside, and its lock on this machine and another."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from detector_samples import TIMED, Watch
from detector_tiny import CONFIG, SETTINGS, TinyFamily

from annotations.errors import PpnlabError, UsageError
from detector import run_lock
from detector.budget import Budget
from detector.checkpoint import Progress, newest_checkpoint, steps_saved
from detector.loop import Loop
from detector.run_directory import Run, create_run
from detector.run_lock import FILE, STALE, owner_of
from detector.settings import Settings
from detector.status import RunStatus, StatusFile, status_lines
from detector.steering import Requests, ask_to_change, ask_to_stop
from detector.stopping import Interrupted


def train(
    path: Path,
    settings: Settings = SETTINGS,
    at_step: Callable[[int], None] | None = None,
    budget: Budget | None = None,
) -> tuple[Progress, Watch]:
    """Train, or go on, with requests looked for at every step."""
    run = Run(path) if path.exists() else create_run(path, CONFIG)
    watch = Watch(at_step)
    with run.locked():
        loop = Loop(run, TinyFamily(settings), settings, watch, budget)
        loop.requests, loop.status = Requests(path, every=0.0), StatusFile(path, every=0.0)
        return loop.train(), watch


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]


def untimed(progress: Progress) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in TIMED} for row in progress.history]


def when(step: int, do: Callable[[], object]) -> Callable[[int], None]:
    return lambda done: do() and None if done == step else None  # type: ignore[func-returns-value]


def test_a_stop_is_followed_after_the_step_and_the_run_goes_on_from_there(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted, match=r"^`ppnlab stop` asked for it; step 4 is saved in "):
        train(run, at_step=when(4, lambda: ask_to_stop(run, "now")))
    assert events(run)[-1]["event"] == "interrupted"
    progress, _ = train(run)
    straight, _ = train(tmp_path / "straight")
    assert untimed(progress) == untimed(straight)


def test_a_stop_after_the_epoch_waits_for_its_end(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="step 6 is saved"):
        train(tmp_path / "run", at_step=when(4, lambda: ask_to_stop(tmp_path / "run", "epoch")))


def test_a_stop_left_for_a_training_that_had_ended_stops_no_later_one(tmp_path: Path) -> None:
    train(tmp_path / "run", replace(SETTINGS, epochs=1))
    ask_to_stop(tmp_path / "run", "now")
    progress, _ = train(tmp_path / "run")
    assert progress.step == 9


def test_a_stop_that_comes_while_the_training_gets_ready_is_followed(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", CONFIG).locked():
        # The network loads for many seconds, in which `ppnlab stop` finds a training that is going.
        ask_to_stop(tmp_path / "run", "now")
        loop = Loop(Run(tmp_path / "run"), TinyFamily(SETTINGS), SETTINGS, Watch())
        with pytest.raises(Interrupted, match="step 1 is saved"):
            loop.train()


def test_words_of_others_can_be_removed_for_their_folder_is_made_by_the_training(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    run.path.chmod(0o775)  # a lab's shared folder
    with run.locked():
        assert (run.path / "requests").stat().st_mode & 0o777 == 0o775


def test_a_word_that_cannot_be_removed_is_followed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = Requests(tmp_path, every=0.0)
    ask_to_change(tmp_path, {"epochs": "4"}, SETTINGS)
    (change,) = requests.changes()

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    requests.done(change.file)
    assert change.file.exists()
    assert list(requests.changes()) == []


def test_a_budget_of_steps_counts_those_of_this_process(tmp_path: Path) -> None:
    for step in (2, 4):
        with pytest.raises(Interrupted, match=rf"the budget of 2 steps is used up; step {step} is saved"):
            train(tmp_path / "run", budget=Budget(steps=2))
    with pytest.raises(Interrupted, match=r"the time is up .*; step 5 is saved"):
        train(tmp_path / "run", budget=Budget(deadline=time.time() - 1))
    assert train(tmp_path / "run")[0].step == 9


def test_a_change_is_made_at_the_next_step_saved_first_and_kept(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = replace(SETTINGS, schedule="constant", warmup_steps=0)
    values = {"learning_rate": "0.002", "epochs": "4"}
    progress, watch = train(run, settings, when(5, lambda: ask_to_change(run, values, settings)))
    assert progress.step == 12
    assert [row["learning_rate"] for row in progress.history] == [0.01, 0.002, 0.002, 0.002]
    (change,) = [event for event in events(run) if event["event"] == "changed"]
    assert (change["step"], change["settings"]) == (5, {"learning_rate": 0.002, "epochs": 4})
    assert watch.notes == ["step 5: epochs=4, learning_rate=0.002"]
    assert not list((run / "requests").iterdir())
    assert Run(run).config()["settings"]["learning_rate"] == 0.002


def test_a_change_survives_a_kill_at_any_moment_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SETTINGS, schedule="constant", warmup_steps=0)
    values = {"learning_rate": "0.002"}
    expected, _ = train(
        tmp_path / "whole", settings, when(4, lambda: ask_to_change(tmp_path / "whole", values, settings))
    )

    class Killed(BaseException):
        pass

    for moment in ("write_config", "append"):
        run = tmp_path / moment
        with monkeypatch.context() as patch:
            real = getattr(Run, moment)

            def die(self: Run, *args: object, real: Any = real) -> None:  # noqa: ANN401
                real(self, *args)
                raise Killed

            with pytest.raises(Killed):
                train(
                    run,
                    settings,
                    when(4, lambda run=run, patch=patch, moment=moment, die=die: (  # type: ignore[misc]
                        ask_to_change(run, values, settings), patch.setattr(Run, moment, die))),
                )  # fmt: skip
        assert max(steps_saved(run / "checkpoints")) == 4
        config = Run(run).config()["settings"]
        progress, _ = train(run, settings.changed(config, "test") if config else settings)
        assert untimed(progress) == untimed(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": "2"}, r"set: batch must stay 3 while the training goes"),
        ({"epoch": "2"}, r"Did you mean 'epochs'"),
        ({"learning_rate": "fast"}, r"set: learning_rate must be a number, got 'fast'"),
    ],
)
def test_a_change_that_cannot_be_is_refused_before_it_is_left(
    tmp_path: Path, values: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ask_to_change(tmp_path, values, SETTINGS)
    assert not list(tmp_path.iterdir())


def test_an_end_that_is_past_is_refused_by_the_training(tmp_path: Path) -> None:
    run = tmp_path / "run"
    progress, watch = train(run, SETTINGS, when(5, lambda: ask_to_change(run, {"epochs": "1"}, SETTINGS)))
    assert progress.step == 9
    assert watch.notes == ["set: the end must lie behind step 5, got 3 steps in all; nothing changed"]
    assert "change-refused" in [event["event"] for event in events(run)]


def test_rubbish_among_the_requests_is_passed_over(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def litter() -> None:
        (run / "requests").mkdir(exist_ok=True)
        (run / "requests" / "set-1.json").write_text("{")
        (run / "requests" / "set-2.json").write_text('["x"]')
        (run / "requests" / "notes.txt").write_text("hello")

    progress, _ = train(run, at_step=when(2, litter))
    assert progress.step == 9


def test_the_status_tells_how_far_a_training_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    seen: list[RunStatus] = []
    train(run, at_step=lambda done: seen.append(RunStatus.of(run)))
    last = seen[-1]
    assert (last.state, last.step, last.total_steps, last.epoch) == ("training", 8, 9, 2)
    assert last.owner is not None
    assert last.owner.pid == os.getpid()
    assert last.seconds_left is not None
    assert json.loads(json.dumps(last.to_json()))["state"] == "training"
    after = RunStatus.of(run)
    assert (after.state, after.owner, after.step, after.epoch, after.checkpoint) == ("new", None, 9, 3, 9)
    assert after.best_score is not None
    Run(run).event("finished", step=9)
    head, (row,) = status_lines([RunStatus.of(run)])
    assert len(head) == len(row)
    assert row[1:3] == ["finished", "9/9"]


def test_what_is_no_run_has_no_status(tmp_path: Path) -> None:
    with pytest.raises(PpnlabError, match="run must be a directory that `ppnlab train` made"):
        RunStatus.of(tmp_path)


def elsewhere(run: Path, age: float) -> None:
    """Write a lock as a process on another machine would have, with a sign of life so long ago."""
    (run / FILE).write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "2026-11-22T10:00:00Z"}))
    os.utime(run / FILE, (time.time() - age, time.time() - age))


def test_a_run_that_another_machine_works_on_is_refused_by_its_name(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    elsewhere(run.path, STALE / 2)
    message = "one process at a time, got process 7 on elsewhere, since 2026-11-22T10:00:00Z"
    with pytest.raises(PpnlabError, match=message), run.locked():
        pass
    assert str(owner_of(run.path)) == "process 7 on elsewhere, since 2026-11-22T10:00:00Z"


def test_a_machine_that_went_silent_loses_the_run(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    elsewhere(run.path, STALE * 2)
    assert owner_of(run.path) is None
    with run.locked():
        assert owner_of(run.path) is not None
    assert events(run.path)[-1]["event"] == "stale-lock"
    assert "process 7 on elsewhere" in events(run.path)[-1]["owner"]


def test_the_owner_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "HEARTBEAT", 0.01)
    run = create_run(tmp_path / "run", CONFIG)
    with run.locked():
        os.utime(run.path / FILE, (1.0, 1.0))
        deadline = time.monotonic() + 10
        while (run.path / FILE).stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert run_lock.last_sign_of_life(run.path) < 60


def test_half_a_line_of_a_killed_process_spoils_no_other(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    run.event("started")
    with (run.path / "events.jsonl").open("a") as handle:
        handle.write('{"time": "2026')
    assert run.last_event() == "started"
    run.event("resumed")
    assert run.last_event() == "resumed"


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert [path for path in tmp_path.rglob(".lock*") if path.is_file()] == []


def test_a_newest_checkpoint_stands_after_a_stop(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path / "run", budget=Budget(steps=1))
    assert newest_checkpoint(tmp_path / "run" / "checkpoints").progress.step == 1
