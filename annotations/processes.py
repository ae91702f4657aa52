"""One piece of work on many chunks, shared out among processes: the same results in the same order, sooner."""

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, Union

from annotations.errors import PpnlabError
from annotations.pipes import Pipe, piped

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
Done = Callable[[int], None]
_End = Union[Pipe, "Connection"]

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
    return list(in_turn(work, chunks, processes, done))


def in_turn(
    work: Callable[[Chunk], Result], chunks: Sequence[Chunk], processes: int, done: Done = lambda ready: None
) -> Generator[Result, None, None]:
    """Yield what `shared_out` returns, each result as soon as it and all before it are there; then it is forgotten.

    Closing the generator ends the helpers.
    """
    helping = min(processes, len(chunks)) - 1
    helpers: list[_Helper] = []
    try:
        if helping > 0:
            # Where the system has no room for another process, those that are there do the work.
            with _interruptions_later(), contextlib.suppress(OSError):
                for _ in range(helping):
                    helpers.append(_started(work, chunks, helpers))
        yield from _together(work, chunks, helpers, done)
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


class _Answer(NamedTuple):
    """What a helper made of the chunk at this place."""

    place: int
    result: Any


class _Results(Generic[Result]):
    """The results that are there and were not yet given out in turn; `done` is told how many there have been."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._waiting: dict[int, Result] = {}
        self._ready = 0
        self._turn = 0

    def add(self, place: int, result: Result) -> None:
        """Add the result of the chunk at this place."""
        self._waiting[place] = result
        self._ready += 1
        self._done(self._ready)

    def has(self, place: int) -> bool:
        """Return whether the result of the chunk at this place is there, or was given out."""
        return place < self._turn or place in self._waiting

    def in_turn(self) -> Iterator[Result]:
        """Yield the results whose turn it is."""
        while self._turn in self._waiting:
            self._turn += 1
            yield self._waiting.pop(self._turn - 1)


class _Copy(NamedTuple):
    """A copy of this process, by its number."""

    number: int

    def kill(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(ProcessLookupError):  # where ends are not waited for, one that ended is not there
            os.kill(self.number, signal.SIGKILL)

    def join(self) -> None:
        """Wait for its end."""
        with contextlib.suppress(ChildProcessError):  # the program that we are a part of may not want to know of ends
            os.waitpid(self.number, 0)


@dataclass(slots=True)
class _Helper:
    """A process that helps, the places of the chunks that it was given and has not answered, and the ways to it."""

    process: "_Copy | BaseProcess"
    places: _End
    answers: _End
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
    # A copy of this process is there at once; a new one first imports what this one has, for a third of a second.
    return (_copied if can_be_copied() else _spawned)(work, chunks, others)


def _copied(work: Callable[[Any], Any], chunks: Sequence[Any], others: Sequence[_Helper]) -> _Helper:
    """Return a helper that is a copy of this process."""
    (taken, places), (answers, given) = piped(), piped()
    _widen(given)
    try:
        number = os.fork()
    except OSError:
        for end in (taken, places, answers, given):
            end.close()
        raise
    if number:
        taken.close()
        given.close()
        return _Helper(_Copy(number), places, answers)
    try:
        # The copy has this process's ends of all pipes too: as long as it keeps them, it cannot see them closed.
        for inherited in (places, answers, *(end for other in others for end in (other.places, other.answers))):
            inherited.close()
        _help(work, chunks, taken, given)
    finally:
        os._exit(0)


def _spawned(work: Callable[[Any], Any], chunks: Sequence[Any], _: Sequence[_Helper]) -> _Helper:
    """Return a helper that is a new process."""
    from multiprocessing import get_context

    context = get_context("spawn")
    (taken, places), (answers, given) = context.Pipe(duplex=False), context.Pipe(duplex=False)
    _widen(given)
    process = context.Process(target=_help, args=(work, chunks, taken, given), daemon=True)
    process.start()
    taken.close()
    given.close()
    return _Helper(process, places, answers)


def _widen(pipe: _End) -> None:
    """Let more bytes wait in a pipe, so that a helper need not wait until this process has done its own chunk."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def _help(work: Callable[[Any], Any], chunks: Sequence[Any], places: _End, answers: _End) -> None:
    """Work on the chunks at the places that come, until none come; whatever goes wrong, this process just ends."""
    # A fault that the user made is told by the process that works on the chunk again.
    with contextlib.suppress(EOFError, OSError, PpnlabError):
        while True:
            answers.send(work(chunks[places.recv()]))


def _together(
    work: Callable[[Chunk], Result], chunks: Sequence[Chunk], helpers: Sequence[_Helper], done: Done
) -> Iterator[Result]:
    """Work from the last chunk on, while the helpers are given the first ones; then wait for theirs."""
    results = _Results[Result](done)
    first, last = 0, len(chunks)
    while helpers and first < last:
        for helper in helpers:
            for answer in helper.answered(wait=False):
                results.add(*answer)
            while first < last and helper.give(first):
                first += 1
        if first < last:
            last -= 1
            results.add(last, work(chunks[last]))
        yield from results.in_turn()
    for helper in helpers:
        for answer in helper.answered(wait=True):
            results.add(*answer)
    for place in range(len(chunks)):
        if not results.has(place):
            results.add(place, work(chunks[place]))
        yield from results.in_turn()
