"""Checkpoints written beside the training: its state is copied while it waits, and written while it goes on."""

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from annotations.errors import PpnlabError
from detector.checkpoint import Progress, remove_checkpoint, save_checkpoint, surplus
from detector.settings import Settings


class Saved(NamedTuple):
    """How the save of a step ended; `failure` says why nothing was written, None that it was."""

    step: int
    failure: PpnlabError | None


@dataclass(frozen=True)
class State:
    """Everything that a training is at a step; its arrays are copies, which no later step changes."""

    arrays: Mapping[str, NDArray[Any]]
    progress: Progress

    @property
    def is_best(self) -> bool:
        """Return whether no other step has a higher validation score."""
        return self.progress.best_step == self.progress.step


class Saver:
    """Writes the checkpoints of a run in a thread, one at a time, and removes those that are surplus then.

    The best state stays in memory when the disk does not take it, and is written before any later one: a checkpoint
    never names a best one that was not saved.
    """

    def __init__(self, directory: Path) -> None:
        """Write into a run's directory of checkpoints."""
        self.directory = directory
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._under_way: Future[Saved] | None = None
        self._owed: State | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Whatever ended the training: the next one in this directory must not meet a thread that writes there.
        self._pool.shutdown(wait=True)

    def begin(self, state: State, settings: Settings) -> None:
        """Begin to write a state; how the save before ended must have been asked for."""
        if self._under_way is not None:
            raise ValueError("one save must have ended before the next begins")
        self._under_way = self._pool.submit(self._written, state, settings)

    def ended(self, *, wait: bool) -> Saved | None:
        """Return, once, how the save under way ended; None if there is none, or it goes on and is not waited for."""
        if self._under_way is None or not (wait or self._under_way.done()):
            return None
        future, self._under_way = self._under_way, None
        return future.result()

    def save(self, state: State, settings: Settings) -> Saved:
        """Write a state at once, and return how that ended; how the save before ended must have been asked for."""
        self.begin(state, settings)
        ended = self.ended(wait=True)
        if ended is None:
            raise ValueError("a save that was begun must end")
        return ended

    def _written(self, state: State, settings: Settings) -> Saved:
        owed, self._owed = self._owed, None
        if owed is not None and owed.progress.step != state.progress.best_step:
            owed = None
        try:
            for each in (owed, state):
                if each is not None:
                    save_checkpoint(self.directory, each.arrays, each.progress)
        except PpnlabError as error:
            self._owed = state if state.is_best else owed
            return Saved(state.progress.step, error)
        for old in surplus(self.directory, settings.keep, spared_steps(state.progress, settings)):
            # What cannot be removed takes room, and no more than that.
            with contextlib.suppress(OSError):
                remove_checkpoint(old)
        return Saved(state.progress.step, None)


def spared_steps(progress: Progress, settings: Settings) -> frozenset[int]:
    """Return the steps whose checkpoints are kept for good: that of the best, and the end of every Nth epoch."""
    best = () if progress.best_step is None else (progress.best_step,)
    return frozenset((*best, *(int(row["step"] or 0) for row in progress.history if is_kept(row, settings))))


def is_kept(row: Mapping[str, float | int | None], settings: Settings) -> bool:
    """Return whether the checkpoint at the end of an epoch, by its row of the history, is one of every Nth."""
    return bool(settings.keep_every) and int(row["epoch"] or 0) % settings.keep_every == 0
