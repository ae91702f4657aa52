"""Conversions to other forms that are killed or run out of disk, and COCO and CSV files that are damaged anyhow."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from annotation_files import write_png
from form_sets import box_dataset, read_form, write_form

from annotations.dataset import write_dataset
from annotations.errors import PpnlabError

SCRIPT = """
import os, resource, signal, sys
from pathlib import Path
import annotations.picture_files
from annotations.convert import convert

def die(source, target):
    Path(target).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[4] == "kill":
    annotations.picture_files.shutil.copyfile = die
if sys.argv[4] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
convert(Path(sys.argv[1]), Path(sys.argv[2]), target_form=sys.argv[3], pictures_mode="copy")
"""
ROWS = [{"image_id": "one", "split": "train"}, {"image_id": "two", "split": "test"}]
BOXES = [
    {"image": 0, "label": "qr_code", "xyxy": [1.25, 2.5, 40.5, 20.125]},
    {"image": 0, "label": "fip", "xyxy": [2, 3, 5, 6], "parent": 0},
    {"image": 1, "label": "qr_code", "xyxy": [0, 0, 96, 64]},
]


def run(root: Path, form: str, how: str) -> subprocess.CompletedProcess[str]:
    place = [str(root / "data"), str(root / "out" / form), form, how]
    return subprocess.run([sys.executable, "-c", SCRIPT, *place], capture_output=True, text=True, check=False)


def stored(root: Path) -> None:
    data = box_dataset(root / "in", ROWS, BOXES, parts={"fip": "qr_code"})
    write_dataset(root / "data", data, [], command="")


@pytest.mark.parametrize("form", ["coco", "csv", "yolo"])
def test_a_killed_process_leaves_no_form_and_the_next_one_writes_it(tmp_path: Path, form: str) -> None:
    stored(tmp_path)
    assert run(tmp_path, form, "kill").returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / form).exists()
    assert run(tmp_path, form, "not").returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [form]
    assert len(read_form(form, tmp_path / "out" / form).dataset.images) == 2


@pytest.mark.parametrize("form", ["coco", "csv"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, form: str) -> None:
    stored(tmp_path)
    done = run(tmp_path, form, "full")
    assert "destination must be writable, got File too large" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """Return a file's bytes with a cut, a flip, a splice or a repetition."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data) + 1)
        length = chance.randint(0, 8)
        piece = chance.choice([b"", b"\xff", b"NaN", b'"', b"-1e999", b"[", b"null", b",", b"\n", bytes(data[:length])])
        data[place : place + length] = piece
    return bytes(data)


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**80,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    [],
    [None],
    {},
    [[1]],
]


def changed(document: Any, chance: random.Random) -> Any:  # noqa: ANN401
    """Return a JSON value with one value somewhere in it replaced."""
    if isinstance(document, dict) and document and chance.random() < 0.9:
        key = chance.choice(list(document))
        return document | {key: changed(document[key], chance)}
    if isinstance(document, list) and document and chance.random() < 0.9:
        place = chance.randrange(len(document))
        return [*document[:place], changed(document[place], chance), *document[place + 1 :]]
    return chance.choice(VALUES)


def check(form: str, path: Path) -> None:
    """Read a file that may be anything: all of it, a part with an error for the rest, or a refusal by name."""
    try:
        back = read_form(form, path, masks="instance" if form == "coco" else None)
    except PpnlabError as error:
        assert path.name in str(error)
        return
    if back.patches is not None:
        for row in range(len(back.dataset.images)):
            with contextlib.suppress(PpnlabError):
                list(back.patches(row))
    assert all(finding.source == path.name for finding in back.findings if finding.severity == "error")
    write_dataset(path.parent / "data", back.dataset, back.findings, command="")
    for form_out in ("coco", "csv"):
        write_form(form_out, path.parent / form_out, back.dataset, "reference")


def mutants(form: str, count: int, seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        data = box_dataset(Path(folder, "in"), ROWS, BOXES, parts={"fip": "qr_code"})
        write_form(form, Path(folder, "out"), data)
        name = "annotations/instances_train.json" if form == "coco" else "objects_train.csv"
        content = Path(folder, "out", name).read_bytes()
    if form == "coco":
        document = json.loads(content)
        document["annotations"][0]["segmentation"] = [[1, 1, 30, 1, 30, 20]]
        document["annotations"][1]["segmentation"] = {"size": [64, 96], "counts": [100, 44, 6000]}
        content = json.dumps(document).encode()
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, Path(name).name)
            if form == "coco" and number % 2:
                path.write_text(json.dumps(changed(json.loads(content), chance)))
            else:
                path.write_bytes(spoilt(content, chance))
            if number % 3 == 0:
                write_png(path.parent / "images" / "one.png", (96, 64))
            check(form, path)


@pytest.mark.parametrize("form", ["coco", "csv"])
def test_any_damage_is_read_around_or_refused_by_name(form: str) -> None:
    mutants(form, 60, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["coco", "csv"])
def test_any_damage_is_read_around_or_refused_by_name_in_the_long_run(form: str) -> None:
    mutants(form, 2500, seed=2)


def test_a_device_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for name in ("pipe.json", "zero.json"):
        with pytest.raises(PpnlabError, match=f"{name}: file must be an ordinary file"):
            read_form("coco", tmp_path / name)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(PpnlabError, match=r"pipe\.csv: source must be an ordinary file"):
        read_form("csv", tmp_path / "pipe.csv")
    with pytest.raises(PpnlabError, match="must hold COCO JSON"):
        read_form("coco", tmp_path)
