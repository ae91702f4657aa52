"""Files and directories that are whole or not there: written aside, flushed to disk, then renamed."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_ASIDE = ".partial"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_tree(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            _flush(Path(folder) / name)
        _flush(Path(folder))


def is_partial(path: Path) -> bool:
    """Return whether `path` is what an interrupted write left behind."""
    return path.name.startswith(".") and path.name.endswith(_ASIDE)


@contextlib.contextmanager
def whole_directory(final: Path) -> Iterator[Path]:
    """Give a directory to write into, which becomes `final` when the block ends, or vanishes when it fails.

    A process killed inside the block leaves a `.NAME.partial` beside `final`, which the next write removes.

    Raises:
        FileExistsError: `final` is there already; it is left untouched.
    """
    if final.exists():
        raise FileExistsError(f"{final}: directory must not exist yet")
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = final.with_name(f".{final.name}{_ASIDE}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        _flush_tree(aside)
        aside.rename(final)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    _flush(final.parent)


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a file in one piece: a reader sees the old content or the new, never a part; parents are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}{_ASIDE}")
    try:
        with aside.open("wb") as handle:
            handle.write(data.encode() if isinstance(data, str) else data)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _flush(path.parent)
