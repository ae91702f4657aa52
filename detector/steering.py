"""Words to a training that is going, left in its run directory by another terminal or machine (plain Python)."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from annotations.errors import PpnlabError, UsageError
from annotations.whole import write_whole
from detector.settings import Settings

When = Literal["now", "epoch"]
LIVE: Final = frozenset(
    {"epochs", "total_steps", "learning_rate", "schedule", "final_rate", "decay_rate", "decay_epochs", "cycle_epochs"}
    | {
        "cycle_factor",
        "patience",
        "kick",
        "kick_cap",
        "kick_floor",
        "early_stop",
        "save_every",
        "save_steps",
        "keep",
        "keep_every",
    }
)
"""Settings that a training can change while it goes; the others are built into its compiled step."""
_FOLDER: Final = "requests"
_STOP: Final = "stop.json"
_EVERY: Final = 0.5
"""Seconds from one look into the folder to the next: a step may take a millisecond, and a network disk ten."""


class Change(NamedTuple):
    """Settings that somebody wants changed, by name, as they were typed; and the file that says so."""

    file: Path
    values: Mapping[str, str]


def ask_to_stop(run: Path, when: When) -> None:
    """Leave word that the training shall stop, now or after this epoch.

    Raises:
        PpnlabError: the run cannot be written.
    """
    _leave(run, _STOP, {"when": when})


def ask_to_change(run: Path, values: Mapping[str, str], settings: Settings) -> Settings:
    """Leave word that settings shall change at the next step, and return what they will be, going by `settings`.

    Raises:
        UsageError: a setting is not known, is out of bounds, or cannot change while a training goes.
        PpnlabError: the run cannot be written.
    """
    changed = _changed(settings, values)
    # In the order in which they were said, also from two machines.
    _leave(run, f"set-{time.time_ns():020d}-{os.getpid()}.json", dict(values))
    return changed


def _changed(settings: Settings, values: Mapping[str, str]) -> Settings:
    changed = settings.changed(values, "set")
    before, after = settings.to_json(), changed.to_json()
    for name in values:
        if name not in LIVE and before[name] != after[name]:
            raise UsageError(
                f"set: {name} must stay {before[name]} while the training goes; {_way(name, values[name])}. "
                f"Now can be changed: {', '.join(sorted(LIVE))}"
            )
    return changed


def _way(name: str, value: str) -> str:
    """Return how else a setting can be changed, in words."""
    # It brings the reading of data sets with it, which a training's looks into its folder do not need.
    from detector.training import RESUMABLE

    if name in RESUMABLE:
        return f"`ppnlab stop RUN` and then `ppnlab resume RUN --set {name}={value}` change it"
    return "only a new run can have another"


def _leave(run: Path, name: str, content: Mapping[str, Any]) -> None:
    file = run / _FOLDER / name
    try:
        write_whole(file, json.dumps(content) + "\n")
    except OSError as error:
        raise PpnlabError(f"{file}: file must be writable, got {error.strerror or error}") from error


@dataclass(slots=True)
class Requests:
    """What was left for the training of one run; it looks into the folder at most every `every` seconds."""

    run: Path
    every: float = _EVERY
    _looked: float = field(default=float("-inf"), repr=False)
    _names: list[str] = field(default_factory=list, repr=False)
    _done: set[str] = field(default_factory=set, repr=False)

    def begin(self) -> None:
        """Make the folder, and take away a word to stop that was left for a training which had ended already.

        Whoever may write into the run may write into the folder, which is ours: what they leave there we can remove.

        Raises:
            PpnlabError: the run cannot be written.
        """
        folder = self.run / _FOLDER
        try:
            if not folder.exists():
                folder.mkdir()
                shutil.copymode(self.run, folder)
            (folder / _STOP).unlink(missing_ok=True)
        except OSError as error:
            raise PpnlabError(f"{folder}: folder must be writable, got {error.strerror or error}") from error

    def stop(self) -> When | None:
        """Return when the training shall stop, or None."""
        if _STOP not in self._present():
            return None
        content = _read(self.run / _FOLDER / _STOP)
        return "epoch" if content is not None and content.get("when") == "epoch" else "now"

    def changes(self) -> Iterator[Change]:
        """Yield what shall be changed, in the order in which it was said; what cannot be read is passed over."""
        for name in sorted(name for name in self._present() if name.startswith("set-") and name.endswith(".json")):
            file = self.run / _FOLDER / name
            yield Change(file, _read(file) or {})

    def applied(self, settings: Settings, change: Change) -> Settings:
        """Return the settings with a change made.

        Raises:
            UsageError: it cannot be made.
        """
        return _changed(settings, change.values)

    def done(self, file: Path) -> None:
        """Take away what was followed, or cannot be."""
        # A folder that somebody else made may keep it; no training ends over that.
        self._done.add(file.name)
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
            self._done.discard(file.name)
        self._names = [name for name in self._names if name != file.name]

    def clear_stop(self) -> None:
        """Take away the word to stop, which was followed."""
        self.done(self.run / _FOLDER / _STOP)

    def _present(self) -> list[str]:
        now = time.monotonic()
        if now - self._looked >= self.every:
            self._looked = now
            try:
                self._names = [name for name in os.listdir(self.run / _FOLDER) if name not in self._done]  # noqa: PTH208
            except OSError:
                self._names = []  # nobody has asked for anything yet
        return self._names


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
