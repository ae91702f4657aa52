"""ppnlab measure, as it is typed: on files, and on a box dataset with label images."""

import csv
import io
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from annotation_files import document, shape, write_json, write_png
from cli_runner import error_of, ppnlab, ppnlab_process


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a box dataset with label images: two objects in `a`, none in `b`."""
    shapes = [
        shape(label="qr_code", points=[[10, 10], [20, 15]]),
        shape(label="fip", points=[[30, 30], [34, 36]]),
    ]
    for name, drawn in (("a", shapes), ("b", [])):
        write_json(
            tmp_path / "photos" / f"{name}.json", document(*drawn, imagePath=f"{name}.png", flags={"test": True})
        )
        write_png(tmp_path / "photos" / f"{name}.png")
    done = ppnlab("convert", tmp_path / "photos", tmp_path / "data", "--masks", "instance")
    assert done.exit_code == 0, done.output
    return tmp_path / "data"


def test_a_dataset_tells_class_and_object_of_each_row(data: Path) -> None:
    result = ppnlab("measure", data)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    told = [(row["file"], row["split"], row["class"], row["object_id"], row["size"]) for row in rows]
    assert told == [("a", "test", "qr_code", "0", "50"), ("a", "test", "fip", "1", "24")]
    assert result.stderr == "2 files, 2 objects\nwithout any object: 1 (b)\n"


def test_the_classes_of_a_dataset_of_classes_are_named(data: Path) -> None:
    assert ppnlab("convert", data.parent / "photos", data.parent / "classes", "--masks", "class").exit_code == 0
    content = json.loads(ppnlab("measure", data.parent / "classes", "--json").stdout)
    assert {row["class"] for row in content["objects"]} == {"qr_code", "fip"}
    assert all(row["object_id"] is None for row in content["objects"])


def test_output_goes_to_the_file_and_the_summary_to_stdout(data: Path, tmp_path: Path) -> None:
    result = ppnlab("measure", data, "-o", tmp_path / "objects.csv", "--voxel", "0.5,2", "--unit", "um")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "2 files, 2 objects"
    assert result.stderr == ""
    rows = list(csv.DictReader(io.StringIO((tmp_path / "objects.csv").read_text())))
    assert [(row["physical_size"], row["unit"]) for row in rows] == [("50.0", "um^2"), ("24.0", "um^2")]


def test_the_pictures_of_a_dataset_give_intensities(data: Path) -> None:
    for name in ("a", "b"):
        cv2.imwrite(str(data.parent / "photos" / f"{name}.png"), np.full((80, 100), 9, np.uint8))
    size = next(iter(json.loads(ppnlab("measure", data, "--json").stdout)["files"]))["size"]
    width, height = map(int, size.split(" x "))
    for name in ("a", "b"):
        cv2.imwrite(str(data.parent / "photos" / f"{name}.png"), np.full((height, width), 9, np.uint8))
    rows = json.loads(ppnlab("measure", data, "--images", data, "--json").stdout)["objects"]
    assert [row["max_intensity"] for row in rows] == [9.0, 9.0]


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        (("measure", "nowhere"), 1, "nowhere: label images must be a file, a folder or a box dataset"),
        (("measure", "data", "--voxel", "1,1"), 2, "voxel must come with its unit"),
        (("measure", "data", "--voxel", "a", "--unit", "um"), 2, "voxel must be X,Y or X,Y,Z"),
        (("measure", "data", "--images", "nowhere"), 1, "nowhere"),
        (("measure", "data", "-o", "data"), 2, "output must be a file, got a folder"),
    ],
)
def test_mistakes_are_told_in_one_line(
    data: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...], status: int, told: str
) -> None:
    monkeypatch.chdir(data.parent)
    result = ppnlab(*line)
    assert result.exit_code == status, result.output
    assert told in error_of(result)


def test_a_full_disk_behind_stdout_is_told(data: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = ppnlab_process("measure", data, stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "stdout: output must be writable, got No space left on device" in done.stderr
