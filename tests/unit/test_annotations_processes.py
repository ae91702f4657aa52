"""Work shared out among processes: the same results, in order, whatever becomes of the helpers."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from process_samples import Fragile, doubled, refused

from annotations import processes as annotation_processes
from annotations.pipes import piped
from annotations.processes import in_turn, shared_out


@pytest.fixture(params=["copied", "new"])
def helpers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Start helping processes in each of the two ways."""
    monkeypatch.setattr(annotation_processes, "can_be_copied", lambda: request.param == "copied")
    return str(request.param)


@pytest.mark.usefixtures("helpers")
@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("chunks", [0, 1, 2, 9])
def test_results_are_in_order_and_all_are_told(processes: int, chunks: int) -> None:
    told: list[int] = []
    assert shared_out(doubled, range(chunks), processes, told.append) == [2 * chunk for chunk in range(chunks)]
    assert told == sorted(told)
    assert told[-1:] == [chunks] * (chunks > 0)


@pytest.mark.usefixtures("helpers")
def test_helper_that_dies_costs_no_result() -> None:
    work: Callable[[int], int] = Fragile()
    assert shared_out(work, range(6), 2, lambda done: None) == [0, 2, 4, 6, 8, 10]


@pytest.mark.usefixtures("helpers")
@pytest.mark.parametrize("processes", [1, 2])
def test_fault_in_the_work_is_raised(processes: int) -> None:
    with pytest.raises(ValueError, match="three"):
        shared_out(refused, range(6), processes, lambda done: None)


def test_results_come_while_others_are_still_to_be_made() -> None:
    worked: list[int] = []

    def work(chunk: int) -> int:
        worked.append(chunk)
        return chunk

    results = in_turn(work, range(4), 1)
    assert next(results) == 0
    assert worked == [0]
    assert list(results) == [1, 2, 3]


def test_helpers_go_when_no_more_results_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_processes, "can_be_copied", lambda: True)
    results = in_turn(lambda chunk: os.getpid(), range(1000), 3)
    helper = next(results)
    assert helper != os.getpid()
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(helper, 0)


def test_work_is_done_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(annotation_processes, "can_be_copied", lambda: True)
    monkeypatch.setattr(os, "fork", fork)
    assert shared_out(doubled, range(4), 3) == [0, 2, 4, 6]


def test_helpers_whose_ends_the_program_does_not_want_to_know_of_do_their_work() -> None:
    # In a process of its own, in which the system forgets a copy as soon as it has ended.
    code = (
        "import os, signal, time\n"
        "from annotations import processes\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "processes.can_be_copied = lambda: True\n"
        "first = os.getpid()\n"
        "def work(chunk):\n"
        "    if os.getpid() != first:\n"
        "        os._exit(1)\n"
        "    time.sleep(0.02)\n"
        "    return chunk\n"
        "print(processes.shared_out(work, range(6), 3))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[0, 1, 2, 3, 4, 5]\n", done.stderr


def test_copy_says_nothing_of_a_fault_that_this_process_raises(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(annotation_processes, "can_be_copied", lambda: True)
    with pytest.raises(ValueError, match="three"):
        shared_out(refused, range(6), 2)
    assert capfd.readouterr() == ("", "")


def test_objects_of_any_size_go_through_a_pipe_whole() -> None:
    out, into = piped()
    values: list[object] = [None, b"", list(range(5)), bytes(10), b"x" * 3_000_000, "", b"y" * 70_000, {"a": 1}]
    process = os.fork()
    if not process:
        out.close()
        for value in values:
            into.send(value)
        os._exit(0)
    into.close()
    assert [out.recv() for _ in values] == values
    os.waitpid(process, 0)
    assert out.poll()
    with pytest.raises(EOFError):
        out.recv()
    out.close()


def test_pipe_has_nothing_to_receive_until_something_is_sent() -> None:
    out, into = piped()
    assert not out.poll()
    into.send("word")
    assert out.poll()
    assert out.recv() == "word"
    assert not out.poll()
    # What was received before does not change when more is.
    into.send(bytearray(b"first"))
    first = out.recv()
    into.send(bytearray(b"other"))
    out.recv()
    assert first == b"first"
    into.close()
    out.close()


def test_object_that_was_cut_off_is_no_object() -> None:
    out, into = piped()
    os.write(into.fileno(), (100).to_bytes(8) + b"only a part")
    into.close()
    with pytest.raises(EOFError):
        out.recv()
    out.close()


def test_process_with_another_thread_is_not_copied() -> None:
    # In a process of its own: numpy has threads in this one, or had pytest a timeout's.
    code = (
        "import threading\n"
        "from annotations.processes import can_be_copied\n"
        "alone, leave = can_be_copied(), threading.Event()\n"
        "other = threading.Thread(target=leave.wait)\n"
        "other.start()\n"
        "print(alone, can_be_copied())\n"
        "leave.set()"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [str(sys.platform == "linux"), "False"]
