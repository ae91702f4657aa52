"""Taking turns: each detection, best score first, takes a truth; all turns of a whole set at once."""

import numpy as np
from numpy.typing import NDArray

from evaluation.order import distinct
from evaluation.pairs import Pairs


def best_free(pairs: Pairs, shared: NDArray[np.bool_]) -> Pairs:
    """Return the pairs that are made when each detection in turn takes the first of its truths that is still free.

    `shared` (truths,) marks those that many detections may take.

    In turn would be a loop over all detections. All truths prefer the same detections (the better score), so the
    result of taking turns is the one stable marriage, and proposing in rounds finds it: whoever is turned down, or put
    out by a better one, asks the next. A handful of rounds, each over those still asking.
    Source: Gale & Shapley, College Admissions and the Stability of Marriage, 1962.
    """
    first = pairs.first
    return _settled(pairs, first, np.append(first[1:], len(pairs)), shared)


def best_or_none(pairs: Pairs, shared: NDArray[np.bool_]) -> Pairs:
    """Return the pairs that are made when each detection in turn may take only the first of its truths."""
    first = pairs.first
    return _settled(pairs, first, first + 1, shared)


def _settled(pairs: Pairs, first: NDArray[np.int64], end: NDArray[np.int64], shared: NDArray[np.bool_]) -> Pairs:
    """Return the pairs that last when each asker, the earlier the better, goes through its rows `first` to `end`."""
    asking, nobody = first.copy(), len(first)
    holder = np.full(len(shared), nobody)
    active = np.arange(nobody)
    all_contest = not shared.any()
    while active.size:
        wanted = pairs.truth[asking[active]]
        if not all_contest:
            contest = ~shared[wanted]
            active, wanted = active[contest], wanted[contest]
        before = holder[wanted]
        np.minimum.at(holder, wanted, active)
        after = holder[wanted]
        put_out = distinct(before[(before < nobody) & (before != after)])
        refused = np.concatenate([active[after != active], put_out])
        asking[refused] += 1
        active = refused[asking[refused] < end[refused]]
    return pairs.take(asking[asking < end])
