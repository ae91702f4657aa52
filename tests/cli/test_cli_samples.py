"""train --show-samples, and trainings whose samples are of every kind, as they are typed."""

import json
from pathlib import Path

import pytest
from cli_runner import TINY, error_of, ppnlab
from detector_samples import drawn_dataset

KINDS = {
    **dict.fromkeys(("mosaic", "copy_paste", "rendered", "hard_negatives", "jpeg", "noise", "light"), "0.5"),
    **{"angle": "10", "perspective": "0.1", "epochs": "2"},
}
EVERY = [f"--set={name}={value}" for name, value in KINDS.items()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_dataset(tmp_path_factory.mktemp("samples"), {"train": 8, "val": 2})


def test_samples_are_drawn_and_nothing_is_trained(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "samples.png"
    result = ppnlab("train", data, "--show-samples", file, *TINY, *EVERY)
    assert result.exit_code == 0
    assert result.stdout == f"8 training samples as the network sees them: {file}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["samples.png"]
    found = json.loads(ppnlab("train", data, "--show-samples", file, *TINY, "--json").stdout)
    assert found == {"schema": 1, "sheet": str(file), "samples": 8}


@pytest.mark.parametrize(
    ("settings", "status", "told"),
    [
        (["--set", "rendered=0.3", "--set", "rendered_as=codes"], 2, "rendered_as must name the class of codes"),
        (["--set", "hard_negatives=1", "--set", "false_alarms=none.csv"], 1, "none.csv"),
        (["--set", "mosaic=2"], 2, "mosaic must be at most 1, got 2.0"),
        (["--set", "blur=0.5,0.5,0.5"], 2, "blur must be one number or two"),
    ],
)
def test_what_cannot_be_drawn_or_pasted_leaves_no_run(
    data: Path, tmp_path: Path, settings: list[str], status: int, told: str
) -> None:
    result = ppnlab("train", data, tmp_path / "run", *TINY, *settings)
    assert result.exit_code == status
    assert told in error_of(result)
    assert not (tmp_path / "run").exists()


def test_a_sheet_needs_a_dataset(tmp_path: Path) -> None:
    result = ppnlab("train", "--show-samples", tmp_path / "samples.png")
    assert result.exit_code == 2
    assert "Missing argument 'DATASET'." in error_of(result)


@pytest.mark.slow
def test_a_stopped_training_on_samples_of_every_kind_ends_as_one_that_was_not(data: Path, tmp_path: Path) -> None:
    settings = [*TINY, *EVERY, "--set=epochs=1", "--set=input=64"]
    whole = ppnlab("train", data, tmp_path / "whole", *settings)
    assert whole.exit_code == 0
    assert "qr_code: 8 boxes, " in whole.stderr
    sizes = json.loads((tmp_path / "whole" / "config.json").read_text())["box_sizes"]
    assert [(one["label"], one["boxes"]) for one in sizes] == [("qr_code", 8), ("fip", 24)]
    assert ppnlab("train", data, tmp_path / "cut", *settings, "--max-steps", "1").exit_code == 130
    assert ppnlab("resume", tmp_path / "cut").exit_code == 0
    arrays = [next((tmp_path / name / "checkpoints").glob("*2/arrays.npz")).read_bytes() for name in ("whole", "cut")]
    assert arrays[0] == arrays[1]
