"""Where a name falls in [0, 1): its hash, mixed with a seed. So a name and a seed alone decide on a split."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotations.errors import UsageError
from annotations.tables import SPLITS

Ratios = tuple[float, float, float]
DEFAULT_RATIOS: Ratios = (0.7, 0.15, 0.15)
LARGEST_SEED = 2**63 - 1

# Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", SplitMix64: the gamma, and mix64
# with the constants of Stafford's variant 13.
_GAMMA, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def parse_ratios(text: str) -> Ratios:
    """Return the shares of train, val and test, which sum to 1, from `70/15/15` or (without a test split) `80/20`.

    Raises:
        UsageError: the text is no such ratio.
    """
    must = f"ratios must be like 70/15/15 (train/val/test) or 80/20 (train/val), got {text}"
    try:
        shares = [float(share) for share in text.split("/")]
    except ValueError as error:
        raise UsageError(must) from error
    total = math.fsum(shares)
    if len(shares) not in (2, 3) or not all(0 <= share < math.inf for share in shares) or not 0 < total < math.inf:
        raise UsageError(must)
    train, val, test = [share / total for share in shares] + [0.0] * (3 - len(shares))
    return train, val, test


def name_hashes(names: Sequence[str]) -> NDArray[np.uint64]:
    """Return the (N,) hashes of names: the first 64 bits of their SHA-256."""
    digests = b"".join(hashlib.sha256(name.encode()).digest()[:8] for name in names)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def places(hashes: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """Return the (N,) places in [0, 1) that a seed gives to hashes; 53 bits, as many as a float64 holds.

    One hash a name and arithmetic a seed, and not one hash for both: to compare a thousand seeds then takes a second.

    Raises:
        UsageError: the seed is below 0 or above LARGEST_SEED.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed must be from 0 to {LARGEST_SEED}, got {seed}")
    step = np.uint64(seed * int(_GAMMA) % 2**64)
    mixed = hashes + step  # numpy's unsigned arrays wrap around, as the source has it
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def split_codes(place: NDArray[np.float64], ratios: Ratios) -> NDArray[np.int64]:
    """Return the (N,) positions in SPLITS of places: train has the lowest, then val, then test, by their shares."""
    last = max(code for code in range(len(SPLITS)) if ratios[code] > 0)
    # The shares' sum may have been rounded to a little below 1.
    return np.minimum(np.searchsorted(np.cumsum(ratios), place, side="right"), last)
