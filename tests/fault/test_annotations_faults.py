"""Damage and absurdity: refused by name in bounded time and memory, the rest converted, nothing left half written."""

import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from annotation_files import boxes, codes, convert, convert_one, document, only, shape, write_json, write_png

from annotations.csvtable import read_csv
from annotations.dataset import read_dataset, write_dataset
from annotations.errors import AnnotationError
from annotations.labelme import LARGEST_FILE
from annotations.tables import BoxDataset

WHOLE = json.dumps(document(shape(), flags={"train": True})).encode()


def beside(root: Path) -> None:
    """Write a good file and its picture: whatever is wrong with another, this one is converted."""
    write_png(root / "img.png")
    write_json(root / "good.json", document(shape()))


@pytest.mark.parametrize("length", [0, 1, 40, len(WHOLE) // 2, len(WHOLE) - 1])
def test_truncated_file_is_refused_by_name_and_the_rest_converted(tmp_path: Path, length: int) -> None:
    beside(tmp_path / "in")
    write_json(tmp_path / "in" / "bad.json", WHOLE[:length])
    report = convert(tmp_path / "in")
    assert only(report, "bad-json").source == "bad.json"
    assert (boxes(report), report.exit_status) == ([[10, 10, 40, 30]], 3)
    findings = read_csv(tmp_path / "in-dataset" / "findings.csv", ["severity", "source"])
    assert "bad.json" in findings.columns["source"]


def test_all_files_refused_leave_a_dataset_without_images_that_says_why(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "bad.json", "{")
    report = convert(tmp_path / "in")
    assert (len(read_dataset(tmp_path / "in-dataset").images), report.exit_status) == (0, 3)


@pytest.mark.parametrize(
    "content", [b"[" * 200_000, b'{"shapes": ' + b"[" * 200_000, b'{"shapes": [' + b"9" * 10_000 + b"]}", b"\0" * 100]
)
def test_absurd_json_is_refused(tmp_path: Path, content: bytes) -> None:
    beside(tmp_path / "in")
    write_json(tmp_path / "in" / "bad.json", content)
    assert codes(convert(tmp_path / "in")) == ["bad-json"]


def test_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    beside(tmp_path / "in")
    with (tmp_path / "in" / "bad.json").open("wb") as handle:
        handle.truncate(LARGEST_FILE + 1)  # takes no room on the disk
    assert only(convert(tmp_path / "in"), "file-too-large").source == "bad.json"


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null", "nowhere.json", "../outside.json", "bad.json"])
def test_link_to_no_file_of_the_source_is_refused(tmp_path: Path, target: str) -> None:
    beside(tmp_path / "in")
    write_json(tmp_path / "outside.json", document(shape()))
    (tmp_path / "in" / "bad.json").symlink_to(target)
    report = convert(tmp_path / "in")
    assert only(report, "unreadable-file").source == "bad.json"
    assert boxes(report) == [[10, 10, 40, 30]]


def test_link_inside_the_source_is_followed(tmp_path: Path) -> None:
    beside(tmp_path / "in")
    (tmp_path / "in" / "other.json").symlink_to("good.json")
    assert len(convert(tmp_path / "in").dataset.images) == 2


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    root = tmp_path / "in"
    beside(root)
    os.mkfifo(root / "bad.json")
    os.mkfifo(root / "pipe.png")
    write_json(root / "other.json", document(shape(), imagePath="pipe.png"))
    report = convert(root)
    assert codes(report) == ["missing-image", "unreadable-file"]
    assert report.dataset.images.image_id.tolist() == ["good", "other"]


def bomb(side: int) -> bytes:
    """Return a small PNG file whose header promises side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [23_000, 30_000, 60_000])
def test_picture_that_would_unpack_beyond_measure_is_not_opened(tmp_path: Path, side: int) -> None:
    write_json(tmp_path / "in" / "img.png", bomb(side))
    report = convert_one(tmp_path / "in", shape(), image=False)
    assert "at most 500,000,000 pixels" in only(report, "unchecked-image").message


def test_large_picture_is_opened_by_its_header(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "img.png", bomb(22_000))
    report = convert_one(tmp_path / "in", shape(), image=False, imageWidth=None)
    assert report.dataset.images.width.tolist() == [22_000]


def test_picture_without_a_usable_header_gives_no_size(tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "img.png", bomb(30_000))
    assert codes(convert_one(tmp_path / "in", shape(), image=False, imageWidth=None)) == ["unknown-size"]


@pytest.mark.parametrize("where", ["file/data", "/proc/none/data"])
def test_unwritable_destination_is_named(tmp_path: Path, where: str) -> None:
    beside(tmp_path / "in")
    (tmp_path / "file").write_text("")
    report = convert(tmp_path / "in")
    with pytest.raises(AnnotationError, match="destination must be writable, got "):
        write_dataset(tmp_path / where, report.dataset, [], command="")


class Killed(BaseException):
    """What a test dies of: nothing catches it."""


@pytest.mark.parametrize("survived", [0, 1, 2, 3])
def test_interrupted_write_leaves_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int) -> None:
    beside(tmp_path / "in")
    dataset: BoxDataset = convert(tmp_path / "in").dataset
    written: list[Path] = []

    def write(path: Path, portions: Iterable[bytes]) -> None:
        data = b"".join(portions)
        if len(written) == survived:
            path.write_bytes(data[: len(data) // 2])
            raise Killed
        path.write_bytes(data)
        written.append(path)

    monkeypatch.setattr("annotations.dataset._write", write)
    with pytest.raises(Killed):
        write_dataset(tmp_path / "out" / "data", dataset, [], command="")
    assert list((tmp_path / "out").iterdir()) == []


SCRIPT = """
import os, resource, signal, sys
from pathlib import Path
import annotations.dataset
from annotations.convert import convert

write = annotations.dataset._write

def cut(path, portions):
    if path.name == "boxes.csv":
        path.write_bytes(b"".join(portions)[:10])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, portions)

if sys.argv[3] == "kill":
    annotations.dataset._write = cut
if sys.argv[3] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
convert(Path(sys.argv[1]), Path(sys.argv[2]), parts={})
"""


def run(root: Path, how: str) -> subprocess.CompletedProcess[str]:
    place = [str(root / "in"), str(root / "out" / "data")]
    return subprocess.run([sys.executable, "-c", SCRIPT, *place, how], capture_output=True, text=True, check=False)


def test_killed_process_leaves_no_dataset_and_the_next_one_writes_it(tmp_path: Path) -> None:
    beside(tmp_path / "in")
    assert run(tmp_path, "kill").returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "data").exists()
    assert run(tmp_path, "not").returncode == 0
    assert len(read_dataset(tmp_path / "out" / "data").images) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data"]


def test_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    beside(tmp_path / "in")
    done = run(tmp_path, "full")
    assert "destination must be writable, got File too large" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
