"""Work shared out among processes: the same results, in order, whatever becomes of the helpers."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from process_samples import Fragile, doubled, refused

from annotations import processes as annotation_processes
from annotations.processes import shared_out


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
