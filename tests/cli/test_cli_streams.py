"""What happens where the terminal ends: a pipe that closes, a full disk behind stdout, Ctrl-C, a real terminal."""

import os
import pty
import subprocess
from pathlib import Path

import pytest
from cli_runner import PROGRAM, content, environment, ppnlab_process

import cli
from annotations.errors import PpnlabError
from annotations.scenes import SceneSettings, write_scenes

PARTS = "--parts=fip:qr_code"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams") / "photos"
    write_scenes(folder, 4, settings=SceneSettings(width=96, height=96))
    return folder


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_behind_stdout_is_told_in_one_line(photos: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = ppnlab_process("convert", photos, tmp_path / "data", PARTS, capture_output=False, stdout=full, stderr=-1)
    assert done.returncode == 1
    assert done.stderr == "Error: stdout: output must be writable, got No space left on device\n"


def test_a_reader_that_goes_away_is_left_in_silence(photos: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = ppnlab_process(
            "convert", photos, tmp_path / "data", PARTS, capture_output=False, stdout=writer, stderr=-1
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert (tmp_path / "data" / "dataset.json").exists()


@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream_stops_no_command(stream: int, photos: Path, tmp_path: Path) -> None:
    shell = [
        "sh",
        "-c",
        f'exec "$@" {stream}>&-',
        "sh",
        *PROGRAM,
        "convert",
        str(photos),
        str(tmp_path / "data"),
        PARTS,
    ]
    done = subprocess.run(shell, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_leaves_with_130_and_without_a_part_of_the_output(photos: Path, tmp_path: Path) -> None:
    # The signal comes when the files are about to be read.
    before = (
        "import os, signal, annotations.convert as c; c.read_source = lambda *_: os.kill(os.getpid(), signal.SIGINT)"
    )
    command = [PROGRAM[0], "-c", f"{before}; import cli; cli.main()", "convert", str(photos), str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (cli.INTERRUPTED, "", "\nInterrupted.\n")
    assert content(tmp_path) == {}


def on_terminal(code: str) -> tuple[int, str]:
    """Return the exit status of Python code on a terminal of its own, and what the terminal was sent."""
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        [PROGRAM[0], "-c", code], stdin=inside, stdout=inside, stderr=inside, env=environment()
    ) as it:
        os.close(inside)
        sent = b"".join(iter(lambda: _read(terminal), b""))
        os.close(terminal)
    return it.returncode, sent.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # what Linux says when the other side is closed
        return b""


def test_a_progress_bar_appears_on_a_terminal_after_a_second_and_goes_at_the_end() -> None:
    head = "import cli, time\nwith cli._counter('drawing') as show:\n"
    status, sent = on_terminal(f"{head} for n in range(12): time.sleep(0.15); show(n + 1, 12)\nprint('done')")
    assert status == 0
    assert "\rdrawing [#" in sent
    assert "0:00 left" in sent
    assert sent.endswith("\r\x1b[Kdone\r\n")


def test_no_progress_bar_appears_on_a_terminal_within_a_second() -> None:
    quick = "import cli\nwith cli._counter('drawing') as show:\n [show(n + 1, 12) for n in range(12)]"
    assert on_terminal(quick) == (0, "")


def test_an_error_in_the_middle_of_a_progress_bar_stands_on_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    clock = iter(range(0, 100, 2))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with pytest.raises(PpnlabError), cli._counter("reading") as show:
        show(3, 6)
        raise PpnlabError("a.json: file must be whole")
    assert capsys.readouterr().err == f"\rreading [{'#' * 15}{'.' * 15}] 3/6, 0:02 left \r\x1b[K"
