"""devices, --device and --plot-schedule as they are typed."""

import json
from pathlib import Path

import pytest
from cli_runner import error_of, ppnlab


def test_devices_are_listed_as_text_and_as_json() -> None:
    assert ppnlab("devices").stdout.startswith("cpu ")
    found = json.loads(ppnlab("devices", "--json").stdout)
    assert found["schema"] == 1
    assert found["cpu"]["cores"] >= 1
    assert isinstance(found["gpus"], list)


@pytest.mark.parametrize("command", ["train", "resume", "predict", "evaluate"])
def test_a_device_that_is_none_is_a_wrong_usage(command: str, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(b"")
    arguments = {"train": ["data", "run"], "predict": ["run", tmp_path / "one.png"]}.get(command, ["run"])
    result = ppnlab(command, *arguments, "--device", "tpu")
    assert result.exit_code == 2
    assert "device must be auto, cpu or one like gpu:0, got tpu" in error_of(result)
    assert "like 4GB" in error_of(ppnlab(command, *arguments, "--gpu-memory", "lots"))


def test_a_schedule_is_drawn_without_a_dataset_and_nothing_is_trained(tmp_path: Path) -> None:
    file = tmp_path / "plot.svg"
    result = ppnlab("train", "--plot-schedule", file, "--set", "schedule=restarts", "--set", "epochs=7")
    assert result.exit_code == 0
    assert result.stdout.startswith("restarts: 700 steps in 7 epochs of 100")
    assert "assumed, for no DATASET is given" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["plot.svg"]


@pytest.mark.parametrize(("given", "missing"), [([], "DATASET"), (["data"], "RUN")])
def test_only_a_drawing_does_without_a_run(given: list[str], missing: str) -> None:
    result = ppnlab("train", *given)
    assert result.exit_code == 2
    assert f"Missing argument '{missing}'." in error_of(result)
