"""status, set and stop on a run that this process holds, as another terminal would."""

import json
import os
from pathlib import Path

import pytest
from cli_runner import error_of, ppnlab

from detector.run_directory import Run, create_run
from detector.settings import Settings


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = {"settings": Settings().to_json(), "classes": ["a"], "parts": {}}
    return create_run(tmp_path / "run", {**config, "dataset": {"path": "../data", "hashes": {}}})


def test_status_names_who_trains_and_finds_the_runs_of_a_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with run.locked():
        (going,) = json.loads(ppnlab("status", "--json").stdout)["runs"]
    assert (going["run"], going["state"], going["owner"]["pid"]) == ("run", "training", os.getpid())
    table = ppnlab("status", "run").stdout.splitlines()
    assert table[0].split()[:3] == ["run", "state", "step"]
    assert table[1].split()[:2] == ["run", "new"]


def test_status_in_a_folder_passes_over_what_other_programs_left_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_language_model").mkdir()
    (tmp_path / "a_language_model" / "config.json").write_text('{"layers": 12}')
    monkeypatch.chdir(tmp_path)
    assert [one["run"] for one in json.loads(ppnlab("status", "--json").stdout)["runs"]] == ["run"]


def test_status_in_a_run_tells_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path)
    assert ppnlab("status").stdout.splitlines()[1].split()[:2] == [".", "new"]


def test_stop_and_set_leave_word_for_the_training(run: Run) -> None:
    with run.locked():
        stopped = ppnlab("stop", run.path, "--after-epoch")
        changed = ppnlab("set", run.path, "learning_rate=1e-4", "epochs=80")
    assert (stopped.exit_code, changed.exit_code) == (0, 0)
    assert stopped.stdout.startswith(f"asked process {os.getpid()} on ")
    assert changed.stdout.rstrip().endswith("learning_rate=0.0001, epochs=80")
    stop, change = sorted((run.path / "requests").iterdir(), key=lambda path: path.name != "stop.json")
    assert json.loads(stop.read_text()) == {"when": "epoch"}
    assert json.loads(change.read_text()) == {"learning_rate": "1e-4", "epochs": "80"}


@pytest.mark.parametrize("command", [("stop",), ("set", "epochs=3")])
def test_a_run_that_nobody_trains_is_neither_stopped_nor_steered(run: Run, command: tuple[str, ...]) -> None:
    result = ppnlab(command[0], run.path, *command[1:])
    assert result.exit_code == 1
    assert "run must be in training, got none that trains it" in error_of(result)
    assert not (run.path / "requests").exists()


def test_set_refuses_what_cannot_change_while_it_trains(run: Run) -> None:
    with run.locked():
        result = ppnlab("set", run.path, "batch=2")
    assert result.exit_code == 2
    assert "batch must stay 4 while the training goes; only a new run can have another. " in error_of(result)
    with run.locked():
        result = ppnlab("set", run.path, "clip_norm=2")
    assert result.exit_code == 2
    assert "`ppnlab stop RUN` and then `ppnlab resume RUN --set clip_norm=2` change it. " in error_of(result)
