"""Batches made ahead of the step by threads; their content and order do not depend on how many threads there are."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import cv2

from detector.settings import Settings

MOST_WAIT: Final = 0.05
"""Share of a training's time that its steps may wait for pictures before the user is told what helps."""
WORTH_TELLING: Final = 20.0
"""Seconds of waiting in an epoch that are worth a word."""
Made = TypeVar("Made")
AHEAD_PER_THREAD = 2
"""Batches that wait for the step a thread; bounds the memory, however large the data set."""


def batches_ahead(batch: Callable[[int], Made], first: int, last: int, threads: int) -> Iterator[Made]:
    """Yield `batch(step)` for steps `first` to `last` - 1, in that order, made by `threads` threads ahead of time.

    Closing the iterator drops what waits. An error in `batch` is raised where its step would have come.
    """
    # OpenCV would start threads of its own inside each of ours.
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="loader")
    waiting: deque[Future[Made]] = deque()
    try:
        for step in range(first, last):
            waiting.append(pool.submit(batch, step))
            if len(waiting) >= AHEAD_PER_THREAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def wait_hint(waited: float, seconds: float, settings: Settings) -> str | None:
    """Return what helps steps that `waited` for pictures so long in `seconds`, or None where they hardly did."""
    if waited < WORTH_TELLING or waited <= MOST_WAIT * seconds:
        return None
    cache = "" if settings.cache == "ram" else ", or keep decoded pictures (cache=ram)"
    return (
        f"the steps waited for pictures in {waited / seconds:.0%} of their time; let more threads read them "
        f"(`ppnlab resume RUN --set loaders={2 * settings.loaders}`){cache}"
    )


def timed(batches: Iterator[Made]) -> Iterator[tuple[Made, float]]:
    """Yield each batch with the seconds for which it had to be waited."""
    while True:
        began = time.monotonic()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.monotonic() - began
