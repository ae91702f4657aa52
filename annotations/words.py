"""Columns of few different texts, such as labels: each text once, and a number a row."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=Hashable)


def coded(values: Sequence[Value]) -> tuple[tuple[Value, ...], NDArray[np.int64]]:
    """Return the different values in the order in which they first stand, and the (N,) place of each value in it."""
    code_of = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return tuple(code_of), np.fromiter(map(code_of.__getitem__, values), np.int64, len(values))


class Words(NamedTuple):
    """A column of few different texts: row n holds `words[codes[n]]`; a word may stand in no row."""

    words: tuple[str, ...]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Return the column of these texts."""
        return cls(*coded(texts))

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the rows of these columns, one column after the other."""
        code_of: dict[str, int] = {}
        codes = [np.zeros(0, np.int64)]
        for words, rows in columns:
            new_code = np.array([code_of.setdefault(word, len(code_of)) for word in words], np.int64)
            codes.append(new_code[rows] if len(rows) else rows)
        return cls(tuple(code_of), np.concatenate(codes))

    def used(self) -> set[str]:
        """Return the words that stand in a row."""
        seen = np.bincount(self.codes, minlength=len(self.words)) > 0
        return {word for word, is_used in zip(self.words, seen.tolist(), strict=True) if is_used}

    def texts(self) -> NDArray[np.str_]:
        """Return the (N,) texts."""
        return np.array(self.words, np.str_)[self.codes] if len(self.codes) else np.zeros(0, np.str_)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Self:
        """Return the column of these rows (or of a mask's true rows)."""
        return self._replace(codes=self.codes[rows])
