"""Check under bad conditions: no room to write, names made to break a page, files that are traps."""

import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from check_sets import dataset_of, found, square, textured, write_image

from annotations.check import check_dataset
from annotations.check_page import refuse_report, write_check
from annotations.check_text import check_text
from annotations.errors import PpnlabError
from annotations.findings import Finding

EVIL = '"><script>alert(1)</script>{{ 7 * 7 }}'


def test_names_and_messages_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    dataset = dataset_of(
        [[square(EVIL, 50), square(EVIL, 49)]], image_id=[EVIL], path=["a.png"], flags=[EVIL], root=tmp_path
    )
    html = write_check(
        check_dataset(dataset, [Finding("clipped", EVIL, EVIL, EVIL, EVIL)]), tmp_path / "out"
    ).read_text()
    assert "<script" not in html
    assert "49" not in html.split("7 * 7")[1][:10]


def test_directory_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    report = check_dataset(dataset_of([[square("a", 50)]], root=tmp_path), [])
    with pytest.raises(PpnlabError, match=r"file.*must be writable"):
        write_check(report, tmp_path / "file" / "out")


def test_report_is_refused_where_a_dataset_keeps_its_findings(tmp_path: Path) -> None:
    report = check_dataset(dataset_of([[square("a", 50)]], root=tmp_path), [])
    (tmp_path / "dataset.json").write_text("{}")
    (tmp_path / "findings.csv").write_text("of the conversion")
    with pytest.raises(PpnlabError, match=r"report must be written to a directory of its own, got a box dataset"):
        write_check(report, tmp_path)
    assert (tmp_path / "findings.csv").read_text() == "of the conversion"
    assert not (tmp_path / "check.html").exists()


def test_report_is_refused_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PpnlabError, match=r"file: report must be written to a directory of its own, got a file"):
        refuse_report(tmp_path / "file")


def test_line_breaks_and_escapes_in_names_leave_the_terminal_and_its_lines_alone(tmp_path: Path) -> None:
    label = "a\n\x1b[31m"
    dataset = dataset_of([[square(label, 50), square(label, 49)]], image_id=["i\rj"], flags=["f\ng"], root=tmp_path)
    text = check_text(check_dataset(dataset, [Finding("clipped", "", "", "", "one\ntwo")]))
    assert all(line.isprintable() for line in text.split("\n"))
    assert r"a\n\x1b[31m" in text
    assert r"i\rj: object" in text


def test_full_disk_leaves_the_page_of_the_check_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    report = check_dataset(dataset_of([[square("a", 50)]], root=tmp_path), [])
    before = write_check(report, out).read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PpnlabError, match="No space left"):
        write_check(check_dataset(report.dataset, [], input_size=64), out)
    assert (out / "check.html").read_bytes() == before
    assert [path.name for path in out.rglob("*.partial")] == []


def test_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82")
    dataset = dataset_of([[square("a", 50)]], path=["bomb.png"], size=[(30_000, 30_000)], root=tmp_path)
    (message,) = found(check_dataset(dataset, []), "damaged-image")
    assert "500,000,000 pixels" in message


def test_folder_pipe_and_device_in_place_of_a_picture_are_missing_and_hang_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    paths = ["folder.png", "pipe.png", "zero.png"]
    report = check_dataset(dataset_of([[]] * 3, classes=["a"], path=paths, root=tmp_path), [])
    assert len(found(report, "missing-image")) == 3


def test_bytes_at_random_are_damaged_and_never_a_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = write_image(tmp_path / "whole.jpg", textured(1)).read_bytes()
    names = []
    for number in range(40):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 30):
            data[place] = rng.integers(256)
        names.append(f"{number}.jpg")
        (tmp_path / names[-1]).write_bytes(bytes(data[: rng.integers(1, len(data))]))
    report = check_dataset(dataset_of([[]] * 40, classes=["a"], path=names, size=[(320, 240)] * 40, root=tmp_path), [])
    told = {finding.image_id for finding in report.findings if finding.severity == "error"}
    assert len(told) >= 30, "some cuts happen to end at a mark that says: here ends the picture"
    assert "damaged-image" in check_text(report)
    write_check(report, tmp_path / "out")


def test_ctrl_c_ends_looking_without_the_pictures_that_are_left(tmp_path: Path) -> None:
    data = write_image(tmp_path / "a.jpg", textured(1)).read_bytes()
    looked_at = list[int]()

    def give() -> bytes:
        looked_at.append(1)
        time.sleep(0.005)
        return data

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    dataset = dataset_of([[]] * 300, classes=["a"], root=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        check_dataset(dataset, [], progress=interrupted, workers=2, embedded=dict.fromkeys(range(300), give))
    assert len(looked_at) < 150


def test_odd_names_can_be_written_on_a_sheet(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", textured(1))
    name = "照片 é́ \t\u202e" + "x" * 500
    dataset = dataset_of([[square("a", 50), square("a", 49)]], image_id=[name], path=["a.png"], root=tmp_path)
    assert write_check(check_dataset(dataset, []), tmp_path / "out").exists()
