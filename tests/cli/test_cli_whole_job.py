"""The whole job on small scenes, once: convert, train, stop, resume, evaluate, predict, score."""

import csv
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli_runner import PROGRAM, TINY, content, environment, error_of, ppnlab

import cli
from annotations.scenes import SceneSettings, write_scenes
from annotations.tables import SPLITS

SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}
EPOCHS = 2

# Ctrl-C comes while the first step is made: not sooner, not later, however busy the machine is.
STOPPED_IN_ITS_FIRST_STEP = """
import os, signal
from detector.backend import load_backend
load_backend()
from detector.engine import Trainer
step = Trainer.step
def stopped(*args):
    os.kill(os.getpid(), signal.SIGINT)
    return step(*args)
Trainer.step = stopped
import cli
cli.main()
"""


@dataclass(frozen=True)
class Job:
    """The directory of the whole job, and what the interrupted training left."""

    root: Path
    status: int
    stdout: str
    stderr: str
    left: dict[str, bytes]

    @property
    def run(self) -> Path:
        return self.root / "run 1"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Scenes, their dataset, and a run of two epochs that Ctrl-C stops in its first epoch and `resume` finishes."""
    root = tmp_path_factory.mktemp("Größe") / "whole job"
    write_scenes(root / "photos", 16, 0, SceneSettings(width=96, height=96), SHARES)
    assert ppnlab("convert", root / "photos", root / "data", "--parts", "fip:qr_code").exit_code == 0
    stopped = interrupted_training(root)
    left = content(root / "run 1")
    done = ppnlab("resume", root / "run 1")
    assert done.exit_code == 0, done.output
    assert "\r" not in done.stderr  # no terminal, no progress: only what the training has to tell
    assert done.stdout.splitlines()[0].startswith(f"{EPOCHS} epochs in {root / 'run 1'}; best: step ")
    return Job(root, *stopped, left)


def interrupted_training(root: Path) -> tuple[int, str, str]:
    # A process of its own, in another directory than the tests', with relative paths.
    command = [PROGRAM[0], "-c", STOPPED_IN_ITS_FIRST_STEP, "train", "data", "run 1", *TINY, f"--set=epochs={EPOCHS}"]
    done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def events(run: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (run / "events.jsonl").read_text().splitlines()]


def printed(*args: object, status: int = 0) -> dict[str, Any]:
    """Return the one JSON object that a command printed on stdout, and nothing else."""
    result = ppnlab(*args, "--json")
    assert result.exit_code == status, result.output
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    assert value["schema"] == 1
    return value


def test_ctrl_c_saves_the_training_and_says_how_to_go_on(job: Job) -> None:
    assert (job.status, job.stdout) == (cli.INTERRUPTED, "")
    noticed, line = job.stderr.split("\n")[-3:-1]
    assert noticed == "stopping after this step; Ctrl-C again leaves at once"
    assert line.startswith("Stopped: SIGINT came; step 1 is saved in run 1/checkpoints/step-00000001.")
    assert line.endswith("Go on with: ppnlab resume 'run 1'")
    assert "checkpoints/step-00000001/arrays.npz" in job.left
    assert not job.left.get("history.csv", b"").strip()  # no epoch has ended


def test_a_resumed_training_has_one_row_an_epoch_and_tells_what_happened(job: Job) -> None:
    assert [row["epoch"] for row in history(job.run)] == ["1", "2"]
    assert events(job.run)[:5] == ["started", "interrupted", "resumed", "rescoring", "finished"]
    config = json.loads((job.run / "config.json").read_text())
    assert {"epochs": EPOCHS, "backbone": "none", "input": [96, 96]}.items() <= config["settings"].items()
    assert config["dataset"]["path"] == "../data"


def test_train_refuses_an_existing_run_and_leaves_every_byte(job: Job) -> None:
    before = content(job.run)
    result = ppnlab("train", job.root / "data", job.run, *TINY)
    assert result.exit_code == 2
    assert "ppnlab resume" in error_of(result)
    assert content(job.run) == before


def test_a_run_that_was_moved_is_told_where_its_dataset_lies(job: Job, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "run"
    shutil.copytree(job.run, moved)
    for command in (("resume", moved), ("evaluate", moved)):
        lost = ppnlab(*command)
        assert lost.exit_code == 1
        assert "--data" in error_of(lost)
    values = printed("train", job.root / "data", moved, *TINY, "--resume")
    assert (values["run"], values["epochs"]) == (str(moved), EPOCHS)
    assert history(moved) == history(job.run)
    place = json.loads((moved / "config.json").read_text())["dataset"]["path"]
    assert (moved / place).resolve() == (job.root / "data").resolve()


def test_a_finished_run_that_is_resumed_stays_as_it_is(job: Job) -> None:
    before = content(job.run)
    values = printed("resume", job.run)
    assert values["epochs"] == EPOCHS
    after = content(job.run)
    assert {name for name in before if before[name] != after.get(name)} <= {"events.jsonl"}


def test_evaluate_reports_all_splits_and_score_gives_the_same_figures(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job.root)
    metrics = printed("evaluate", "run 1")
    assert list(metrics["splits"]) == list(SPLITS)
    assert [metrics["splits"][name]["images"] for name in SPLITS] == [8, 4, 4]
    report = Path("run 1/report")
    tables = {"per_class.csv", "per_image.csv", "errors.csv", "confusion.csv", "calibration.csv", "detections.csv"}
    names = {"metrics.json", "errors.json", "parts.json", "report.html", "objects.csv", *tables}
    assert {path.name for path in report.iterdir()} == names
    assert json.loads((report / "metrics.json").read_text()) == metrics
    assert printed("score", "data", report / "detections.csv", "--report", tmp_path / "scored") == metrics
    assert (tmp_path / "scored" / "metrics.json").read_bytes() == (report / "metrics.json").read_bytes()


def test_evaluate_prints_a_table_of_the_splits_asked_for(job: Job, tmp_path: Path) -> None:
    result = ppnlab("evaluate", job.run, "--split", "test", "--weights", "last", "-o", tmp_path / "report")
    assert result.exit_code == 0
    assert all(line.startswith("note: ") for line in result.stderr.splitlines())
    lines = result.stdout.splitlines()
    assert lines[0].split()[:6] == ["split", "class", "images", "truth", "AP@.5", "AP"]
    # val was detected on too, for it chooses the threshold, but it was not asked for.
    assert [line.split()[:2] for line in lines[1:-1]] == [["test", "qr_code"], ["test", "fip"], ["test", "(mean/sum)"]]
    assert lines[-1] == f"report: {tmp_path / 'report' / 'report.html'}"


def test_predict_leaves_out_a_damaged_picture_by_name_and_does_the_others(job: Job, tmp_path: Path) -> None:
    folder = tmp_path / "neue Fotos"
    shutil.copytree(job.root / "photos" / "images", folder)
    damaged = folder / "scene_0003.jpg"
    damaged.write_bytes(damaged.read_bytes()[:40])
    result = ppnlab("predict", job.run, folder, "-o", tmp_path / "found", "--threshold", 0)
    assert result.exit_code == cli.WITH_FINDINGS
    (told,) = result.stderr.splitlines()
    assert told.startswith(f"error: {damaged}: picture must be readable")
    assert result.stdout.startswith("15 images, ")
    others = {path.stem for path in folder.iterdir()} - {"scene_0003"}
    assert {path.stem for path in (tmp_path / "found" / "images").iterdir()} == others
    with (tmp_path / "found" / "images.csv").open(newline="", encoding="utf-8") as handle:
        assert {row["image_id"] for row in csv.DictReader(handle)} == others


def test_predict_finds_in_single_pictures_what_it_finds_in_their_folder(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job.root)
    pictures = sorted(Path("photos/images").iterdir())
    values = printed("predict", "run 1", *pictures, "--to", "csv", "-o", tmp_path / "one by one")
    assert (values["images"], values["unreadable"]) == (16, 0)
    assert not (tmp_path / "one by one" / "images").exists()
    printed("predict", "run 1", "photos/images", "-o", tmp_path / "folder", "--to", "csv")
    found = (tmp_path / "one by one" / "detections.csv").read_bytes()
    assert found == (tmp_path / "folder" / "detections.csv").read_bytes()
    assert len(found.splitlines()) == values["detections"] + 1


def test_evaluate_and_predict_tell_an_output_that_cannot_be_written(job: Job, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    picture = job.root / "photos" / "images" / "scene_0001.jpg"
    for args in (("evaluate", job.run, "-o"), ("predict", job.run, picture, "-o")):
        result = ppnlab(*args, tmp_path / "file" / "below")
        assert result.exit_code == 1
        assert "must be writable" in error_of(result)


def test_demo_does_the_whole_job_and_leaves_its_four_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = ppnlab("demo", "the demo", "--scenes", 24, *TINY, "--set=epochs=1")
    assert result.exit_code == 0, result.output
    root = tmp_path / "the demo"
    assert sorted(path.name for path in root.iterdir()) == ["dataset", "labelme", "report", "run"]
    steps = [line[:4] for line in result.stderr.splitlines() if "/" in line[:4]]
    assert steps == ["1/4 ", "2/4 ", "3/4 ", "4/4 "]
    assert result.stdout.splitlines()[-1] == f"report: {Path('the demo/report/report.html')}"
    metrics = json.loads((root / "report" / "metrics.json").read_text())
    assert sum(part["images"] for part in metrics["splits"].values()) == 24
    assert len(history(root / "run")) == 1
    before = content(root)
    again = ppnlab("demo", "the demo")
    assert again.exit_code == 2
    assert content(root) == before
