"""The pictures of a dataset looked at: there or not, whole or damaged, of which size, and which of them are copies."""

import contextlib
import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from annotations.errors import AnnotationError
from annotations.frames import is_resized
from annotations.picture_hash import Fingerprint, Fingerprints, NearPair, fingerprint, near_pairs
from annotations.pictures import displayed_and_stored_size
from annotations.sightings import Sighting, View, sighting_of_image
from annotations.tables import BoxDataset

Depth = Literal["pixels", "headers"]
"""How far pictures are looked at: unpacked, by which damage and copies are found, or by their headers alone."""

Embedded = Mapping[int, Callable[[], bytes]]
"""For an image row without a picture file, what gives the bytes of the picture inside its annotation file."""

_LEAST_SIDE = 64
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)
_PNG, _PNG_END = b"\x89PNG", b"IEND"


class Look(NamedTuple):
    """What was seen of a picture: `fault` is "" or why it cannot be used; sizes are (width, height), None: unknown."""

    missing: bool
    fault: str
    displayed: tuple[int, int] | None = None
    stored: tuple[int, int] | None = None
    digest: bytes = b""
    print: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class PictureCounts:
    """How many images have a picture that was looked at, and how many of these were unpacked."""

    looked_at: int
    unpacked: int
    missing: int
    damaged: int


def look_at_pictures(
    dataset: BoxDataset,
    embedded: Embedded | None = None,
    depth: Depth = "pixels",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Look]:
    """Return what was seen of each image's picture, in the order of the images; a file is looked at once."""
    given = embedded or {}
    first_row = {path: row for row, path in reversed(list(enumerate(dataset.images.path.tolist())))}
    rows = [row if row in given else first_row[path] for row, path in enumerate(dataset.images.path.tolist())]
    wanted = sorted(set(rows))

    def look(row: int) -> Look:
        return _look(given[row] if row in given else dataset.picture(row), depth)

    seen: dict[int, Look] = {}
    with _silence(), ThreadPoolExecutor(max(1, workers)) as pool:
        # An error or Ctrl-C here drops the iterator of `map`, which cancels the pictures that are left.
        for done, (row, found) in enumerate(zip(wanted, pool.map(look, wanted), strict=True), start=1):
            seen[row] = found
            if progress is not None:
                progress(done, len(wanted))
    return [seen[row] for row in rows]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep Pillow and OpenCV from telling of damaged pictures in their own ways, for we tell in ours."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        # Reading a header ignores warnings for a while as well, which several threads cannot each set back rightly.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def picture_counts(looks: list[Look]) -> PictureCounts:
    """Return the counts of what was seen."""
    missing = sum(look.missing for look in looks)
    damaged = sum(bool(look.fault) and not look.missing for look in looks)
    return PictureCounts(len(looks) - missing, sum(look.print is not None for look in looks), missing, damaged)


def check_pictures(dataset: BoxDataset, looks: list[Look]) -> Iterator[Sighting]:
    """Give the sightings about pictures: missing, damaged, of another size, turned, blank, and copies of others."""
    for row, look in enumerate(looks):
        path = str(dataset.images.path[row])
        if look.missing:
            yield sighting_of_image(dataset, "missing-image", row, f"image must be at {path}, got {look.fault}")
        elif look.fault:
            message = f"image {path} must be readable, got {look.fault}"
            yield sighting_of_image(dataset, "damaged-image", row, message)
        else:
            yield from _sizes(dataset, row, look)
            if look.print is not None and look.print.is_flat:
                yield sighting_of_image(
                    dataset, "blank-image", row, f"image {path} shows one even tone and nothing else"
                )
    yield from _copies(dataset, looks)


def _look(picture: Path | Callable[[], bytes], depth: Depth) -> Look:
    if isinstance(picture, Path) and not picture.is_file():
        return Look(True, "no such file")
    try:
        whole = None if isinstance(picture, Path) else picture()
        displayed, stored = displayed_and_stored_size(picture if isinstance(picture, Path) else whole or b"")
        if depth == "headers":
            return Look(False, "", displayed, stored)
        data = picture.read_bytes() if isinstance(picture, Path) else whole or b""
    except (AnnotationError, OSError) as error:
        return Look(False, _without_path(error, picture))
    grey = _unpacked(data, stored)
    if grey is None:
        return Look(False, "pixels that cannot be unpacked: the file is cut off or damaged", displayed, stored)
    return Look(False, "", displayed, stored, hashlib.sha256(data).digest(), fingerprint(grey))


def _without_path(error: Exception, picture: object) -> str:
    return str(error).removeprefix(f"{picture}: ").removeprefix("picture must be readable, got ")


def _unpacked(data: bytes, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None:
    """Return a small grey version of a picture, or None where it is damaged; JPEG is not even unpacked in full."""
    if data.startswith(_PNG) and _PNG_END not in data[-4096:]:
        return None  # asked first, for libpng would tell of it on stderr
    flag = next((flag for factor, flag in _REDUCED if min(size) // factor >= _LEAST_SIDE), cv2.IMREAD_GRAYSCALE)
    try:
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None
    return None if grey is None else np.asarray(grey, np.uint8)


def _sizes(dataset: BoxDataset, row: int, look: Look) -> Iterator[Sighting]:
    if look.displayed is None or look.stored is None:
        return
    path, frame = str(dataset.images.path[row]), (int(dataset.images.width[row]), int(dataset.images.height[row]))
    wrong = f"image {path} must be {frame[0]} x {frame[1]} as annotated, got {look.displayed[0]} x {look.displayed[1]}"
    if look.displayed != look.stored:
        turned = f"{look.stored[0]} x {look.stored[1]} pixels"
        message = f"image {path} is stored as {turned} and turned for display; other programs may not turn it"
        yield sighting_of_image(dataset, "exif-rotated", row, message)
    if frame == look.displayed:
        return
    if is_resized(frame, look.displayed):
        message = f"{wrong}, the same picture resized; the boxes keep their place"
        yield sighting_of_image(dataset, "stale-size", row, message)
    elif frame == look.stored:
        message = f"{wrong} after its EXIF rotation; the boxes are taken as drawn without it"
        yield sighting_of_image(dataset, "unrotated-size", row, message)
    else:
        message = f"{wrong}: cropped or replaced since, so the boxes' place is unknown"
        yield sighting_of_image(dataset, "size-mismatch", row, message)


def _copies(dataset: BoxDataset, looks: list[Look]) -> Iterator[Sighting]:
    same: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, look in enumerate(looks):
        # One file named twice is one picture also where it was not unpacked.
        same[look.digest or str(dataset.images.path[row]).encode()].append(row)
    for rows in same.values():
        if len(rows) > 1:
            yield from _same(dataset, rows)
    for pair in _near(dataset, looks, list(same.values())):
        where, code = _two_splits(dataset, pair.first, pair.second, "near-image")
        how = "nearly the same picture" + (", turned or mirrored," if pair.turned else "")
        words = f"correlation {pair.match:.2f}"
        yield _pair(dataset, code, pair.first, pair.second, f"{how} as {where} ({words})", words)


def _same(dataset: BoxDataset, rows: list[int]) -> Iterator[Sighting]:
    """Give a sighting for each image with the picture of one before it, of one in another split where there is one."""
    first_of: dict[str, int] = {}
    for row in rows:
        split = str(dataset.images.split[row])
        torn = [other for name, other in first_of.items() if name and split and name != split]
        other = min(torn or first_of.values(), default=row)
        first_of.setdefault(split, row)
        if other == row:
            continue
        where, code = _two_splits(dataset, other, row, "same-image")
        yield _pair(dataset, code, other, row, f"the same picture as {where}", "the same")


def _near(dataset: BoxDataset, looks: list[Look], same: list[list[int]]) -> list[NearPair]:
    known = [(row, look.print) for row, look in enumerate(looks) if look.print]
    if not known:
        return []
    number = np.zeros(len(looks), np.int64)
    for value, members in enumerate(same):
        number[members] = value
    rows = np.array([row for row, _ in known])
    prints = Fingerprints(np.stack([seen.signs for _, seen in known]), np.stack([seen.small for _, seen in known]))
    splits = np.unique(dataset.images.split[rows], return_inverse=True)[1]
    pairs = near_pairs(prints, number[rows], splits)
    return [pair._replace(first=int(rows[pair.first]), second=int(rows[pair.second])) for pair in pairs]


def _two_splits(dataset: BoxDataset, first: int, second: int, code: str) -> tuple[str, str]:
    """Return how a message names the first image, and the code: another one where the two splits differ."""
    one, other = str(dataset.images.split[first]), str(dataset.images.split[second])
    torn = bool(one and other and one != other)
    name = f"{dataset.images.image_id[first]} ({one})" if one else str(dataset.images.image_id[first])
    return (f"{name}, which is in another split" if torn else name), (f"{code}-in-splits" if torn else code)


def _pair(dataset: BoxDataset, code: str, first: int, second: int, what: str, words: str) -> Sighting:
    split = dataset.images.split
    own = f"{dataset.images.path[second]}{f' ({split[second]})' if split[second] else ''}"
    sighting = sighting_of_image(dataset, code, second, f"{own} is {what}")
    return sighting._replace(views=(View(first), View(second, (), words)), side_by_side=True)
