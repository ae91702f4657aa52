"""A training that starts from another run: what it takes over, what it says, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_samples import QUICK, THREADS, Watch, drawn_dataset

from annotations.dataset import read_dataset
from annotations.errors import PpnlabError, UsageError
from detector import training
from detector.checkpoint import ARRAYS, Progress, checkpoint_path, load_checkpoint, save_checkpoint
from detector.engine import averaged_variables, configure
from detector.families import box_model
from detector.run_directory import Run
from detector.starting_weights import best_checkpoint, names_a_run
from evaluation.monitor import monitor_ap

configure(THREADS, deterministic=True)

SETTINGS = replace(QUICK, epochs=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the data sets `parts/data`, `plain/data` (no parts), and `run1` on the first, as if trained."""
    place = tmp_path_factory.mktemp("tuning")
    for name in ("parts", "plain"):
        drawn_dataset(place / name, {"train": 4, "val": 1}, parts=name == "parts", side=96)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_train", lambda *given: None)
        training.start(place / "parts" / "data", place / "run1", SETTINGS, monitor_ap, Watch(), "test")
    data, run = read_dataset(place / "parts" / "data"), Run(place / "run1")
    for step in (1, 2):
        network = box_model(SETTINGS, data.classes, data.parts).build(pretrained=False)
        arrays = {name: np.asarray(value.numpy()) for name, value in averaged_variables(network).items()}
        save_checkpoint(run.checkpoints, arrays, Progress(step=step, best_step=1, best_score=0.5))
    return place


def arrays_of(run: Path) -> dict[str, Any]:
    return load_checkpoint(best_checkpoint(str(run)))[0]


def started(place: Path, data: str, run: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Watch, Any]:  # noqa: ANN401
    """Begin a run up to its first step: its watcher, and its network by the names of averaged weights."""
    begun: list[training.Settings] = []
    monkeypatch.setattr(training, "_train", lambda run, data, settings, *rest: begun.append(settings))
    watch, dataset = Watch(), read_dataset(place / data / "data")
    settings = replace(SETTINGS, **{"weights": str(place / "run1"), **changes})
    training.start(place / data / "data", run, settings, monitor_ap, watch, "test")
    network = box_model(begun[0], dataset.classes, dataset.parts).build(pretrained=True)
    return watch, {name: np.asarray(value.numpy()) for name, value in averaged_variables(network).items()}


@pytest.mark.slow
def test_a_run_starts_where_the_best_of_another_was_and_needs_it_no_more(place: Path) -> None:
    shutil.copytree(place / "run1", place / "gone")
    watch, settings = Watch(), replace(SETTINGS, weights=str(place / "gone"), seed=5)
    training.start(place / "parts" / "data", place / "run2", settings, monitor_ap, watch, "test")
    config = json.loads((place / "run2" / "config.json").read_text())
    assert config["started_from"] == {"run": "../gone", "step": 1, "fresh": []}
    assert config["settings"]["weights"] == str(place / "gone")
    assert "starting from ../gone at step 1" in watch.notes
    shutil.rmtree(place / "gone")
    done = training.go_on(place / "run2", {"epochs": 3}, None, monitor_ap, Watch())
    assert done.epochs == 3


def test_all_weights_are_taken_over_where_the_classes_are_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, network = started(place, "parts", tmp_path / "run", monkeypatch, seed=7)
    source = arrays_of(place / "run1")
    assert [name for name in network if network[name].tobytes() != source[name].tobytes()] == []


@pytest.mark.parametrize("weights", ["run", "checkpoint"])
def test_other_parts_begin_fresh_by_name_and_the_rest_is_taken_over(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    given = place / "run1" if weights == "run" else best_checkpoint(str(place / "run1"))
    watch, network = started(place, "plain", tmp_path / "run", monkeypatch, weights=str(given), input=(96, 96))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    # Without the parts' evidence the objects' tower has fewer channels to read.
    assert config["started_from"]["fresh"] == ["object_tower"]
    assert any("these layers start fresh, for other classes: object_tower" in note for note in watch.notes)
    source = arrays_of(place / "run1")
    other = {name.split("/")[1] for name in network if network[name].tobytes() != source.get(name, b"")[...].tobytes()}
    assert other == {"object_tower"}


def test_a_class_of_another_name_begins_fresh_though_its_shape_is_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(place / "parts", tmp_path / "parts")
    for file in (tmp_path / "parts" / "data").iterdir():
        if file.suffix in (".json", ".csv"):
            file.write_text(file.read_text().replace("qr_code", "barcode"))
    watch, network = started(
        tmp_path, "parts", tmp_path / "run", monkeypatch, weights=str(place / "run1"), backbone_rate=0.1
    )
    assert any(note.endswith("for other classes: object_class") for note in watch.notes)
    bias = network["averaged/object_class/bias"]
    assert bias == pytest.approx(-4.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": "lite0"}, r"weights: backbone of the run .*run1 must be lite0, .* got none; --set backbone=none"),
        ({"family": "ppn_classic"}, r"weights: family of the run .*run1 must be ppn_classic, .* got ppn; --set family"),
    ],
)
def test_a_run_of_another_network_is_refused_by_name(place: Path, changes: dict[str, Any], said: str) -> None:
    settings = replace(SETTINGS, weights=str(place / "run1"), **changes)
    with pytest.raises(UsageError, match=said):
        training.start(place / "parts" / "data", place / "never", settings, monitor_ap, Watch(), "test")
    assert not (place / "never").exists()


def test_what_is_no_run_is_refused_by_name(place: Path, tmp_path: Path) -> None:
    def refused(weights: Path) -> str:
        settings = replace(SETTINGS, weights=str(weights))
        with pytest.raises(PpnlabError) as error:
            training.start(place / "parts" / "data", tmp_path / "never", settings, monitor_ap, Watch(), "test")
        assert not (tmp_path / "never").exists()
        return str(error.value)

    (tmp_path / "folder").mkdir()
    assert "run must be a directory that `ppnlab train` made" in refused(tmp_path / "folder")
    young = tmp_path / "young"
    shutil.copytree(place / "run1", young)
    shutil.rmtree(young / "checkpoints")
    assert "checkpoints must hold one that is whole, got none" in refused(young)
    shutil.copytree(place / "run1" / "checkpoints", young / "checkpoints")
    best = best_checkpoint(str(young))
    data = bytearray((best / ARRAYS).read_bytes())
    data[len(data) // 2] ^= 1
    (best / ARRAYS).write_bytes(data)
    assert best.name in refused(young)


def test_words_are_no_runs_even_where_a_folder_has_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("package", "none", "imagenet", "run"):
        Path(name).mkdir()
    assert [names_a_run(word) for word in ("package", "none", "imagenet", "run", "nowhere", "")] == [
        False, False, False, True, False, False,
    ]  # fmt: skip


def test_the_best_and_not_the_last_checkpoint_is_taken(place: Path) -> None:
    assert best_checkpoint(str(place / "run1")) == checkpoint_path(Run(place / "run1").checkpoints, 1)
