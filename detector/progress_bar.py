"""A progress bar on the terminal, with loss, AP, images a second and time left; silent where there is no terminal."""

import contextlib
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from detector.diary import HistoryRow

_SMOOTHING = 0.9
_GONE = contextlib.suppress(OSError)
"""What writing to a terminal that was closed says: no training ends over it."""


class _Terminal(Console):
    """stderr; where nobody reads it any more, it falls silent, and the program goes on."""

    def on_broken_pipe(self) -> None:
        """Fall silent, where rich would end the program."""
        self.quiet = True


class ProgressBar:
    """A loop's watcher that draws on stderr while its `with` block lasts."""

    def __init__(self, console: Console | None = None) -> None:
        """Draw on `console`, by default one on stderr."""
        self.console = console or _Terminal(stderr=True)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TextColumn("loss {task.fields[loss]:.3f}  val AP@.5 {task.fields[ap]}  {task.fields[speed]:.1f} images/s"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._loss, self._ap, self._last, self._speed = 0.0, "-", time.monotonic(), 0.0

    def __enter__(self) -> Self:
        with _GONE:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _GONE:
            self._bar.stop()

    def step(self, done: int, total: int, images: int, losses: Mapping[str, float]) -> None:
        """Move the bar."""
        now = time.monotonic()
        speed, self._last = images / max(now - self._last, 1e-9), now
        first = self._task is None
        # The first step compiles the network; its speed says nothing.
        self._speed = speed if self._speed == 0.0 else _SMOOTHING * self._speed + (1 - _SMOOTHING) * speed
        self._loss = losses["loss"] if first else _SMOOTHING * self._loss + (1 - _SMOOTHING) * losses["loss"]
        if self._task is None:
            self._begin(done, total)
        else:
            self._bar.update(self._task, completed=done, total=total, loss=self._loss, ap=self._ap, speed=self._speed)

    def _begin(self, done: int, total: int) -> None:
        with _GONE:
            self._task = self._bar.add_task(
                "training", total=total, completed=done, loss=self._loss, ap=self._ap, speed=0.0
            )
        self._speed = 0.0

    def epoch(self, row: "HistoryRow") -> None:
        """Show the validation's AP, and leave a line."""
        ap = row.get("val_ap50")
        self._ap = "-" if ap is None else f"{ap:.3f}"
        precise = row.get("val_ap")
        whole = "-" if precise is None else f"{precise:.3f}"
        if self.console.is_terminal:
            # An epoch whose every step was passed over has none.
            loss = "-" if row.get("loss") is None else f"{row['loss']:.3f}"
            self._print(f"epoch {row['epoch']}: loss {loss}, val AP@.5 {self._ap}, AP {whole}")
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        """Print something that the user should read."""
        self._print(text)

    def _print(self, text: str) -> None:
        with _GONE:
            # Not broken into lines: commands are copied out of it.
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)
