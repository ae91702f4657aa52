"""Starting Labelme: the options of each of its versions, a labelmerc that stores no pictures, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from annotation_files import document, shape, write_json

from annotations.annotate import (
    INTERRUPTED,
    find_labelme,
    labelme_command,
    labelme_options,
    labels_in,
    start_labelme,
)
from annotations.errors import AnnotationError, PpnlabError, UsageError

# The long options that `labelme --help` names, of three versions.
HELP = {
    "5.5.0": "--help --version --reset-config --logger-level --output --config --nodata --autosave --nosortlabels "
    "--flags --labelflags --labels --validatelabel --keep-prev --epsilon",
    "6.3.1": "--help --version --reset-config --logger-level --output --config --with-image-data --no-auto-save "
    "--no-sort-labels --nosortlabels --flags --label-flags --labelflags --labels --validate-label --validatelabel "
    "--keep-prev --epsilon",
    "7.9.1": "--help --version --reset-config --logger-level --output --config --with-image-data --no-auto-save "
    "--no-sort-labels --nosortlabels --flags --label-flags --labelflags --labels --validate-label --validatelabel "
    "--keep-prev --epsilon",
}

FAKE = """#!{python}
import json, os, sys, time
if sys.argv[1:] == ["--help"]:
    print({help!r})
    sys.exit()
config = sys.argv[sys.argv.index("--config") + 1] if "--config" in sys.argv else None
text = open(config).read() if config else None
with open({log!r} + ".partial", "w") as log:
    json.dump({{"arguments": sys.argv[1:], "config": text, "config_file": config}}, log)
os.rename({log!r} + ".partial", {log!r})
{then}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home directory, whose `bin` is the only place of programs."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "no" / "python"))
    (tmp_path / "photos").mkdir()
    return tmp_path


PYTHON = sys.executable


def fake(home: Path, version: str = "6.3.1", then: str = "") -> Path:
    """Return a program that says what it was started with, and then does `then`."""
    program = home / "bin" / "labelme"
    text = FAKE.format(python=PYTHON, help="\n".join(HELP[version].split()), log=str(home / "log.json"), then=then)
    program.write_text(text)
    program.chmod(0o755)
    return program


def started_with(home: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads((home / "log.json").read_text())
    return told


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            "5.5.0",
            ["--validatelabel", "exact", "--nosortlabels", "--flags", "train,val,test,", "--nodata", "--autosave"],
        ),
        ("6.3.1", ["--validate-label", "exact", "--no-sort-labels", "--flags", "train,val,test,"]),
        ("7.9.1", ["--validate-label", "exact", "--no-sort-labels", "--flags", "train,val,test,"]),
    ],
)
def test_each_version_is_started_with_the_options_that_it_knows(home: Path, version: str, expected: list[str]) -> None:
    fake(home, version)
    assert start_labelme(home / "photos", ["qr_code", "fip"]) == 0
    arguments = [str(home / "photos"), "--labels", "qr_code,fip,", *expected]
    assert started_with(home) == {"arguments": arguments, "config": None, "config_file": None}


def test_labels_come_from_the_folder_where_none_are_given(home: Path) -> None:
    fake(home)
    write_json(home / "photos" / "a.json", document(shape("qr_code"), shape("fip"), shape("fip")))
    write_json(home / "photos" / "below" / "b.json", document(shape("cat")))
    write_json(home / "photos" / "damaged.json", "{")
    write_json(home / "photos" / "odd.json", document({"label": 3}, "x", {}))
    assert labels_in(home / "photos") == ["cat", "fip", "qr_code"]
    start_labelme(home / "photos")
    assert "cat,fip,qr_code," in started_with(home)["arguments"]  # type: ignore[operator]


def test_folder_without_labels_is_opened_without_a_list(home: Path) -> None:
    fake(home)
    start_labelme(home / "photos")
    assert started_with(home)["arguments"] == [str(home / "photos"), "--flags", "train,val,test,"]


def test_no_flags_are_given_where_there_are_no_splits() -> None:
    command = labelme_command(Path("p"), [], [], program=Path("labelme"), options=frozenset())
    assert command == ["labelme", "p"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [(["a,b"], "without commas and line breaks, got 'a,b'"), ([" "], "got ' '"), (["a", "a"], "must differ"),
     (["a\nb"], "line breaks")],
)  # fmt: skip
def test_labels_that_labelme_would_take_for_others_are_refused(home: Path, labels: list[str], words: str) -> None:
    fake(home)
    with pytest.raises(UsageError, match=words):
        start_labelme(home / "photos", labels)
    assert not (home / "log.json").exists()


@pytest.mark.parametrize(
    ("line", "becomes"),
    [("store_data: true", "store_data: false"), ("with_image_data:  Yes # mine", "with_image_data: false")],
)
def test_labelmerc_that_stores_pictures_is_replaced_by_a_copy_that_does_not(
    home: Path, line: str, becomes: str
) -> None:
    fake(home)
    (home / ".labelmerc").write_text(f"auto_save: true\n{line}\nlabels: [store_data: true]\n")
    start_labelme(home / "photos", ["a"])
    told = started_with(home)
    assert told["config"] == f"auto_save: true\n{becomes}\nlabels: [store_data: true]\n"
    assert not Path(str(told["config_file"])).exists()
    assert line in (home / ".labelmerc").read_text()


@pytest.mark.parametrize(("version", "text"), [("5.5.0", "store_data: true"), ("7.9.1", "with_image_data: false\n")])
def test_labelmerc_that_does_no_harm_is_left_to_labelme(home: Path, version: str, text: str) -> None:
    fake(home, version)
    (home / ".labelmerc").write_text(text)
    start_labelme(home / "photos", ["a"])
    assert started_with(home)["config"] is None


def test_unreadable_labelmerc_is_left_to_labelme(home: Path) -> None:
    fake(home)
    (home / ".labelmerc").write_bytes(b"\xff store_data: true")
    assert start_labelme(home / "photos", ["a"]) == 0


@pytest.mark.parametrize(("then", "status"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 15)", 128 + 15)])
def test_exit_status_is_handed_on(home: Path, then: str, status: int) -> None:
    fake(home, then=then)
    assert start_labelme(home / "photos", ["a"]) == status


def test_missing_labelme_is_told_with_what_to_install(home: Path) -> None:
    with pytest.raises(PpnlabError, match=r"got no program labelme; pip install 'ppnlab\[annotate\]'"):
        start_labelme(home / "photos", ["a"])


def test_labelme_beside_our_python_comes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = fake(home)
    assert find_labelme() == other
    (home / "env").mkdir()
    beside = home / "env" / "labelme"
    beside.write_bytes(other.read_bytes())
    beside.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(home / "env" / "python"))
    assert find_labelme() == beside


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho 'ImportError: libGL.so.1: cannot open' >&2\nexit 1\n", "got ImportError: libGL.so.1"),
        ("#!/bin/sh\nexit 4\n", "got exit status 4"),
        ("#!/bin/sh\necho --output\n", "know --labels"),
        ("#!/no/such/program\n", "Labelme must start, got "),
    ],
)
def test_labelme_that_does_not_start_is_told_in_one_line(home: Path, script: str, words: str) -> None:
    program = fake(home)
    program.write_text(script)
    with pytest.raises(PpnlabError, match=words) as caught:
        start_labelme(home / "photos", ["a"])
    assert str(caught.value).startswith(str(program))


def test_options_are_those_of_the_help(home: Path) -> None:
    for version, options in HELP.items():
        assert labelme_options(fake(home, version)) == set(options.split())


@pytest.mark.parametrize(("name", "got"), [("nowhere", "no such one"), ("file", "a file")])
def test_what_is_no_folder_is_refused(home: Path, name: str, got: str) -> None:
    (home / "file").write_text("")
    with pytest.raises(AnnotationError, match=f"folder must be one, got {got}"):
        start_labelme(home / name, ["a"])


@pytest.mark.parametrize("then", ["time.sleep(60)", "import signal; signal.signal(2, 1); time.sleep(60)"])
def test_ctrl_c_ends_labelme_quietly(home: Path, then: str) -> None:
    # The second Labelme does not go by itself: Qt's loop looks at no signal.
    fake(home, then=f"{then}")
    script = (
        "import sys; from pathlib import Path; import annotations.annotate as annotate\n"
        "annotate._LEAVING_SECONDS = 0.2\n"
        "sys.exit(annotate.start_labelme(Path(sys.argv[1]), ['a']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ours = subprocess.Popen(
        [PYTHON, "-c", script, str(home / "photos")],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (home / "log.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    # As a terminal does: to our program and to Labelme.
    os.killpg(ours.pid, signal.SIGINT)
    out, err = ours.communicate(timeout=60)
    assert (ours.returncode, out) == (INTERRUPTED, b"")
    assert b"annotate.py" not in err
