"""The run directory: made once, locked by one process, its tables and what damage to them is called."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest

from annotations.errors import PpnlabError, UsageError
from detector.run_directory import Run, create_run
from detector.run_lock import Owner, owner_of

CONFIG = {"settings": {"epochs": 3}, "classes": ["a"], "parts": {}, "dataset": {"path": "../d", "hashes": {}}}
ROWS = [
    {"epoch": 1, "loss": 1 / 3, "val_ap": None},
    {"epoch": 2, "loss": 1e-300, "val_ap": 0.5, "val_ap/x": 1.0},
]


def tree(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_new_run_holds_its_config_and_room_for_checkpoints(tmp_path: Path) -> None:
    run = create_run(tmp_path / "deep" / "run", CONFIG)
    assert run.config() == {"schema": 1, **CONFIG}
    assert run.checkpoints.is_dir()
    assert run.history() == {}


@pytest.mark.parametrize("kind", ["run", "folder", "file"])
def test_what_is_there_already_is_refused_and_untouched(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "run":
        create_run(place, CONFIG)
    elif kind == "folder":
        place.mkdir()
        (place / "mine").write_text("mine")
    else:
        place.write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match="run must not exist yet; `ppnlab resume"):
        create_run(place, {**CONFIG, "classes": ["b"]})
    assert tree(tmp_path) == before


def test_a_run_may_take_an_empty_directory(tmp_path: Path) -> None:
    assert create_run(tmp_path, CONFIG).config() == {"schema": 1, **CONFIG}


def test_a_run_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PpnlabError, match="run must be a directory that can be made"):
        create_run(tmp_path / "file" / "run", CONFIG)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "settings must be JSON"),
        (b'{"schema": 1, "sett', "settings must be JSON"),
        (b"\xff\xfe\x00", "settings must be JSON"),
        (b"[]", "schema must be 1, got None"),
        (b'{"schema": 2}', "schema must be 1, got 2"),
        (b'{"schema": 1}', "settings must be a JSON object, got None"),
        (b'{"schema": 1, "settings": {}, "classes": "a"}', "classes must be a JSON array, got 'a'"),
    ],
)
def test_a_damaged_config_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(PpnlabError, match=said):
        Run(tmp_path).config()


def test_a_directory_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(PpnlabError, match="nowhere: run must be a directory"):
        Run(tmp_path / "nowhere").config()


def test_history_comes_back_exactly_with_gaps(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    run.write_history(ROWS)
    assert run.history() == {
        "epoch": [1.0, 2.0],
        "loss": [1 / 3, 1e-300],
        "val_ap": [None, 0.5],
        "val_ap/x": [None, 1.0],
    }
    assert len(run.history_file.read_text().splitlines()) == 3


def test_a_history_without_rows_is_no_file(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    run.write_history([])
    assert not run.history_file.exists()
    assert run.history() == {}


@pytest.mark.parametrize("content", [b"epoch,loss\n1,what\n", b"epoch\n\xff\n"])
def test_a_damaged_history_is_named(tmp_path: Path, content: bytes) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    run.history_file.write_bytes(content)
    with pytest.raises(PpnlabError, match=r"history\.csv: history must be a table of numbers"):
        run.history()


def test_events_are_one_line_each_and_say_who_and_when(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    run.event("started", step=0)
    run.event("finished", step=9, note="line\nbreak")
    lines = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["started", "finished"]
    assert {line["pid"] for line in lines} == {os.getpid()}
    assert {line["host"] for line in lines} == {platform.node()}
    assert lines[1]["note"] == "line\nbreak"
    assert lines[0]["time"].endswith("+00:00")


def test_a_run_that_cannot_be_written_is_the_runs_fault(tmp_path: Path) -> None:
    run = Run(tmp_path / "gone")
    for write in (lambda: run.event("x"), lambda: run.append("log.txt", "x"), lambda: run.locked().__enter__()):
        with pytest.raises(PpnlabError, match=r"gone.*must be writable, got No such file"):
            write()
    run = create_run(tmp_path / "run", CONFIG)
    run.history_file.mkdir()
    with pytest.raises(PpnlabError, match=r"history\.csv: file must be writable"):
        run.write_history(ROWS)


HOLD = """
import sys
from pathlib import Path
from detector.run_directory import Run
with Run(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_firsts_name_until_it_is_killed(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(PpnlabError, match=rf"one process at a time, got process {holder.pid} on "), run.locked():
            pass
        holder.kill()
        holder.wait()
        with run.locked():
            assert owner_of(run.path) == Owner(platform.node(), os.getpid(), ANY)
    assert (run.path / "lock").read_text() == ""


def test_an_error_under_the_lock_comes_through_and_frees_it(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG)
    with pytest.raises(OSError, match="mine"), run.locked():
        raise OSError("mine")
    with run.locked():
        pass
