"""Pictures kept from one epoch to the next, in memory or in a folder: the same bits as reading them anew.

A picture is known by its path, size and times of change, so that a changed one is never taken from the cache; to hash
its content would mean to read it, which is a part of what the cache saves. What is kept stays until it changes: every
epoch asks for every picture once, and to put the oldest out for the newest would keep just those not asked for next.
"""

import contextlib
import hashlib
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.settings import Settings

_MAGIC: Final = 0x31435050
"""The first four bytes of an entry, `PPC1`: another form of entries gets another number."""
_HEAD: Final = np.dtype([("magic", "<u4"), ("check", "<u4"), ("sides", "<u4", 4)])
_SUFFIX: Final = ".picture"
_GIGA: Final = 10**9


class Kept(NamedTuple):
    """A picture ready for use, (H, W, 3) uint8 RGB, and the (width, height) of the one that it was made from."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


Make = Callable[[], Kept]


class PictureCache(Protocol):
    """What keeps pictures; called from several threads at once."""

    def get(self, path: Path, form: str, make: Make) -> Kept:
        """Return what `make` makes of the picture at `path`; `form` says in words what that is. Its pixels are fixed.

        Raises:
            AnnotationError: the one of `make`.
        """


class NoCache:
    """Keeps nothing."""

    def get(self, path: Path, form: str, make: Make) -> Kept:
        """Return what `make` makes."""
        return make()


class RamCache:
    """Keeps pictures in memory, of `most` bytes at the most."""

    def __init__(self, most: int) -> None:
        """Begin empty."""
        self.most, self.taken = most, 0
        self._kept: dict[tuple[Path, str], tuple[tuple[int, ...], Kept]] = {}
        self._lock = threading.Lock()

    def get(self, path: Path, form: str, make: Make) -> Kept:
        """Return the picture kept, or what `make` makes, which is kept where there is room."""
        state = _state(path)
        found = self._kept.get((path, form))
        if found is not None and found[0] == state:
            return found[1]
        made = make()
        made.pixels.setflags(write=False)
        if state is not None:
            self._keep((path, form), state, made)
        return made

    def _keep(self, key: tuple[Path, str], state: tuple[int, ...], made: Kept) -> None:
        with self._lock:
            old = self._kept.pop(key, None)
            self.taken -= old[1].pixels.nbytes if old is not None else 0
            if self.taken + made.pixels.nbytes <= self.most:
                self._kept[key] = (state, made)
                self.taken += made.pixels.nbytes


class DiskCache:
    """Keeps pictures in a folder, of `most` bytes at the most; several trainings may share it.

    An entry is written aside and renamed, and holds a checksum: half of one, or one with a flipped bit, is made anew.
    Entries are read and not mapped: the system keeps what was read in memory for all processes either way, and an
    error of the disk under a map would end the training without a word. `note` is told once of what goes wrong.
    """

    def __init__(self, folder: Path, most: int, note: Callable[[str], None]) -> None:
        """Begin with what the folder holds."""
        self.folder, self.most, self.note = folder, most, note
        self._lock = threading.Lock()
        self._taken: int | None = None
        self._writing = True
        self._told: set[str] = set()

    def get(self, path: Path, form: str, make: Make) -> Kept:
        """Return the picture kept, or what `make` makes, which is kept where there is room."""
        state = _state(path)
        if state is None:
            return make()
        entry = self._entry(path, form, state)
        found = self._read(entry)
        if found is None:
            found = make()
            self._write(entry, found)
        found.pixels.setflags(write=False)
        return found

    def _entry(self, path: Path, form: str, state: tuple[int, ...]) -> Path:
        # Another OpenCV may decode to other bits.
        name = hashlib.sha256(repr((str(path.absolute()), form, state, cv2.__version__)).encode()).hexdigest()[:40]
        # In folders by its first letters: some file systems are slow with a hundred thousand names in one.
        return self.folder / name[:2] / f"{name[2:]}{_SUFFIX}"

    def _read(self, entry: Path) -> Kept | None:
        try:
            data = np.fromfile(entry, np.uint8)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell(f"{entry}: cached picture must be readable, got {error.strerror or error}; it is read anew")
            return None
        found = _from_bytes(data)
        if found is None:
            self._tell(f"{entry}: cached picture must have its checksum, got a damaged one; it is made anew")
        return found

    def _write(self, entry: Path, made: Kept) -> None:
        if not self._writing:
            return
        size = _HEAD.itemsize + made.pixels.nbytes
        with self._lock:
            self._taken = _bytes_in(self.folder) if self._taken is None else self._taken
            if self._taken + size > self.most:
                self._tell(
                    f"{self.folder}: cache_gb={self.most / _GIGA:g} is full; the other pictures are decoded in each "
                    "epoch. Where it holds old ones, remove the folder"
                )
                return
            self._taken += size
        aside = entry.with_name(f".{entry.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(_to_bytes(made))
            aside.replace(entry)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            self._writing = False  # not tried again for every picture
            self._tell(f"{self.folder}: cache must be writable, got {error.strerror or error}; going on without")

    def _tell(self, text: str) -> None:
        kind = text.partition(" must ")[2] or text
        if kind not in self._told:
            self._told.add(kind)
            self.note(text)


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _to_bytes(made: Kept) -> bytes:
    pixels = np.ascontiguousarray(made.pixels)
    head = np.array((_MAGIC, _check(made.size, pixels), (*made.size, *pixels.shape[:2])), _HEAD)
    return head.tobytes() + pixels.tobytes()


def _from_bytes(data: NDArray[np.uint8]) -> Kept | None:
    if len(data) < _HEAD.itemsize:
        return None
    head = data[: _HEAD.itemsize].view(_HEAD)[0]
    width, height, rows, columns = (int(side) for side in head["sides"])
    pixels = data[_HEAD.itemsize :]
    if head["magic"] != _MAGIC or pixels.size != rows * columns * 3:
        return None
    pixels = pixels.reshape(rows, columns, 3)
    return Kept(pixels, (width, height)) if _check((width, height), pixels) == head["check"] else None


def _check(size: tuple[int, int], pixels: NDArray[np.uint8]) -> int:
    return zlib.crc32(pixels.data, zlib.crc32(repr((size, pixels.shape)).encode()))


def _bytes_in(folder: Path) -> int:
    taken = 0
    for place, _, names in os.walk(folder):
        for name in names:
            # Another training may be renaming it at this moment.
            with contextlib.suppress(OSError):
                taken += os.lstat(f"{place}/{name}").st_size
    return taken


def picture_cache(settings: Settings, dataset: Path, note: Callable[[str], None]) -> PictureCache:
    """Return the cache that the settings ask for, on disk in the folder of `dataset` where they name none."""
    most = round(settings.cache_gb * _GIGA)
    if settings.cache == "none" or not most:
        return NoCache()
    if settings.cache == "ram":
        return RamCache(most)
    return DiskCache(Path(settings.cache_folder) if settings.cache_folder else dataset / ".cache", most, note)
