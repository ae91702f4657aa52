"""Files and directories that are whole or not there: written aside, flushed to disk, then renamed."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_ASIDE = ".partial"
_NO_SYNC_OF_DIRECTORIES = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_directory(directory: Path) -> None:
    """Flush the names in a directory to the disk, where it can: a file made or renamed before is there from then on."""
    try:
        _flush(directory)
    except OSError as error:
        # Some network mounts cannot sync a directory. Its files are synced all the same; only its list of names is
        # then as safe as that mount makes it, and to refuse would be to write nothing there at all.
        if error.errno not in _NO_SYNC_OF_DIRECTORIES:
            raise


def _flush_tree(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            _flush(Path(folder) / name)
        flush_directory(Path(folder))


def is_partial(path: Path) -> bool:
    """Return whether `path` is what an interrupted write left behind."""
    return path.name.startswith(".") and path.name.endswith(_ASIDE)


def is_free(path: Path) -> bool:
    """Return whether a directory can become `path`: nothing is there, or an empty directory that can be replaced."""
    # What cannot be looked into is not known to be empty; what cannot even be looked for will say so when it is made.
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            # A mount point cannot be replaced; a shell that stands in a replaced directory would stand nowhere.
            return not any(path.iterdir()) and not path.is_mount() and not path.samefile(Path.cwd())
    return not os.path.lexists(path)


@contextlib.contextmanager
def whole_directory(final: Path) -> Iterator[Path]:
    """Give a directory to write into, which becomes `final` when the block ends, or vanishes when it fails.

    A process killed inside the block leaves a `.NAME.partial` beside `final`, which the next write removes.

    Raises:
        FileExistsError: `final` is there already, and is no empty directory; it is left untouched.
    """
    if not is_free(final):
        raise FileExistsError(f"{final}: directory must be empty or not exist yet")
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = final.with_name(f".{final.name}{_ASIDE}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        if final.is_dir():
            shutil.copymode(final, aside)  # a private folder stays one
        _flush_tree(aside)
        aside.rename(final)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    flush_directory(final.parent)


def write_whole(path: Path, data: bytes | str, *, durable: bool = True) -> None:
    """Write a file in one piece: a reader sees the old content or the new, never a part; parents are made.

    Without `durable` it is not waited for the disk: for what nobody needs after a power cut.

    A device or a pipe, such as /dev/stdout, is written to as it stands: a file must not take its place.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}{_ASIDE}")
    try:
        with aside.open("wb") as handle:
            handle.write(data.encode() if isinstance(data, str) else data)
            if durable:
                handle.flush()
                os.fsync(handle.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    if durable:
        flush_directory(path.parent)
