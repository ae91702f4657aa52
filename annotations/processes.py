"""One piece of work on many chunks, shared out among processes: the same results in the same order, sooner."""

import contextlib
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from annotations.errors import PpnlabError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
Done = Callable[[int], None]

_AHEAD = 2
"""Chunks that each helper has before it, so that it need not wait for the next."""
_PIPE = 2**20
"""Bytes that wait for this process to take them, where the system allows as many: two results, mostly."""


def shared_out(
    work: Callable[[Chunk], Result], chunks: Sequence[Chunk], processes: int, done: Done = lambda ready: None
) -> list[Result]:
    """Return the result of `work` on each chunk, in order; `done` is told how many are ready.

    This process works too, so `processes` of 1 starts none. Results must be picklable, and work and chunks as well
    unless this process `can_be_copied`. A helper that dies (killed for its memory, say) costs only time: its chunks are
    worked on here, and a fault in the work is raised here.
    """
    helping = min(processes, len(chunks)) - 1
    if helping < 1:
        return _alone(work, chunks, done)
    helpers: list[_Helper] = []
    try:
        with _interruptions_later():
            for _ in range(helping):
                helpers.append(_started(work, chunks, helpers))
        return _together(work, chunks, helpers, done)
    finally:
        for helper in helpers:
            helper.dismiss()


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


def _alone(work: Callable[[Chunk], Result], chunks: Sequence[Chunk], done: Done) -> list[Result]:
    results = []
    for chunk in chunks:
        results.append(work(chunk))
        done(len(results))
    return results


class _Answer(NamedTuple):
    """What a helper made of the chunk at this place."""

    place: int
    result: Any


@dataclass(slots=True)
class _Helper:
    """A process that helps, the places of the chunks that it was given and has not answered, and the ways to it."""

    process: "BaseProcess"
    places: "Connection"
    answers: "Connection"
    given: deque[int] = field(default_factory=deque)
    left: bool = False

    def give(self, place: int) -> bool:
        """Return whether the chunk at this place could be given."""
        if self.left or len(self.given) >= _AHEAD:
            return False
        try:
            self.places.send(place)
        except OSError:
            self.left = True
        else:
            self.given.append(place)
        return not self.left

    def answered(self, *, wait: bool) -> Iterator[_Answer]:
        """Yield what is ready, or, on request, all that it was given; one that has died answers no more."""
        while self.given and not self.left and (wait or self.answers.poll()):
            try:
                answer = _Answer(self.given[0], self.answers.recv())
            except (EOFError, OSError):
                self.left = True
            else:
                self.given.popleft()
                yield answer

    def dismiss(self) -> None:
        """End the process, whatever it does; it has nothing to save."""
        self.process.kill()
        self.process.join()
        self.places.close()
        self.answers.close()


def _started(work: Callable[[Any], Any], chunks: Sequence[Any], others: Sequence[_Helper]) -> _Helper:
    """Return a new helper; `others` were started before."""
    from multiprocessing import get_context

    # A copy of this process is there at once; a new one first imports what this one has, for a third of a second.
    copied = can_be_copied()
    context = get_context("fork") if copied else get_context("spawn")
    (taken, places), (answers, given) = context.Pipe(duplex=False), context.Pipe(duplex=False)
    _widen(given)
    # A copy has this process's ends of all pipes too, and would never see them closed.
    ours = [places, answers, *(end for other in others for end in (other.places, other.answers))] if copied else []
    process = context.Process(target=_help, args=(work, chunks, taken, given, ours), daemon=True)
    process.start()
    taken.close()
    given.close()
    return _Helper(process, places, answers)


def _widen(pipe: "Connection") -> None:
    """Let more bytes wait in a pipe, so that a helper need not wait until this process has done its own chunk."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def _help(
    work: Callable[[Any], Any],
    chunks: Sequence[Any],
    places: "Connection",
    answers: "Connection",
    inherited: Sequence["Connection"],
) -> None:
    """Work on the chunks at the places that come, until none come; whatever goes wrong, this process just ends."""
    for end in inherited:
        end.close()
    # A fault that the user made is told by the process that works on the chunk again.
    with contextlib.suppress(EOFError, OSError, PpnlabError):
        while True:
            answers.send(work(chunks[places.recv()]))


def _together(
    work: Callable[[Chunk], Result], chunks: Sequence[Chunk], helpers: Sequence[_Helper], done: Done
) -> list[Result]:
    """Work from the last chunk on, while the helpers are given the first ones; then wait for theirs."""
    first, last, results = 0, len(chunks), dict[int, Result]()

    def take(helper: _Helper, *, wait: bool) -> None:
        for answer in helper.answered(wait=wait):
            results[answer.place] = answer.result
            done(len(results))

    while first < last:
        for helper in helpers:
            take(helper, wait=False)
            while first < last and helper.give(first):
                first += 1
        if first < last:
            last -= 1
            results[last] = work(chunks[last])
            done(len(results))
    for helper in helpers:
        take(helper, wait=True)
    for place in range(len(chunks)):
        if place not in results:
            results[place] = work(chunks[place])
            done(len(results))
    return [results[place] for place in range(len(chunks))]
