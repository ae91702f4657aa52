"""One piece of work on many chunks, shared out among processes: the same results in the same order, sooner."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

_work: list[Callable[[Any], Any]] = []
"""The work of a helping process: sent to it once, not with each chunk."""


def shared_out(
    work: Callable[[Chunk], Result], chunks: Sequence[Chunk], processes: int, done: Callable[[int], None]
) -> list[Result]:
    """Return the result of `work` on each chunk, in order; `done` is told how many are ready.

    This process works too, so `processes` of 1 starts none. Work, chunks and results must be picklable. A helper that
    dies (killed for its memory, say) costs only time: its chunks are worked on here.
    """
    helpers = min(processes, len(chunks)) - 1
    if helpers < 1:
        return _alone(work, chunks, done)
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Not forked: another thread of this process may hold a lock, which would then stay locked in the copy.
    pool = ProcessPoolExecutor(helpers, get_context("spawn"), initializer=_remember, initargs=(work,))
    try:
        with _interruptions_later():
            futures = [pool.submit(_help, chunk) for chunk in chunks]
        return _together(work, chunks, futures, done)
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interruptions_later() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends; processes that are started in it never see it, for this one ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


def _together(
    work: Callable[[Chunk], Result],
    chunks: Sequence[Chunk],
    futures: Sequence["Future[Result]"],
    done: Callable[[int], None],
) -> list[Result]:
    """Work from the last chunk on, while the helpers begin with the first; then wait for theirs."""
    from concurrent.futures.process import BrokenProcessPool

    last: list[Result] = []
    for chunk, future in zip(reversed(chunks), reversed(futures), strict=True):
        if not future.cancel():
            break
        last.append(work(chunk))
        done(len(last) + sum(future.done() and not future.cancelled() for future in futures))
    first: list[Result] = []
    for chunk, future in zip(chunks, futures[: len(futures) - len(last)], strict=False):
        try:
            first.append(future.result())
        except BrokenProcessPool:
            first.append(work(chunk))
        done(len(first) + len(last))
    return first + last[::-1]
