"""How far a training is: written by the loop every few seconds, read by whoever looks (plain Python)."""

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from annotations.whole import write_whole
from detector.checkpoint import Progress, checkpoint_path, steps_saved
from detector.run_directory import CONFIG, Run
from detector.run_lock import Owner, last_sign_of_life, owner_of
from detector.schedules import Course

FILE: Final = "status.json"
_EVERY: Final = 3.0
"""Seconds from one writing to the next."""
_SCORE: Final = "ap"
_SMOOTHING: Final = 0.98
"""Share of the speed that a step leaves: the time left is that of the last minute or so, not of the first steps."""


class StatusFile:
    """The run's status.json; it is for looking at alone, so that a full disk does not end a training over it."""

    def __init__(self, run: Path, every: float = _EVERY, score: str = _SCORE) -> None:
        """Write at most every `every` seconds; `score` is the validation score that chooses the best checkpoint."""
        self.path, self.every, self.score = run / FILE, every, score
        self._written = float("-inf")
        self._last: tuple[float, int] | None = None
        self._seconds_a_step: float | None = None

    def training(self, done: Progress, course: Course, warning: str | None = None) -> None:
        """Tell of a step that was made, and in spite of what the training goes on."""
        now = time.monotonic()
        if self._last is not None and done.step > self._last[1]:
            taken = (now - self._last[0]) / (done.step - self._last[1])
            old = self._seconds_a_step
            self._seconds_a_step = taken if old is None else _SMOOTHING * old + (1 - _SMOOTHING) * taken
        self._last = (now, done.step)
        if now - self._written >= self.every:
            self._write("training", done, course, warning)

    def validating(self, done: Progress, course: Course, warning: str | None = None) -> None:
        """Tell that the validation begins; its time counts for no step."""
        self._last = None
        self._write("validating", done, course, warning)

    def _write(self, doing: str, done: Progress, course: Course, warning: str | None) -> None:
        self._written = time.monotonic()
        left = None if self._seconds_a_step is None else (course.total - done.step) * self._seconds_a_step
        content = {
            "schema": 1,
            "doing": doing,
            "step": done.step,
            "total_steps": course.total,
            "steps_an_epoch": course.per_epoch,
            "seconds_a_step": self._seconds_a_step,
            "seconds_left": left,
            "data_wait": done.data_seconds / done.seconds if done.seconds else None,
            "score": self.score,
            "warning": warning,
            "time": time.time(),
        }
        with contextlib.suppress(OSError):
            write_whole(self.path, json.dumps(content) + "\n", durable=False)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What a run directory tells of its training.

    `state` is training, validating, stopped, finished or new; `owner` the process that works on it; `score` names the
    validation score that chooses the best checkpoint (`ap` is AP@[.5:.95]), `last_score` is its last value and
    `best_score` the highest; `seconds_left` counts training steps alone; `data_wait` is the share of their time in
    which they wait for pictures; `checkpoint_age` is in seconds; `warning` says in spite of what the training goes on.
    """

    run: str
    state: str
    owner: Owner | None
    sign_of_life: float | None
    step: int
    total_steps: int | None
    epoch: int
    score: str
    last_score: float | None
    best_score: float | None
    images_per_second: float | None
    seconds_left: float | None
    data_wait: float | None
    checkpoint: int | None
    checkpoint_age: float | None
    warning: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the status, ready for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the status of a run directory.

        Raises:
            PpnlabError: it is none, or is damaged.
        """
        run = Run(path)
        run.config()
        owner, told, history = owner_of(path), _told(path), run.history()
        saved = max(steps_saved(run.checkpoints), default=None)
        step = max(_whole(told.get("step")), saved or 0) if owner else saved or 0
        total = told.get("total_steps")
        score = str(told.get("score") or _SCORE)
        scores = history.get(f"val_{score}") or [None]
        return cls(
            run=str(path),
            state=_state(run, owner, told),
            owner=owner,
            sign_of_life=last_sign_of_life(path) if owner else None,
            step=step,
            total_steps=total if type(total) is int else None,
            epoch=len(history.get("epoch", [])),
            score=score,
            last_score=scores[-1],
            best_score=max((value for value in scores if value is not None), default=None),
            images_per_second=(history.get("images_per_second") or [None])[-1],
            seconds_left=told.get("seconds_left") if owner else None,
            data_wait=_data_wait(told if owner else {}, history),
            checkpoint=saved,
            checkpoint_age=None if saved is None else _age(checkpoint_path(run.checkpoints, saved)),
            warning=told.get("warning") if owner else None,
        )


def statuses_in(folder: Path) -> list[RunStatus]:
    """Return the statuses of the runs in a folder, by name, or its own where it is one; other programs' are left out.

    Raises:
        PpnlabError: a run is damaged.
    """
    places = [folder] if _is_run(folder) else sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    return [RunStatus.of(place) for place in places if _is_run(place)]


def _is_run(place: Path) -> bool:
    # Many programs keep a config.json.
    return (place / CONFIG).is_file() and Run(place).checkpoints.is_dir()


def _told(run: Path) -> Mapping[str, Any]:
    try:
        content = json.loads((run / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _data_wait(told: Mapping[str, Any], history: Mapping[str, Sequence[float | None]]) -> float | None:
    """Return the share of the running epoch, or else of the last one that ended."""
    now = told.get("data_wait")
    return float(now) if isinstance(now, int | float) else (history.get("data_wait") or [None])[-1]


def _whole(value: object) -> int:
    return value if type(value) is int else 0


def _age(path: Path) -> float | None:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return None


def _state(run: Run, owner: Owner | None, told: Mapping[str, Any]) -> str:
    if owner is not None:
        return "validating" if told.get("doing") == "validating" else "training"
    last = run.last_event()
    if last in ("finished", "failed"):
        return last
    return "stopped" if last is not None else "new"


def status_lines(statuses: list[RunStatus]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table of statuses, in words."""
    scored = "val AP" if {status.score for status in statuses} <= {_SCORE} else "val score"
    head = ["run", "state", "step", "epoch", scored, "best", "images/s", "waits", "left", "saved", "by"]
    return head, [_row(status) for status in statuses]


def _row(status: RunStatus) -> list[str]:
    step = f"{status.step}/{status.total_steps or '?'}"
    saved = "-"
    if status.checkpoint is not None and status.checkpoint_age is not None:
        saved = f"{status.checkpoint} ({_span(status.checkpoint_age)} ago)"
    by = f"{status.owner.pid} on {status.owner.host}" if status.owner else "-"
    numbers = [_number(status.last_score, 3), _number(status.best_score, 3), _number(status.images_per_second, 1)]
    left = "-" if status.seconds_left is None else _span(status.seconds_left)
    waits = "-" if status.data_wait is None else f"{status.data_wait:.0%}"
    return [status.run, status.state, step, str(status.epoch), *numbers, waits, left, saved, by]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _span(seconds: float) -> str:
    minutes = max(0, round(seconds)) // 60
    if minutes < 1:
        return f"{max(0, round(seconds))}s"
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes < 24 * 60 else f"{minutes // 1440}d{minutes // 60 % 24}h"
