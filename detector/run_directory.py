"""A run: the directory of one training, with its settings, history, events, lock and checkpoints (plain Python)."""

import contextlib
import csv
import fcntl
import io
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from annotations.errors import PpnlabError, UsageError
from annotations.whole import whole_directory, write_whole

CONFIG: Final = "config.json"
SCHEMA: Final = 1


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
        if config.get("schema") != SCHEMA:
            raise PpnlabError(f"{self.path / CONFIG}: schema must be {SCHEMA}, got {config.get('schema')!r}")
        return config

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the run's settings whole."""
        write_whole(self.path / CONFIG, json.dumps(config, indent=1) + "\n")

    def event(self, kind: str, **details: Any) -> None:  # noqa: ANN401
        """Append one line to events.jsonl: what happened, when, where, and its details."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = {"time": now, "event": kind, "host": platform.node(), "pid": os.getpid(), **details}
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")

    def log(self, text: str) -> None:
        """Append one line with the time to log.txt."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as handle:
            handle.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def write_history(self, rows: Sequence[Mapping[str, float | int | None]]) -> None:
        """Write history.csv whole: one row an epoch, empty where a number does not exist."""
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.history_file, text.getvalue())

    def history(self) -> dict[str, list[float | None]]:
        """Return the columns of history.csv by name; none before the first epoch has ended."""
        if not self.history_file.exists():
            return {}
        with self.history_file.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
            return {n: [float(row[n]) if row[n] else None for row in rows] for n in reader.fieldnames or ()}

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the run for this process alone while the block lasts; the lock ends with the process, however it ends.

        Raises:
            PpnlabError: another process works on the run; it is named.
        """
        with (self.path / "lock").open("a+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                handle.seek(0)
                owner = handle.read().strip() or "an unnamed one"
                raise PpnlabError(f"{self.path}: run must be used by one process at a time, got {owner}") from error
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
            handle.flush()
            try:
                yield
            finally:
                handle.truncate(0)


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
    except FileExistsError as error:
        raise UsageError(
            f"{path}: run must not exist yet; `ppnlab resume {path}` goes on with it, another name starts a new one"
        ) from error
    except OSError as error:
        raise PpnlabError(f"{path}: run must be a directory that can be made, got {error.strerror}") from error
    return Run(path)
