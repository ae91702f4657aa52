"""Files of a bounded size, read whole: no device, pipe or folder, whatever a link leads to."""

import os
import stat
from pathlib import Path

from annotations.notes import FileRefused


def read_plain(path: Path, largest: int) -> bytes:
    """Return the bytes of an ordinary file of at most `largest` bytes.

    Raises:
        FileRefused: it is another, cannot be read, or is larger.
    """
    try:
        # Not to wait for a pipe without a writer; what is no ordinary file is refused before it is read.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise FileRefused("unreadable-file", f"file must be readable, got {error.strerror or error}") from error
    with os.fdopen(handle, "rb", buffering=0) as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileRefused("unreadable-file", "file must be an ordinary file, got a device, pipe or folder")
        if status.st_size > largest:
            raise FileRefused("file-too-large", f"file must be at most {largest:,} bytes, got {status.st_size:,}")
        try:
            return stream.readall()
        except OSError as error:
            raise FileRefused("unreadable-file", f"file must be readable, got {error.strerror or error}") from error


def read_utf8(path: Path, largest: int) -> str:
    """Return the text of an ordinary UTF-8 file (with or without a byte-order mark) of at most `largest` bytes.

    Raises:
        FileRefused: it is another, cannot be read, is larger, or is not UTF-8.
    """
    data = read_plain(path, largest)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got = f"byte 0x{data[error.start]:02x} at {error.start}"
        raise FileRefused("bad-encoding", f"file must be UTF-8 text, got {got}") from error
