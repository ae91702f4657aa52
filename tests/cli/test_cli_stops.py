"""How train and resume leave when they are stopped: 130, or 0 for a scheduler that puts the job back by itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from cli_runner import ppnlab

import cli
from detector import training
from detector.run_directory import Run, create_run
from detector.settings import Settings
from detector.stopping import Interrupted


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Path]:
    """Return a run whose training ends with an exception."""

    def end(error: BaseException) -> Path:
        def train(*arguments: object, **options: object) -> NoReturn:
            raise error

        monkeypatch.setattr(training, "start", train)
        monkeypatch.setattr(training, "go_on", train)
        config = {"settings": Settings().to_json(), "classes": ["a"], "parts": {}}
        return create_run(tmp_path / "run", {**config, "dataset": {"path": "../data", "hashes": {}}}).path

    return end


@pytest.mark.parametrize(("options", "status"), [([], cli.INTERRUPTED), (["--requeue"], 0)])
@pytest.mark.parametrize("command", ["train", "resume"])
def test_a_stop_with_everything_saved_has_the_status_asked_for(
    stopped: Callable[[BaseException], Path], command: str, options: list[str], status: int
) -> None:
    run = stopped(Interrupted("SIGUSR1 came; step 7 is saved in run/checkpoints/step-00000007"))
    result = ppnlab(command, *(["data", run] if command == "train" else [run]), *options)
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.startswith("Stopped: SIGUSR1 came; step 7 is saved in ")
    assert result.stderr.rstrip().endswith(f"Go on with: ppnlab resume {run}")


@pytest.mark.parametrize("options", [[], ["--requeue"]])
def test_a_second_ctrl_c_leaves_with_130_whatever_was_asked_for(
    stopped: Callable[[BaseException], Path], options: list[str]
) -> None:
    result = ppnlab("resume", stopped(KeyboardInterrupt()), *options)
    assert result.exit_code == cli.INTERRUPTED
    assert "Stopped at once; what was saved before is whole" in result.stderr


def test_the_threads_of_a_new_run_can_be_given_by_their_own_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Settings] = []

    def train(dataset: Path, run: Path, settings: Settings, *rest: object) -> NoReturn:
        given.append(settings)
        raise Interrupted("done")

    monkeypatch.setattr(training, "start", train)
    ppnlab("train", tmp_path / "data", tmp_path / "run", "--threads", "3")
    assert [settings.threads for settings in given] == [3]


@pytest.mark.parametrize(("score", "told"), [("ap", "val AP@[.5:.95] 0.500"), ("iou", "val iou 0.500")])
def test_the_best_is_told_by_the_name_of_its_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: str, told: str
) -> None:
    ended = training.Trained(Run(tmp_path / "run"), 3, 9, 0.5, score)
    monkeypatch.setattr(training, "start", lambda *arguments: ended)
    result = ppnlab("train", "data", tmp_path / "run")
    assert f"best: step 9 with {told}\n" in result.stdout
    values = json.loads(ppnlab("train", "data", tmp_path / "run", "--json").stdout)
    assert (values["score"], values["best_score"], "best_val_ap" in values) == (score, 0.5, score == "ap")
