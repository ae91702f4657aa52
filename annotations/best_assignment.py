"""The assignment of greatest total weight: who goes with whom, so that no one goes twice.

Most pairs are certain at a glance, and numpy takes those; the few that compete go to the exact solver, which looks only
at pairs that exist. For label images almost nothing is left to it, while a dense solver would look at every pair.
"""

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_PASSES = 20
"""Rounds of taking what is certain; what a long chain leaves after them, the solver takes."""

_NOBODY = -1


def best_assignment(
    row: NDArray[np.int64], column: NDArray[np.int64], weight: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the places, ascending, of the pairs that together weigh most, no row and no column twice.

    Pair k joins `row[k]` with `column[k]`, numbers from 0, and has `weight[k]` > 0; each pair stands once. Rows and
    columns may stay alone. Of several best assignments one is given, always the same one.

    Raises:
        ValueError: a weight is not above 0.
    """
    if not (weight > 0).all():
        raise ValueError(f"weight must be above 0, got {weight[~(weight > 0)][0]}")
    left, taken = np.arange(len(row)), [np.zeros(0, np.int64)]
    for _ in range(_PASSES):
        sure = left[_certain(row[left], column[left], weight[left])]
        if not len(sure):
            break
        taken.append(sure)
        left = left[~(_among(row[left], row[sure]) | _among(column[left], column[sure]))]
    taken.append(left[_solved(row[left], column[left], weight[left])])
    return np.sort(np.concatenate(taken))


def _certain(row: NDArray[np.int64], column: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the (K,) mask of pairs that some best assignment holds.

    A pair displaces at most one other pair of its row and one of its column. Where it weighs no less than the best two
    of those together, taking it costs nothing.
    """
    best_of_row, rival_in_row = _best_and_rival(row, weight)
    best_of_column, rival_in_column = _best_and_rival(column, weight)
    # Best of both: so no two of them share a row or a column.
    return best_of_row & best_of_column & (weight >= rival_in_row + rival_in_column)


def _best_and_rival(
    key: NDArray[np.int64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return for (K,) pairs whether each is the heaviest of its key (the first of equals), and for these alone the
    weight of the second heaviest, or 0."""
    order = np.lexsort((-weight, key))
    ordered = key[order]
    same = np.append(ordered[1:] == ordered[:-1], False)
    first = np.append(True, ~same[:-1])[: len(key)]
    second = np.append(weight[order][1:], 0.0)
    best, rival = np.zeros(len(key), np.bool_), np.zeros(len(key))
    best[order] = first
    rival[order] = np.where(same, second, 0.0)[: len(key)]
    return best, rival


def _among(number: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.bool_]:
    inside = np.zeros(int(number.max(initial=-1)) + 1, np.bool_)
    inside[members] = True
    return inside[number]


@dataclass(slots=True)
class _Assignment:
    """A best assignment of the rows so far, with the prices that prove it.

    row price + column price >= weight for every pair, with equality for those assigned; whoever is alone has price 0.
    """

    pairs: list[list[tuple[int, float]]]
    row_price: list[float]
    column_price: list[float]
    column_of: list[int]
    row_of: list[int]
    # Where the search for the present row came from, and how far each column and row is.
    came_from: dict[int, int] = field(default_factory=dict)
    column_at: dict[int, float] = field(default_factory=dict)
    row_at: dict[int, float] = field(default_factory=dict)

    def add(self, source: int) -> None:
        """Let one more row in: the others move along the cheapest chain of changes."""
        prices = (weight - self.column_price[column] for column, weight in self.pairs[source])
        self.row_price[source] = max(0.0, max(prices, default=0.0))
        cost, last_row, last_column = self._cheapest_end(source)
        for row, at in self.row_at.items():
            self.row_price[row] -= cost - at
        for column, at in self.column_at.items():
            self.column_price[column] += cost - at
        if last_column == _NOBODY:
            # That row gives its column up (the source has none to give) and stays alone.
            last_column, self.column_of[last_row] = self.column_of[last_row], _NOBODY
        while last_column != _NOBODY:
            row = self.came_from[last_column]
            self.row_of[last_column] = row
            last_column, self.column_of[row] = self.column_of[row], last_column

    def _cheapest_end(self, source: int) -> tuple[float, int, int]:
        """Return the cost of the cheapest chain, and how it ends: the row that becomes alone, or a column that is free.

        Dijkstra's search over columns, whose distances are the slacks of the pairs passed.
        """
        self.came_from, self.column_at, self.row_at = {}, {}, {source: 0.0}
        tentative: dict[int, float] = {}
        heap: list[tuple[float, int]] = []
        cost, loser = self.row_price[source], source
        row, at = source, 0.0
        while True:
            for column, weight in self.pairs[row]:
                distance = at + self.row_price[row] + self.column_price[column] - weight
                if column not in self.column_at and distance < min(cost, tentative.get(column, cost)):
                    tentative[column], self.came_from[column] = distance, row
                    heapq.heappush(heap, (distance, column))
            while heap and heap[0][1] in self.column_at:
                heapq.heappop(heap)
            if not heap or heap[0][0] >= cost:
                return cost, loser, _NOBODY
            at, column = heapq.heappop(heap)
            self.column_at[column] = at
            row = self.row_of[column]
            if row == _NOBODY:
                return at, _NOBODY, column
            self.row_at[row] = at
            if at + self.row_price[row] < cost:
                cost, loser = at + self.row_price[row], row


def _solved(row: NDArray[np.int64], column: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of the pairs of a best assignment, by successive shortest chains.

    Source: Kuhn 1955, The Hungarian method; Jonker & Volgenant 1987, A shortest augmenting path algorithm for dense and
    sparse linear assignment problems, section 4 (here with rows that may stay alone).
    """
    rows, row_number = np.unique(row, return_inverse=True)
    columns, column_number = np.unique(column, return_inverse=True)
    pairs: list[list[tuple[int, float]]] = [[] for _ in rows]
    for i, j, value in zip(row_number.tolist(), column_number.tolist(), weight.tolist(), strict=True):
        pairs[i].append((j, value))
    found = _Assignment(pairs, [0.0] * len(rows), [0.0] * len(columns), [_NOBODY] * len(rows), [_NOBODY] * len(columns))
    for source in range(len(rows)):
        found.add(source)
    return np.flatnonzero(np.asarray(found.column_of, np.int64)[row_number] == column_number)
