"""`ppnlab export` given what it cannot use; none of this loads the network."""

import errno
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_runner import content, error_of, ppnlab

import cli
from annotations.whole import whole_directory
from detector import exporting
from detector.run_directory import create_run
from detector.weights import TrainedNetwork

CONFIG: dict[str, Any] = {"settings": {}, "classes": [], "parts": {}, "dataset": {"path": "../data", "hashes": {}}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that has saved nothing yet."""
    return create_run(tmp_path / "run", CONFIG).path


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is never asked for anything, with what its facts tell."""
    known = {"score_floor": 0.03, "nms_iou": 0.5, "vote_iou": 0.6, "max_detections": 300, "input": (64, 96)}
    model: Any = SimpleNamespace(
        settings=SimpleNamespace(**known),
        classes=("cell",),
        parts={},
        tightening=SimpleNamespace(used={"code": None}),
        rescoring=SimpleNamespace(used={"code": None, "corner": None}),
        branches=dict,
    )
    network: Any = None
    monkeypatch.setattr(exporting, "load_network", lambda *_: TrainedNetwork(model, network, 12))


def test_the_forms_on_the_command_line_are_those_that_the_package_knows() -> None:
    (form,) = (option.type for option in cli.main.commands["export"].params if option.name == "form")
    assert tuple(form.choices) == tuple(exporting.NEEDS)


def test_an_unknown_form_is_a_mistake_of_usage(run: Path) -> None:
    done = ppnlab("export", run, "--to", "onyx")
    assert done.exit_code == 2
    assert "'onyx' is not one of" in done.stderr


@pytest.mark.parametrize("checkpoint", ["first", "", "-3", "1.5"])
def test_an_unknown_checkpoint_is_a_mistake_of_usage(run: Path, checkpoint: str) -> None:
    done = ppnlab("export", run, "--to", "tflite", f"--checkpoint={checkpoint}")
    assert done.exit_code == 2
    assert f"--checkpoint must be best, last or the number of a step, got '{checkpoint}'" in done.stderr


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    told = error_of(ppnlab("export", tmp_path, "--to", "tflite"))
    assert told.startswith(f"{tmp_path}: run must be a directory that `ppnlab train` made, got config.json: No such")


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [("best", "checkpoints must hold one that is whole, got none"), ("3", "must be of a step that is saved (none)")],
)
def test_a_run_without_a_checkpoint_is_named(run: Path, checkpoint: str, said: str) -> None:
    done = ppnlab("export", run, "--to", "saved_model", "--checkpoint", checkpoint)
    assert done.exit_code == 1
    assert said in error_of(done)
    assert not (run / "export").exists()


@pytest.mark.parametrize("form", ["tflite", "saved_model"])
def test_an_output_that_is_there_is_left_untouched(run: Path, form: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "dear").write_text("mine")
    before = content(tmp_path)
    done = ppnlab("export", run, "--to", form, "-o", tmp_path / "model")
    assert done.exit_code == 2
    assert f"{tmp_path / 'model'}: destination must not exist yet" in done.stderr
    assert content(tmp_path) == before


@pytest.mark.usefixtures("trained")
def test_what_is_written_is_named_with_its_size_and_step(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converter = SimpleNamespace(tflite_model=lambda *_: b"x" * 2_500_000)
    monkeypatch.setitem(sys.modules, "detector.export_tensors", converter)
    done = ppnlab("export", run, "--to", "tflite")
    place = run / "export" / "step-00000012.tflite"
    assert done.stdout == f"{place}: 2.5 MB, the weights of step 12\n"
    facts = json.loads(place.with_name("step-00000012.tflite.json").read_text())
    assert facts["input"] == {"height": 64, "width": 96, "channels": "RGB", "values": "uint8"}
    assert facts["checkpoint_step"] == 12
    told = done.stderr.splitlines()
    assert told == [f"note: {note}" for note in facts["notes"]]
    assert "moves the sides of code by their parts" in told[1]
    assert "makes code, corner surer by their parts" in told[2]


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("form", ["onnx", "openvino", "saved_model", "tflite"])
def test_a_full_disk_leaves_nothing(run: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:  # noqa: ANN401
        with whole_directory(given[-1]) as aside:
            (aside / "half").write_text("a model")
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporting, "_require", lambda form: None)
    monkeypatch.setitem(exporting._WRITERS, form, full)
    told = error_of(ppnlab("export", run, "--to", form))
    assert told.endswith("output must be writable, got No space left on device")
    assert content(run / "export") == {}
