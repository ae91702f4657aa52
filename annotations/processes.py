"""One piece of work on many chunks, shared out among processes: the same results in the same order, sooner."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

_AHEAD = 2
"""Chunks that each helper has before it, so that it need not wait for the next."""
_work: list[Callable[[Any], Any]] = []
"""The work of a helping process: sent to it once, not with each chunk."""


def shared_out(
    work: Callable[[Chunk], Result],
    chunks: Sequence[Chunk],
    processes: int,
    done: Callable[[int], None] = lambda ready: None,
) -> list[Result]:
    """Return the result of `work` on each chunk, in order; `done` is told how many are ready.

    This process works too, so `processes` of 1 starts none. Chunks and results must be picklable, and the work as well
    unless this process `can_be_copied`. A helper that dies (killed for its memory, say) costs only time: its chunks are
    worked on here.
    """
    helpers = min(processes, len(chunks)) - 1
    if helpers < 1:
        return _alone(work, chunks, done)
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # A copy of this process is there at once; a new one first imports what this one has, for a third of a second.
    start = "fork" if can_be_copied() else "spawn"
    pool = ProcessPoolExecutor(helpers, get_context(start), initializer=_remember, initargs=(work,))
    try:
        return _together(work, chunks, _Helpers(pool, helpers * _AHEAD), done)
    finally:
        pool.shutdown(cancel_futures=True)


def can_be_copied() -> bool:
    """Return whether this process may be forked: another thread may hold a lock, which would stay locked in the copy.

    Only Linux tells how many threads there are beside Python's own. numpy's are there unless OPENBLAS_NUM_THREADS is 1.
    """
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


@contextlib.contextmanager
def _interruptions_later() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends; processes that are started in it never see it, for this one ends them.

    A process that is interrupted while it starts another leaves that with half of what it needs, and it complains.
    """
    came: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    # The mask is what the new process inherits. It does not hold for the other threads of this one: hence the handler.
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if in_main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _remember(work: Callable[[Any], Any]) -> None:
    _work.append(work)


def _help(chunk: Any) -> Any:  # noqa: ANN401
    return _work[0](chunk)


def _alone(work: Callable[[Chunk], Result], chunks: Sequence[Chunk], done: Callable[[int], None]) -> list[Result]:
    results = []
    for chunk in chunks:
        results.append(work(chunk))
        done(len(results))
    return results


@dataclass(slots=True)
class _Helpers:
    """The processes that help, and what they were given and have not been asked for, at most `most` chunks.

    Nothing given is ever taken back: Python 3.11 loses the other results where a helper dies after that.
    """

    pool: "ProcessPoolExecutor"
    most: int
    given: dict[int, "Future[Any]"] = field(default_factory=dict)
    broken: bool = False

    def give(self, place: int, chunk: object) -> bool:
        """Return whether the chunk at this place could be given to a helper."""
        from concurrent.futures.process import BrokenProcessPool

        if self.broken or sum(not future.done() for future in self.given.values()) >= self.most:
            return False
        try:
            with _interruptions_later():
                self.given[place] = self.pool.submit(_help, chunk)
        except BrokenProcessPool:
            self.broken = True
        return not self.broken


def _together(
    work: Callable[[Chunk], Result], chunks: Sequence[Chunk], helpers: _Helpers, done: Callable[[int], None]
) -> list[Result]:
    """Work from the last chunk on, while the helpers are given the first ones; then wait for theirs."""
    from concurrent.futures.process import BrokenProcessPool

    first, last, own = 0, len(chunks), dict[int, Result]()
    while first < last:
        while first < last and helpers.give(first, chunks[first]):
            first += 1
        if first < last:
            last -= 1
            own[last] = work(chunks[last])
            done(len(own) + sum(future.done() for future in helpers.given.values()))
    for place, future in helpers.given.items():
        try:
            own[place] = future.result()
        except BrokenProcessPool:
            own[place] = work(chunks[place])
        done(len(own))
    return [own[place] for place in range(len(chunks))]
