"""Signals that ask a training to stop: noted, so that the step ends and the state is saved first (plain Python)."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Ctrl-C, a scheduler's end, the warning that Slurm can send before it, and a terminal that was closed."""


class Interrupted(Exception):
    """A signal stopped the training; everything up to its last step is saved."""


class StopRequest:
    """Whether a signal came, and which."""

    def __init__(self) -> None:
        """Start with none."""
        self.signal: str | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Give a StopRequest that notes SIGNALS while the block lasts; a second Ctrl-C leaves at once, as it always does.

    Outside the main thread Python delivers no signals, and the request stays empty.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _: FrameType | None) -> None:
        request.signal = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # The terminal may be gone: what is raised here would be raised in the middle of a step.
        with contextlib.suppress(OSError):
            # Not print: a signal may come while something else is being printed.
            os.write(2, b"\nstopping after this step; Ctrl-C again leaves at once\n")

    # `nohup` has it ignored, and means it.
    heard = [number for number in SIGNALS if (number, signal.getsignal(number)) != (signal.SIGHUP, signal.SIG_IGN)]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
