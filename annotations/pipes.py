"""Pipes between a process and its copy, through which whole objects go."""

import io
import os
import pickle
import select
from typing import Any

_SIZE = 8
"""Bytes in front of each object that tell how many it has."""


class Pipe:
    """An end of a pipe, with those methods of multiprocessing's connections that are needed.

    Connections take a hundredth of a second to import, and fresh memory for every object that they receive, which
    costs more time than to copy the object: here what was received last makes room for the next.
    """

    def __init__(self, handle: int, mode: str) -> None:
        self._file = io.FileIO(handle, mode)
        self._buffer = bytearray()

    def send(self, value: object) -> None:
        """Put an object into the pipe, and wait until there is room for it."""
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        for part in (len(data).to_bytes(_SIZE), data):
            left = memoryview(part)
            while left:
                left = left[self._file.write(left) :]

    def recv(self) -> Any:  # noqa: ANN401
        """Return the next object, and wait for it.

        Raises:
            EOFError: the other end was closed, or the process that had it has ended.
        """
        size = int.from_bytes(self._read(_SIZE))
        return pickle.loads(self._read(size))  # noqa: S301 - a copy of this process wrote it, and nobody else can

    def poll(self) -> bool:
        """Return whether there is something to receive: the beginning of an object, or the end of all."""
        ready = select.poll()
        ready.register(self._file, select.POLLIN)
        return bool(ready.poll(0))

    def close(self) -> None:
        """Close this end."""
        self._file.close()

    def fileno(self) -> int:
        """Return the system's number of this end."""
        return self._file.fileno()

    def _read(self, size: int) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        whole = memoryview(self._buffer)[:size]
        left = whole
        while left:
            count = self._file.readinto(left)
            if not count:
                raise EOFError
            left = left[count:]
        return whole


def piped() -> tuple[Pipe, Pipe]:
    """Return a pipe's ends: one to receive from, and one to send to."""
    out, into = os.pipe()
    return Pipe(out, "rb"), Pipe(into, "wb")
