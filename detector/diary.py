"""What a training writes down for people: a full disk delays it, and ends no training (plain Python)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from annotations.errors import PpnlabError
from detector.run_directory import EVENTS, LOG, Run, event_line, log_line

HistoryRow = Mapping[str, float | int | None]


class Diary:
    """The events, the log and the history of a run; what the disk does not take is kept, and written later."""

    def __init__(self, run: Run, tell: Callable[[str], None]) -> None:
        """Write into the run; `tell` somebody when that begins to fail, and when it works again."""
        self.run, self._tell = run, tell
        self._lines: list[tuple[str, str]] = []
        self._rows: Sequence[HistoryRow] | None = None
        self._failing = False

    def event(self, kind: str, **details: Any) -> None:  # noqa: ANN401
        """Write down what happened, with the time of now."""
        self._lines.append((EVENTS, event_line(kind, details)))
        self.write()

    def log(self, text: str) -> None:
        """Write a line for the log, with the time of now."""
        self._lines.append((LOG, log_line(text)))
        self.write()

    def history(self, rows: Sequence[HistoryRow]) -> None:
        """Write the history anew."""
        self._rows = rows
        self.write()

    def write(self) -> None:
        """Write what is kept, if there is any."""
        try:
            while self._lines:
                self.run.append(*self._lines[0])
                del self._lines[0]
            if self._rows is not None:
                self.run.write_history(self._rows)
                self._rows = None
        except PpnlabError as error:
            if not self._failing:
                self._tell(f"{error}; the training goes on, and this is written when the disk takes it")
            self._failing = True
        else:
            if self._failing:
                self._tell(f"{self.run.path}: history, events and log are written again")
            self._failing = False
