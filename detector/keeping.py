"""What a training keeps of itself: its checkpoints, and the history, events and log beside them (plain Python)."""

import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from annotations.errors import PpnlabError
from detector.checkpoint import checkpoint_path, steps_saved
from detector.diary import Diary, HistoryRow
from detector.run_directory import Run
from detector.saving import Saved, Saver, State
from detector.settings import Settings


class Keeper:
    """Saves the states of a run's training and writes its papers; what a full disk refuses is told, and tried again."""

    def __init__(self, run: Run, tell: Callable[[str], None]) -> None:
        """Keep into the run; `tell` somebody, and whoever looks at `warning`, of what goes wrong."""
        self.run, self._tell = run, tell
        self.warning: str | None = None
        self.diary, self._saver = Diary(run, tell), Saver(run.checkpoints)
        self.begun = bool(steps_saved(run.checkpoints))
        self._rows: Sequence[HistoryRow] = ()

    def __enter__(self) -> Self:
        self._saver.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._saver.__exit__(*failure)

    def history(self, rows: Sequence[HistoryRow]) -> None:
        """Write the history anew, once there is a checkpoint: one without any is that of a run which lost them."""
        self._rows = rows
        if self.begun:
            self.diary.history(rows)

    def look(self, *, wait: bool) -> None:
        """Tell how the save under way ended, if it did; `wait` until it has."""
        saved = self._saver.ended(wait=wait)
        if saved is not None:
            self._take_note(saved)

    def save(self, state: State, settings: Settings) -> None:
        """Begin to save a state, while the training goes on; the save before must have been looked at."""
        self._saver.begin(state, settings)

    def save_surely(
        self, state: State, settings: Settings, pauses: Sequence[float], give_up: Callable[[], bool]
    ) -> Path:
        """Save a state, trying again after each of `pauses` seconds unless `give_up`, and return where it lies.

        Raises:
            PpnlabError: the disk did not take it.
        """
        for pause in (*pauses, None):
            saved = self._saver.save(state, settings)
            self._take_note(saved)
            if saved.failure is None:
                break
            if pause is None or give_up():
                raise PpnlabError(
                    f"{saved.failure}; the checkpoints before it are whole: free some space, and "
                    f"`ppnlab resume {shlex.quote(str(self.run.path))}` makes the steps since the newest of them again"
                ) from saved.failure
            time.sleep(pause)
        return checkpoint_path(self.run.checkpoints, saved.step)

    def _take_note(self, saved: Saved) -> None:
        """Tell of a save that failed, and of the first that works again."""
        failed_before = self.warning
        self.warning = None if saved.failure is None else str(saved.failure)
        if saved.failure is not None and not failed_before:
            self.diary.event("checkpoint-failed", step=saved.step, reason=str(saved.failure))
            self._tell(f"{saved.failure}; older ones are whole, and the training tries again at the next one")
        elif saved.failure is None and failed_before:
            self.diary.event("checkpoint-saved", step=saved.step)
            self._tell(f"step {saved.step} is saved again")
        if saved.failure is None and not self.begun:
            self.begun = True
            self.history(self._rows)
        self.diary.write()
