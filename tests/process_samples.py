"""Work for the tests of shared work; in a module of its own, which helping processes can import."""

import os
import signal


def doubled(chunk: int) -> int:
    """Return twice the number."""
    return 2 * chunk


class Fragile:
    """Doubles numbers in the process that made it, and dies in any other."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def __call__(self, chunk: int) -> int:
        """Return twice the number."""
        if os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * chunk


def refused(chunk: int) -> int:
    """Raise ValueError for the number 3."""
    if chunk == 3:
        raise ValueError("three")
    return chunk
