"""A checkpoint: the whole saved state at a step, in a directory that is whole or not there (plain numpy)."""

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from annotations.errors import PpnlabError
from annotations.whole import flush_directory, is_partial, whole_directory

ARRAYS: Final = "arrays.npz"
STATE: Final = "state.json"
MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile(r"step-(\d{8,})")
_DOOMED: Final = ".doomed"
_RENEWED: Final = ".renewed"


@dataclass(frozen=True)
class Progress:
    """What a training has come to, beside its arrays.

    `step` counts updates; `sums` holds the losses summed over the `images` that the running epoch has seen
    within `seconds`, in `data_seconds` of which a step waited for its batch; `history` has a row for every finished
    epoch; `best_step` is the step whose validation score, `best_score`, is the highest; `watched` is what the schedule
    remembers (`schedules.Watched`), and `skipped` how many updates in a row were not made, for their loss was not
    finite; `stretch` is the data that it learns from, and where that began (`stretch.Stretch`).
    """

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    data_seconds: float = 0.0
    sums: Mapping[str, float] | None = None
    history: tuple[Mapping[str, float | int | None], ...] = ()
    best_step: int | None = None
    best_score: float | None = None
    watched: Mapping[str, Any] | None = None
    skipped: int = 0
    stretch: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the progress as JSON holds it; floats come back bit for bit."""
        return {**self.__dict__, "history": list(self.history)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the progress that `to_json` gave."""
        return cls(**{**values, "history": tuple(values["history"])})


def checkpoint_path(directory: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies in the run's checkpoint directory."""
    return directory / f"step-{step:08d}"


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def save_checkpoint(directory: Path, arrays: Mapping[str, NDArray[Any]], progress: Progress) -> Path:
    """Write the checkpoint of `progress.step` and return its path; one with the same progress is kept as it is.

    One with another progress is replaced: a step may be saved before its validation, and after it.

    Raises:
        PpnlabError: the disk is full or the directory cannot be written; no part of the checkpoint is left.
    """
    final = checkpoint_path(directory, progress.step)
    if final.exists() and told_progress(final) == progress:
        return final
    # Written beside it first: there is no moment at which this step has neither.
    place = final.with_name(final.name + _RENEWED) if final.exists() else final
    try:
        with whole_directory(place) as aside:
            # The names of variables hold "/": numbered arrays, and the names beside them.
            numbered = {f"a{number:05d}": array for number, array in enumerate(arrays.values())}
            with (aside / ARRAYS).open("wb") as handle:
                np.savez(handle, **numbered)  # type: ignore[arg-type]
            state = {"schema": 1, "names": list(arrays), "progress": progress.to_json()}
            (aside / STATE).write_text(json.dumps(state, indent=1, allow_nan=False))
            hashes = {name: _digest(aside / name) for name in (ARRAYS, STATE)}
            (aside / MANIFEST).write_text(json.dumps({"schema": 1, "sha256": hashes}, indent=1))
        if place != final:
            _replace(final, place)
    except OSError as error:
        raise PpnlabError(f"{final}: checkpoint must be writable, got {error.strerror or error}") from error
    return final


def _replace(final: Path, renewed: Path) -> None:
    doomed = _doomed(final)
    final.rename(doomed)
    renewed.rename(final)
    # Before the old one goes: a power cut must find one of them.
    flush_directory(final.parent)
    shutil.rmtree(doomed)


def told_progress(checkpoint: Path) -> Progress | None:
    """Return what a checkpoint says of its progress, without a look at its hashes; None where it cannot be read."""
    try:
        return Progress.from_json(json.loads((checkpoint / STATE).read_text())["progress"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], Progress]:
    """Return the arrays by name and the progress of a checkpoint, after its hashes were checked.

    Raises:
        PpnlabError: the checkpoint is missing, incomplete or damaged.
    """
    try:
        expected = json.loads((path / MANIFEST).read_text())["sha256"]
        for name in (ARRAYS, STATE):
            if _digest(path / name) != expected[name]:
                raise PpnlabError(f"{path / name}: file must have the hash in {MANIFEST}, got another: it is damaged")
        state = json.loads((path / STATE).read_text())
        with np.load(path / ARRAYS, allow_pickle=False) as archive:
            arrays = {name: archive[f"a{number:05d}"] for number, name in enumerate(state["names"])}
        return arrays, Progress.from_json(state["progress"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise PpnlabError(f"{path}: checkpoint must be whole, got {error!r}") from error


def steps_saved(directory: Path) -> list[int]:
    """Return the steps of all checkpoints in a directory, ascending, whole or damaged."""
    names = (_NAME.fullmatch(path.name) for path in directory.glob("step-*"))
    return sorted(int(name[1]) for name in names if name)


@dataclass(frozen=True)
class Loaded:
    """The newest checkpoint that could be read, and, by its path, what was wrong with each newer one."""

    path: Path
    arrays: dict[str, NDArray[Any]]
    progress: Progress
    damaged: Mapping[Path, str]


def newest_checkpoint(directory: Path) -> Loaded:
    """Return the newest checkpoint that verifies; damaged newer ones are named in it and left as they are.

    Raises:
        PpnlabError: none verifies.
    """
    damaged: dict[Path, str] = {}
    for step in reversed(steps_saved(directory)):
        path = checkpoint_path(directory, step)
        try:
            arrays, progress = load_checkpoint(path)
        except PpnlabError as error:
            damaged[path] = str(error)
        else:
            return Loaded(path, arrays, progress, damaged)
    reasons = f" ({'; '.join(damaged.values())})" if damaged else ""
    raise PpnlabError(f"{directory}: checkpoints must hold one that is whole, got none{reasons}")


def surplus(directory: Path, keep: int, spared: Container[int]) -> Iterator[Path]:
    """Yield the checkpoints that are neither among the `keep` newest nor of the steps `spared`."""
    for step in steps_saved(directory)[:-keep]:
        if step not in spared:
            yield checkpoint_path(directory, step)


def set_aside(checkpoint: Path) -> Path:
    """Rename a damaged checkpoint, so that its step can be saved again, and return its new path; nothing is lost."""
    free, number = checkpoint.with_name(f"damaged-{checkpoint.name}"), 1
    while free.exists():
        number += 1
        free = checkpoint.with_name(f"damaged-{checkpoint.name}-{number}")
    return checkpoint.rename(free)


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint; a kill in between leaves it whole, or hidden for `remove_leftovers`."""
    doomed = _doomed(checkpoint)
    checkpoint.rename(doomed)
    shutil.rmtree(doomed)


def _doomed(checkpoint: Path) -> Path:
    return checkpoint.with_name(f".{checkpoint.name}{_DOOMED}")


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed process left of checkpoints that it was writing or removing; end what it was replacing."""
    for path in directory.glob(".step-*"):
        if is_partial(path) or path.name.endswith(_DOOMED):
            shutil.rmtree(path)
    for renewed in directory.glob(f"step-*{_RENEWED}"):
        final = renewed.with_name(renewed.name.removesuffix(_RENEWED))
        if final.exists():
            shutil.rmtree(renewed)
        else:
            renewed.rename(final)
