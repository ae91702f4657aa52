"""Kills trainings at random moments and goes on with them, until as many kills were made as were asked for.

`python kill_worker.py FOLDER numpy|tiny|grown SEED KILLS` is a program of its own: it imports once, runs nothing, and
forks a child for every attempt, which is cheap and begins without threads. A moment is a line of our code (counted over
all threads, so that every line of a save has its turn) or a time; the signal is mostly SIGKILL, sometimes SIGTERM.
"""

import importlib
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import detector_numpy

from annotations import whole
from detector import checkpoint, diary, keeping, loop, run_directory, run_lock, saving, status, steering, stretch
from detector.stopping import Interrupted

WATCHED = {
    m.__file__ for m in (checkpoint, diary, keeping, loop, run_directory, run_lock, saving, status, steering, stretch)
}
WATCHED.add(whole.__file__)
STOPPED = 3
"""Exit status of a child that ended with its state saved."""


def count_lines(at: Callable[[int], None]) -> None:
    """Call `at` with the number of each line of WATCHED as it is run, in whatever thread."""
    number = itertools.count(1)

    def line(frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401
        if event == "line":
            at(next(number))
        return line

    def call(frame: FrameType, *_: Any) -> Any:  # noqa: ANN401
        return line if frame.f_code.co_filename in WATCHED else None

    threading.settrace(call)
    sys.settrace(call)


def forked(work: Callable[[], object], after: float | None = None, number: int = signal.SIGKILL) -> int:
    """Do the work in a child, sending it a signal after so many seconds, and return its exit code."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except Interrupted:
            status = STOPPED
        finally:
            if status == 1:
                traceback.print_exc()
            # Not sys.exit, which would end the parent's affairs too.
            os._exit(status)
    if after is not None:
        time.sleep(after)
        # A child that has ended waits for its parent: the number is still its own.
        os.kill(child, number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def measured(train: Callable[[Path], object], folder: Path) -> tuple[int, float]:
    """Make the undisturbed run; return the lines it took, and the seconds of another one without counting."""

    def counting() -> None:
        lines = [0]
        count_lines(lambda number: lines.__setitem__(0, number))
        train(folder / "straight")
        sys.settrace(None)
        (folder / "lines").write_text(str(lines[0]))

    if forked(counting):
        raise SystemExit("the undisturbed run failed")
    began = time.monotonic()
    forked(lambda: train(folder / "timed"))
    return int((folder / "lines").read_text()), time.monotonic() - began


def attempt(train: Callable[[Path], object], path: Path, moments: random.Random, lines: int, seconds: float) -> int:
    """Train with a signal at a random moment, and return how that ended."""
    number = signal.SIGTERM if moments.random() < 0.2 else signal.SIGKILL
    if moments.random() < 0.3:
        return forked(lambda: train(path), moments.uniform(0, seconds), number)
    target = moments.randint(1, lines)

    def watched() -> None:
        count_lines(lambda at: os.kill(os.getpid(), number) if at == target else None)
        train(path)

    return forked(watched)


def main(folder: Path, kind: str, seed: int, wanted: int) -> None:
    """Make the kills, check every run that ended, and print what was done as JSON."""
    train: Callable[[Path], object] = importlib.import_module(f"detector_{kind}").train
    lines, seconds = measured(train, folder)
    moments, ends, saved_when_killed = random.Random(seed), [], set()
    runs = 0
    while len(ends) < wanted:
        runs += 1
        path = folder / f"run{runs}"
        while (end := attempt(train, path, moments, lines, seconds)) != 0:
            if end not in (STOPPED, -signal.SIGKILL, -signal.SIGTERM):
                raise SystemExit(f"{path}: attempt {len(ends) + 1} of seed {seed} ended with {end}")
            ends.append(end)
            saved_when_killed.add(tuple(checkpoint.steps_saved(path / "checkpoints")))
        detector_numpy.same_end(path, folder / "straight")
    told = {"kills": len(ends), "runs": runs, "lines": lines, "seconds": seconds}
    told |= {"by": {str(end): ends.count(end) for end in set(ends)}, "states": len(saved_when_killed)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
