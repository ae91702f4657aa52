"""Label images that tests draw themselves."""

import numpy as np
from numpy.typing import NDArray


def random_labels(rng: np.random.Generator, shape: tuple[int, ...], objects: int) -> NDArray[np.int64]:
    """Blocks of up to a third of each side, painted over one another, under numbers with gaps."""
    labels = np.zeros(shape, np.int64)
    numbers = rng.permutation(3 * objects)[:objects] + 1
    for number in numbers.tolist():
        low = [int(rng.integers(0, length)) for length in shape]
        high = [start + 1 + int(rng.integers(0, max(1, length // 3))) for start, length in zip(low, shape, strict=True)]
        labels[tuple(slice(start, end) for start, end in zip(low, high, strict=True))] = number
    return labels


def disturbed(rng: np.random.Generator, labels: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """The same objects under other numbers, moved, a few of them gone, and with two new ones."""
    moved = np.roll(labels, tuple(int(by) for by in rng.integers(-shift, shift + 1, labels.ndim)), range(labels.ndim))
    known = np.unique(moved)
    others = np.append(0, rng.permutation(np.arange(1, len(known) + 5)))[: len(known)]
    others[1:][rng.random(len(known) - 1) < 0.15] = 0
    renamed = others[np.searchsorted(known, moved)] if known[0] == 0 else others[1:][np.searchsorted(known, moved)]
    extra = random_labels(rng, labels.shape, 2)
    return np.where((extra > 0) & (renamed == 0), extra + int(others.max()), renamed)
