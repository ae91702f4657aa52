"""A run: the directory of one training, with its settings, history, events, lock and checkpoints (plain Python)."""

import contextlib
import csv
import io
import json
import os
import platform
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import RawIOBase
from pathlib import Path
from typing import Any, Final

from annotations.errors import PpnlabError, UsageError
from annotations.whole import is_free, whole_directory, write_whole
from detector.run_lock import locked
from detector.steering import Requests

CONFIG: Final = "config.json"
EVENTS: Final = "events.jsonl"
LOG: Final = "log.txt"
SCHEMA: Final = 1
_CONTENT: Final = {"settings": dict, "classes": list, "parts": dict, "dataset": dict}


@dataclass(frozen=True)
class Run:
    """A run directory; every method reads or writes one of its files."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Return the directory of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def history_file(self) -> Path:
        """Return the table with one row an epoch."""
        return self.path / "history.csv"

    def config(self) -> dict[str, Any]:
        """Return what the run was made with.

        Raises:
            PpnlabError: the directory is no run, or was made by a newer version.
        """
        try:
            config: dict[str, Any] = json.loads((self.path / CONFIG).read_text(encoding="utf-8"))
        except OSError as error:
            reason = f"{CONFIG}: {error.strerror}"
            raise PpnlabError(f"{self.path}: run must be a directory that `ppnlab train` made, got {reason}") from error
        except ValueError as error:
            raise PpnlabError(f"{self.path / CONFIG}: settings must be JSON, got {error}") from error
        schema = config.get("schema") if isinstance(config, dict) else None
        if schema != SCHEMA:
            raise PpnlabError(f"{self.path / CONFIG}: schema must be {SCHEMA}, got {schema!r}")
        for name, kind in _CONTENT.items():
            if not isinstance(config.get(name), kind):
                raise PpnlabError(
                    f"{self.path / CONFIG}: {name} must be a JSON {'array' if kind is list else 'object'}, "
                    f"got {config.get(name)!r}"
                )
        for name, kind in (("path", str), ("hashes", dict)):
            if not isinstance(config["dataset"].get(name), kind):
                raise PpnlabError(f"{self.path / CONFIG}: dataset must hold its {name}, got {config['dataset']!r}")
        return config

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the run's settings whole."""
        with _writing(self.path / CONFIG) as file:
            write_whole(file, json.dumps(config, indent=1) + "\n")

    def event(self, kind: str, **details: Any) -> None:  # noqa: ANN401
        """Append one line to events.jsonl: what happened, when, where, and its details."""
        self.append(EVENTS, event_line(kind, details))

    def events(self) -> list[dict[str, Any]]:
        """Return the events that can be read, in the order in which they happened."""
        try:
            lines = (self.path / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            # A process that was killed may have left half a line.
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                found += [event] if isinstance(event, dict) and "event" in event else []
        return found

    def last_event(self) -> str | None:
        """Return the kind of the last event that can be read, or None."""
        events = self.events()
        return str(events[-1]["event"]) if events else None

    def append(self, name: str, line: str) -> None:
        """Append one line to a file of the run, whole or not at all."""
        with _writing(self.path / name) as file, file.open("ab+", buffering=0) as handle:
            size = handle.seek(0, os.SEEK_END)
            # A process that was killed while it wrote leaves half a line, which must not spoil the next.
            torn = size > 0 and _last_byte(handle) != b"\n"
            try:
                _write_all(handle, b"\n" * torn + f"{line}\n".encode())
            except OSError:
                handle.truncate(size)
                raise

    def write_history(self, rows: Sequence[Mapping[str, float | int | None]]) -> None:
        """Write history.csv whole: one row an epoch, empty where a number does not exist; no file without rows."""
        if not rows:
            return
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with _writing(self.history_file) as file:
            write_whole(file, text.getvalue())

    def history(self) -> dict[str, list[float | None]]:
        """Return the columns of history.csv by name; none before the first epoch has ended.

        Raises:
            PpnlabError: the table is damaged.
        """
        if not self.history_file.exists():
            return {}
        try:
            with self.history_file.open(encoding="utf-8", newline="") as handle:
                reader = csv.DictReader(handle)
                rows = list(reader)
            return {n: [float(row[n]) if row[n] else None for row in rows] for n in reader.fieldnames or ()}
        except (OSError, ValueError, csv.Error) as error:
            raise PpnlabError(f"{self.history_file}: history must be a table of numbers, got {error}") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the run for this process alone while the block lasts; the lock ends with the process, however it ends.

        A word to stop that was left for a process before this one is taken away; one that comes from now on is for it.

        Raises:
            PpnlabError: another process works on the run (it is named), or the run cannot be written.
        """
        with locked(self.path) as left:
            if left is not None:
                self.event("stale-lock", owner=str(left))
            Requests(self.path).begin()
            yield


def event_line(kind: str, details: Mapping[str, Any]) -> str:
    """Return the line of an event that happened now, in this process."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"time": now, "event": kind, "host": platform.node(), "pid": os.getpid(), **details})


def log_line(text: str) -> str:
    """Return a line of the log with the time of now."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}"


def _last_byte(handle: RawIOBase) -> bytes | None:
    handle.seek(-1, os.SEEK_END)
    return handle.read(1)


def _write_all(handle: RawIOBase, data: bytes) -> None:
    # A disk that fills up takes the first part without a word.
    while data:
        data = data[handle.write(data) or 0 :]


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[Path]:
    """Give `file` to write to; a full disk or a missing right is the run's fault, not a bug."""
    try:
        yield file
    except OSError as error:
        raise PpnlabError(f"{file}: file must be writable, got {error.strerror or error}") from error


def create_run(path: Path, config: Mapping[str, Any]) -> Run:
    """Return the new run directory `path`, made whole with its settings.

    Raises:
        UsageError: something is there already; it is left untouched.
        PpnlabError: the directory cannot be made.
    """
    try:
        with whole_directory(path) as aside:
            (aside / "checkpoints").mkdir()
            Run(aside).write_config({"schema": SCHEMA, **config})
    except OSError as error:
        # It may be a parent that exists and is no directory.
        if not is_free(path):
            raise UsageError(
                f"{path}: run must not exist yet; `ppnlab resume {shlex.quote(str(path))}` goes on with it, "
                "another name starts a new one"
            ) from error
        raise PpnlabError(f"{path}: run must be a directory that can be made, got {error.strerror or error}") from error
    return Run(path)
