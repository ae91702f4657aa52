"""Which images a step trains on: a pure function of (seed, step), so that a resume needs one integer (plain numpy)."""

import numpy as np
from numpy.typing import NDArray


def steps_per_epoch(images: int, batch: int) -> int:
    """Return the steps in which `images` are all seen once, `batch` at a time at the most."""
    return -(-images // batch)


def batch_rows(seed: int, step: int, images: int, batch: int) -> NDArray[np.int64]:
    """Return the (K,) rows of the batch at `step`, counted from 0; K is `batch` or less.

    An epoch's steps hold every row exactly once, in a new order each epoch, and differ in size by one at the most: a
    last step of one or two images would upset the norms' statistics.
    """
    steps = steps_per_epoch(images, batch)
    epoch, part = divmod(step, steps)
    order = np.random.default_rng((seed, epoch)).permutation(images)
    return np.array_split(order, steps)[part]


def sample_generator(seed: int, epoch: int, row: int) -> np.random.Generator:
    """Return the generator of one image's random changes in one epoch, whatever batch it comes in."""
    # The fourth number keeps these apart from the generators of `batch_rows`.
    return np.random.default_rng((seed, epoch, row, 1))
