"""Which images a step trains on: a pure function of (seed, step), so that a resume needs one integer (plain numpy)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Draws(NamedTuple):
    """Images of a batch or an epoch: (K,) rows, and (K,) how often the epoch had drawn each of them before."""

    row: Rows
    again: Rows


def steps_per_epoch(images: int, batch: int) -> int:
    """Return the steps in which `images` are all seen once, `batch` at a time at the most."""
    return -(-images // batch)


def batch_rows(seed: int, step: int, images: int, batch: int) -> Rows:
    """Return the (K,) rows of the batch at `step`, counted from 0; K is `batch` or less.

    An epoch's steps hold every row exactly once, in a new order each epoch, and differ in size by one at the most: a
    last step of one or two images would upset the norms' statistics.
    """
    return batch_draws(seed, step, images, batch).row


def batch_draws(seed: int, step: int, images: int, batch: int, weight: NDArray[np.float64] | None = None) -> Draws:
    """Return the draws of the batch at `step`, as `batch_rows` does; (images,) weights say how often each is drawn.

    An epoch has as many draws as there are images, with weights or without.
    """
    steps = steps_per_epoch(images, batch)
    epoch, part = divmod(step, steps)
    order = epoch_draws(seed, epoch, images, weight)
    return Draws(*(np.array_split(column, steps)[part] for column in order))


def epoch_draws(seed: int, epoch: int, images: int, weight: NDArray[np.float64] | None = None) -> Draws:
    """Return the `images` draws of an epoch in their order: every row once, or as often as its weight has it.

    A row whose share of the weights is w comes `images` w times on average over the epochs, and in each epoch that
    number of times rounded down or up.
    Source: systematic sampling, Madow & Madow 1944, "On the theory of systematic sampling, I".
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(images)
    if weight is None or (weight == weight[0]).all():
        return Draws(order, np.zeros(images, np.int64))
    ends = np.cumsum(weight[order] / weight.sum()) * images
    ends[-1] = images
    # One point a draw, evenly spaced from a random start: each falls into the stretch of one row.
    ticks = np.floor(ends + generator.random()).astype(np.int64)
    rows = generator.permutation(np.repeat(order, np.diff(ticks, prepend=0)))
    return Draws(rows, _before(rows))


def _before(rows: Rows) -> Rows:
    """Return (K,) how often each of these (K,) rows stands before its own place."""
    by_row = np.argsort(rows, kind="stable")
    grouped = rows[by_row]
    result = np.empty_like(rows)
    result[by_row] = np.arange(len(rows)) - np.searchsorted(grouped, grouped)
    return result


def sample_generator(seed: int, epoch: int, row: int, again: int = 0) -> np.random.Generator:
    """Return the generator of one image's random changes in one epoch, whatever batch it comes in.

    `again` is how often the epoch had the image before: the changes are others each time.
    """
    # The fourth number keeps these apart from the generators of `epoch_draws`.
    return np.random.default_rng((seed, epoch, row, 1 + again))
