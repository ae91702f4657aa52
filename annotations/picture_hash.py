"""Fingerprints of pictures by which copies are found though they were shrunk, saved anew, brightened, cut or turned.

A fingerprint is the signs of 255 coefficients of the picture's cosine transform: pictures whose signs mostly agree are
candidates, in any of the eight ways to turn and mirror one. A candidate is a near copy where the two small pictures
then match, one laid over the other with a little shift and zoom.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

SIDE: Final = 64
"""Pixels on a side of the square that a picture is shrunk to before its transform."""
SMALL: Final = 32
_KEPT: Final = 16
"""Lowest frequencies kept in each direction: with 8 the most alike of unrelated photographs came as near as copies."""
FARTHEST: Final = 80
"""Signs of 255 in which a candidate may differ. Source: own measurement on 780 photographs, blood smears and nuclei
(107,403 pairs of one set): copies saved anew, shrunk, darkened, with noise or a line of text, or with 2.5 % cut off at
each edge differ in at most 79; of copies with 5 % cut off at two edges, half do. Of all others, 14 pairs are nearer."""
LEAST_MATCH: Final = 0.9
"""Correlation of near copies. Source: the same; the copies have 0.92 or more, and 1 of those 14 pairs 0.93."""
LEAST_MATCH_TURNED: Final = 0.97
"""The same for pictures of which one is turned or mirrored: such copies are made by programs, and match exactly, while
symmetric things, such as QR codes, look alike from all sides (0.92 was seen). Our choice between the two."""
_FLAT: Final = 2
"""Grey values between the darkest and the lightest of a picture that shows nothing."""
_CORE = 26
"""Pixels of the SMALL ones that must be found in the other picture: 6 are left for shift."""
_ZOOMED = (SMALL, 34)
"""Sizes of the picture whose core is looked for: as it is, and enlarged by a cut of 3 % on each side."""
_BLOCK = 64
_OF_CLASS = np.uint8(_KEPT * _KEPT // 4)
"""Signs of one class."""
_PARTNERS = 2
"""Candidates of an image that are matched, in its own split and in the others: of a film, all frames are some."""


class Fingerprint(NamedTuple):
    """A picture's (16, 16) signs, its (32, 32) small grey version, and whether it shows nothing at all."""

    signs: NDArray[np.bool_]
    small: Grey
    is_flat: bool


class NearPair(NamedTuple):
    """Two rows (the first smaller) of pictures that nearly match, their correlation, and whether one is turned."""

    first: int
    second: int
    match: float
    turned: bool


def fingerprint(grey: Grey) -> Fingerprint:
    """Return the fingerprint of a (H, W) grey picture of any size; 64 pixels on a side are enough."""
    square = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    signs = cv2.dct(square.astype(np.float32))[:_KEPT, :_KEPT] > 0
    signs[0, 0] = False  # the mean brightness
    # Blurred: the finest detail moves most when a picture is cut and saved anew.
    small = cv2.resize(cv2.GaussianBlur(square, (0, 0), 1.0), (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    return Fingerprint(signs, np.asarray(small, np.uint8), int(np.ptp(square)) <= _FLAT)


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprints:
    """The fingerprints of N pictures: (N, 16, 16) signs and (N, 32, 32) small versions."""

    signs: NDArray[np.bool_]
    small: Grey


def near_pairs(prints: Fingerprints, same: NDArray[np.int64], split: NDArray[np.int64]) -> list[NearPair]:
    """Return the pairs of pictures that nearly match, in order.

    (N,) numbers say which pictures are the same (those pairs are left out) and which split each is in. Of each picture
    at most two pairs in its split and two in the others are given: those whose fingerprints agree best.
    """
    best: dict[tuple[int, int], NearPair] = {}
    classes = _classes(prints.signs)
    for start in range(0, len(same), _BLOCK):
        distance = _distances(classes, start)
        rows = np.arange(start, start + len(distance))
        distance[same[rows, None] == same] = FARTHEST + 1
        for near in (split[rows, None] == split, split[rows, None] != split):
            for row, other in _nearest(np.where(near, distance, np.uint8(FARTHEST + 1))):
                first, second = sorted((int(rows[row]), other))
                if (first, second) not in best:
                    best[first, second] = _matched(prints.small, classes, first, second)
    return sorted(pair for pair in best.values() if pair.match >= (LEAST_MATCH_TURNED if pair.turned else LEAST_MATCH))


def _classes(signs: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return the (2, N, 4) packed signs of the pictures as they are and transposed, by class of their frequencies.

    A class, 64 signs in one number, has even or odd frequencies down and across: mirroring a picture changes the signs
    of all its odd frequencies across, and so leaves a class as it is or changes all of it.
    """
    packed = []
    for way in (signs, signs.transpose(0, 2, 1)):
        classes = [way[:, down::2, across::2].reshape(len(signs), -1) for down in (0, 1) for across in (0, 1)]
        packed.append(np.stack([np.packbits(each, axis=1).view(np.uint64)[:, 0] for each in classes], axis=1))
    return np.stack(packed)


def turn(picture: Grey, way: int) -> Grey:
    """Return a picture turned in one of eight ways, 0 to 7: bit 4 transposes, then bit 1 mirrors and bit 2 flips."""
    turned = picture.T if way & 4 else picture
    turned = turned[:, ::-1] if way & 1 else turned
    return np.ascontiguousarray(turned[::-1] if way & 2 else turned)


def _by_way(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> Iterator[NDArray[np.uint8]]:
    """Yield how many signs differ, for each way 0 to 7 to `turn` the other; both are (..., 4) classes of signs.

    `other` has an axis before: as it is, and transposed.
    """
    for seen in other:
        differing = [np.bitwise_count(one[..., number] ^ seen[..., number]) for number in range(4)]
        plain, across, down, both = differing
        yield plain + across + down + both
        # 255 signs: their number fits, for the mean brightness is in the class that stays.
        yield plain + (_OF_CLASS - across) + down + (_OF_CLASS - both)
        yield plain + across + (_OF_CLASS - down) + (_OF_CLASS - both)
        yield plain + (_OF_CLASS - across) + (_OF_CLASS - down) + both


def _distances(classes: NDArray[np.uint64], start: int) -> NDArray[np.uint8]:
    """Return for a block of rows the (B, N) least number of signs that differ, however the others are turned."""
    return functools.reduce(np.minimum, _by_way(classes[0, start : start + _BLOCK, None], classes[:, None]))


def _nearest(distance: NDArray[np.uint8]) -> list[tuple[int, int]]:
    found = []
    for row in np.flatnonzero(distance.min(axis=1) <= FARTHEST):
        order = np.argsort(distance[row], kind="stable")[:_PARTNERS]
        found += [(int(row), int(other)) for other in order if distance[row, other] <= FARTHEST]
    return found


def _matched(small: Grey, classes: NDArray[np.uint64], first: int, second: int) -> NearPair:
    way = int(np.argmin(list(_by_way(classes[0, first], classes[:, second]))))
    return NearPair(first, second, match(small[first], turn(small[second], way)), way != 0)


def match(a: Grey, b: Grey) -> float:
    """Return the highest correlation of two (32, 32) grey pictures, the core of one laid over the other; 0 for flat."""
    best = 0.0
    for whole, other in ((a, b), (b, a)):
        for side in _ZOOMED:
            zoomed = whole if side == SMALL else cv2.resize(whole, (side, side), interpolation=cv2.INTER_LINEAR)
            edge = (side - _CORE) // 2
            core = zoomed[edge : edge + _CORE, edge : edge + _CORE]
            if np.ptp(core) > _FLAT:
                best = max(best, float(cv2.matchTemplate(other, core, cv2.TM_CCOEFF_NORMED).max()))
    return min(best, 1.0)
