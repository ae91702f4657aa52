"""One process a run, on this machine or another: a lock file with its owner, kept alive by a heartbeat (plain Python).

On one machine the kernel's lock decides: it ends with the process, however that ends. Other machines may not see it
(network disks differ in this), so the owner touches the file every HEARTBEAT seconds, and a machine that finds
another's name in it takes the run only when that has stopped for STALE seconds. An owner that was only asleep finds the
other's name when it wakes, and gives way: `taken_over` tells it.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from annotations.errors import PpnlabError

FILE: Final = "lock"
HEARTBEAT: Final = 10.0
"""Seconds from one sign of life to the next."""
STALE: Final = 90.0
"""Seconds without a sign of life, after which an owner on another machine counts as gone."""
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that works on a run: its host and number, and the time at which it began (UTC, ISO 8601)."""

    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextlib.contextmanager
def locked(run: Path) -> Iterator[Owner | None]:
    """Keep a run for this process alone while the block lasts; give the owner that had left it locked, or None.

    Raises:
        PpnlabError: another process works on the run (it is named), or the run cannot be written.
    """
    path = run / FILE
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(path.open("a+", encoding="utf-8"))
            _take(handle, run)
            left = _owner_in(handle)
            if left is not None and left.host != platform.node() and _age(run) < STALE:
                raise _busy(run, left)
            me = _myself()
            _write(handle, json.dumps(asdict(me)) + "\n")
        except OSError as error:
            raise PpnlabError(f"{path}: file must be writable, got {error.strerror or error}") from error
        stack.enter_context(_heartbeat(path))
        try:
            yield left
        finally:
            # On a full disk or a cable that is cut, the lock ends with the process.
            with contextlib.suppress(OSError):
                if _owner_in(handle) == me:
                    _write(handle, "")


def owner_of(run: Path) -> Owner | None:
    """Return the process that works on a run now, or None; one that is gone without a word is none."""
    try:
        with (run / FILE).open("r", encoding="utf-8") as handle:
            owner = _owner_in(handle)
            if owner is None:
                return None
            if owner.host == platform.node():
                return owner if _is_held(handle) else None
            return owner if _age(run) < STALE else None
    except OSError:
        return None


def taken_over(run: Path) -> Owner | None:
    """Return the other process that holds a run which this one had locked, or None."""
    try:
        with (run / FILE).open("r", encoding="utf-8") as handle:
            owner = _owner_in(handle)
    except OSError:
        return None
    return None if owner is None or (owner.host, owner.pid) == (platform.node(), os.getpid()) else owner


def last_sign_of_life(run: Path) -> float:
    """Return the seconds since the owner of a run last touched its lock."""
    return _age(run)


def _is_held(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def _take(handle: TextIO, run: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy(run, _owner_in(handle)) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _busy(run: Path, owner: Owner | None) -> PpnlabError:
    return PpnlabError(f"{run}: run must be used by one process at a time, got {owner or 'an unnamed one'}")


def _myself() -> Owner:
    return Owner(platform.node(), os.getpid(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def _owner_in(handle: TextIO) -> Owner | None:
    handle.seek(0)
    try:
        content: Any = json.loads(handle.read())
        return Owner(str(content["host"]), int(content["pid"]), str(content["since"]))
    except (ValueError, KeyError, TypeError):
        return None


def _write(handle: TextIO, text: str) -> None:
    handle.seek(0)
    handle.truncate(0)
    handle.write(text)
    handle.flush()


def _age(run: Path) -> float:
    """Return how old the last sign of life is, by the clock of the disk: those of two machines may differ."""
    probe = run / f".{FILE}-{platform.node()}-{os.getpid()}"
    try:
        probe.touch()
        now = probe.stat().st_mtime
    except OSError:
        now = time.time()  # a run that may only be looked at
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    try:
        return now - (run / FILE).stat().st_mtime
    except OSError:
        return float("inf")


@contextlib.contextmanager
def _heartbeat(path: Path) -> Iterator[None]:
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT):
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
