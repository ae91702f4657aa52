"""CSV files as columns of text: written so that every value comes back, read so that every fault has a row's name.

Nothing is guessed on reading: "NA", "null" and "001" stay the texts that they are, and an empty cell is an empty text.
A row's number counts the header as row 1, as a spreadsheet shows it.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from annotations.errors import AnnotationError
from annotations.words import Words

_MARKS = ('"', ",", "\r", "\n")
"""Letters that a cell may hold in quotes only."""
_marked = re.compile(f"[{''.join(_MARKS)}]").search
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_FIRST_ROW = 2
_ROWS_TOGETHER = 1024
"""Rows that are worked on together: few enough that their cells stay in the processor's cache."""
_ROWS_OF_A_PART = 8 * _ROWS_TOGETHER
"""Rows of a part, which takes some milliseconds: worth to be handed to another process, and soon done."""
_FEW_WORDS = 12
"""A column is searched through once for each; with more, every cell is made a text of its own."""


class Sparse(NamedTuple):
    """A column of integers, in which the value `none` stands for an empty cell."""

    values: NDArray[np.int64]
    none: int


Part = Callable[[], str]
"""Gives some text of a file."""
Column = Sequence[object] | NDArray[Any] | Words | Sparse
"""The cells of a column. A float array of shape (N, k) stands for k columns."""


class _Integers(NamedTuple):
    """Two columns of integers, (N, 2), in the second of which the value `none` stands for an empty cell."""

    values: NDArray[np.int64]
    none: int


def csv_text(header: Sequence[str], columns: Iterable[Column]) -> str:
    """Return the CSV text of these columns; floats are written so that reading gives the same float64.

    Raises:
        ValueError: the columns differ in length.
    """
    return "".join(part() for part in csv_parts(header, columns))


def csv_parts(header: Sequence[str], columns: Iterable[Column]) -> list[Part]:
    """Return the text of `csv_text` in parts of whole rows, each of which is made when it is called.

    So a long table need not be in memory as text, and processes can share its making.

    Raises:
        ValueError: the columns differ in length.
    """
    prepared = _together([_with_quoted_words(_as_words(column)) for column in columns])
    lengths = set(map(_length, prepared))
    if len(lengths) > 1:
        raise ValueError(f"columns must have one length, got {sorted(lengths)}")
    rows = max(lengths, default=0)
    ends = [*range(_ROWS_OF_A_PART, rows, _ROWS_OF_A_PART), rows]
    head = ",".join(_text_cells(header)) + "\n"
    parts = [partial(_part, prepared, start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return [lambda: head + parts[0](), *parts[1:]]


def _part(columns: Sequence[Column | _Integers], start: int, end: int) -> str:
    """Return the text of the rows from `start` up to `end`."""
    starts = range(start, end, _ROWS_TOGETHER)
    return "".join(_block(columns, slice(first, min(first + _ROWS_TOGETHER, end))) for first in starts)


def _block(columns: Sequence[Column | _Integers], rows: slice) -> str:
    """Return the text of rows that are worked on together."""
    cells = [_cells(column, rows) for column in columns]
    return "\n".join(map(",".join, zip(*cells, strict=True))) + "\n"


def _as_words(column: Column) -> Column:
    """Return a long column of few different texts, such as shape types, as words; any other as it is."""
    if not isinstance(column, np.ndarray) or column.dtype.kind != "U" or len(column) < _ROWS_TOGETHER:
        return column
    if len(set(column[:_ROWS_TOGETHER].tolist())) > _FEW_WORDS:
        return column
    words: list[str] = []
    codes, left, rest = np.zeros(len(column), np.int64), np.arange(len(column)), column
    while len(rest) and len(words) < _FEW_WORDS:
        words.append(str(rest[0]))
        others = rest != words[-1]
        left, rest = left[others], rest[others]
        codes[left] += 1
    return column if len(rest) else Words(tuple(words), codes)


def _with_quoted_words(column: Column) -> Column:
    return column._replace(words=tuple(_text_cells(column.words))) if isinstance(column, Words) else column


def _together(columns: Sequence[Column]) -> list[Column | _Integers]:
    """Return the columns with neighbours made one where their cells can be made together; there are fewer to join."""
    made: list[Column | _Integers] = []
    for column in columns:
        both = _joined(made[-1], column) if made else None
        if both is None:
            made.append(column)
        else:
            made[-1] = both
    return made


def _joined(left: Column | _Integers, right: Column) -> Words | _Integers | None:
    """Return two columns as one, where their cells can be made together."""
    if _length(left) != _length(right):
        return None
    if isinstance(left, Words) and isinstance(right, Words) and len(left.words) * len(right.words) <= _FEW_WORDS**2:
        words = tuple(f"{a},{b}" for a in left.words for b in right.words)
        return Words(words, left.codes * len(right.words) + right.codes)
    if isinstance(left, np.ndarray) and isinstance(right, Sparse) and left.dtype == np.int64 and left.ndim == 1:
        return _Integers(np.stack([left, right.values], axis=1), right.none)
    return None


def _length(column: Column | _Integers) -> int:
    if isinstance(column, Words):
        return len(column.codes)
    return len(column.values if isinstance(column, Sparse | _Integers) else column)


def _cells(column: Column | _Integers, rows: slice) -> list[str]:
    if isinstance(column, Words):
        return list(map(column.words.__getitem__, column.codes[rows].tolist()))
    if isinstance(column, _Integers):
        text = orjson.dumps(column.values[rows], option=orjson.OPT_SERIALIZE_NUMPY).decode()
        # A number that ends a row follows a comma.
        return text.replace(f",{column.none}]", ",]")[2:-2].split("],[")
    if isinstance(column, Sparse):
        none = str(column.none)
        return ["" if cell == none else cell for cell in _number_cells(column.values[rows])]
    values = column[rows]
    if isinstance(values, np.ndarray):
        if values.dtype in (np.float64, np.int64):
            return _number_cells(values)
        return _quoted_cells(values.tolist()) if values.dtype.kind == "U" else _text_cells(values.tolist())
    return _text_cells(values)


def _number_cells(values: NDArray[np.float64] | NDArray[np.int64]) -> list[str]:
    if not np.isfinite(values).all():
        # JSON has no such numbers; Python has words for them.
        return [",".join(map(repr, row)) for row in values.reshape(len(values), -1).tolist()]
    # The shortest digits that give the number back, as repr has them, and all at once.
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    if not len(values):
        return []
    return text[1:-1].split(",") if values.ndim == 1 else text[2:-2].split("],[")


def _text_cells(values: Iterable[object]) -> list[str]:
    return _quoted_cells([value if type(value) is str else str(value) for value in values])


def _quoted_cells(texts: list[str]) -> list[str]:
    together = "".join(texts)
    if not any(mark in together for mark in _MARKS):
        return texts
    return [_quoted(text) if _marked(text) else text for text in texts]


def _quoted(cell: str) -> str:
    # The csv module leaves a lone carriage return without quotes (until Python 3.13), and then cannot read it back.
    return '"' + cell.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True, eq=False)
class CsvTable:
    """The columns of a CSV file as text, with the checks that turn them into numbers; faults name file and row."""

    path: Path
    columns: Mapping[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def fault(self, row: int, name: str, must: str) -> AnnotationError:
        """Return the error that the cell in this row (0-based) and column must be `must`."""
        got = self.columns[name][row]
        shown = repr(got if len(got) <= 80 else got[:77] + "...") if got else "an empty cell"
        image = self.columns["image_id"][row] if name != "image_id" and "image_id" in self.columns else ""
        where = f" (image {image:.80})" if image else ""
        return AnnotationError(f"{self.path}: row {row + _FIRST_ROW}: {name} must be {must}, got {shown}{where}")

    def refuse(self, wrong: NDArray[np.bool_], name: str, must: str) -> None:
        """Do nothing where no row of the (N,) mask is true.

        Raises:
            AnnotationError: names the first true row; its cell in column `name` must be `must`.
        """
        if wrong.any():
            raise self.fault(int(np.argmax(wrong)), name, must)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return the (N,) finite float64 values of a column.

        Raises:
            AnnotationError: a cell is no finite number.
        """
        cells = self._all_like(_NUMBER, name, "a finite number")
        values = np.array([float(cell) for cell in cells], np.float64)
        self.refuse(~np.isfinite(values), name, "a finite number")
        return values

    def integers(self, name: str, *, least: int, empty: int | None = None) -> NDArray[np.int64]:
        """Return the (N,) int64 values of a column; an empty cell is `empty`, where that is given.

        Raises:
            AnnotationError: a cell is no integer of at least `least` (and at most 18 digits).
        """
        must = f"an integer of at least {least}" + ("" if empty is None else ", or empty")
        matches = _INTEGER.fullmatch
        for row, cell in enumerate(self.columns[name]):
            if not (matches(cell) and int(cell) >= least) and not (empty is not None and cell == ""):
                raise self.fault(row, name, must)
        return np.array([int(cell) if cell else empty for cell in self.columns[name]], np.int64)

    def places(self, name: str, known: Mapping[str, int], must: str) -> NDArray[np.int64]:
        """Return the (N,) values that `known` gives for the texts of a column.

        Raises:
            AnnotationError: a text is not in `known`; it must be `must`.
        """
        places = np.array([known.get(cell, -1) for cell in self.columns[name]], np.int64)
        self.refuse(places < 0, name, must)
        return places

    def distinct(self, name: str, values: Sequence[object]) -> None:
        """Do nothing where none of a column's (N,) values stands twice.

        Raises:
            AnnotationError: names the second of two rows with the same value.
        """
        first: dict[object, int] = {}
        for row, value in enumerate(values):
            if first.setdefault(value, row) != row:
                raise self.fault(row, name, f"unique (row {first[value] + _FIRST_ROW} has it too)")

    def _all_like(self, pattern: re.Pattern[str], name: str, must: str) -> list[str]:
        cells = self.columns[name]
        matches = pattern.fullmatch
        for row, cell in enumerate(cells):
            if not matches(cell):
                raise self.fault(row, name, must)
        return cells


def finite(cell: str) -> float | None:
    """Return the number that a cell holds, or None where it holds no finite one."""
    value = float(cell) if _NUMBER.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else None


def is_integer(cell: str, *, least: int) -> bool:
    """Return whether a cell holds an integer of at least `least` and at most 18 digits."""
    return bool(_INTEGER.fullmatch(cell)) and int(cell) >= least


def read_csv(path: Path, required: Sequence[str]) -> CsvTable:
    """Return a CSV file's columns; columns beyond the required ones are kept.

    Raises:
        AnnotationError: the file cannot be read, is not UTF-8, lacks a column, or has a row of another length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = csv.reader(handle, strict=True)
            header = next(rows, [])
            _check_header(path, header, required)
            return CsvTable(path, dict(zip(header, _columns_of(path, rows, len(header)), strict=True)))
    except OSError as error:
        raise AnnotationError(f"{path}: table must be readable, got {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: table must be UTF-8 text, got {error.reason} at byte {error.start}") from error
    except csv.Error as error:
        raise AnnotationError(f"{path}: table must be CSV, got {error}") from error


def _check_header(path: Path, header: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        got = ",".join(header)[:200] or "an empty file"
        raise AnnotationError(f"{path}: row 1: columns must include {', '.join(missing)}, got {got}")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise AnnotationError(f"{path}: row 1: columns must be unique, got {', '.join(repeated)} twice")


def _columns_of(path: Path, rows: Iterable[list[str]], width: int) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(width)]
    appends: list[Callable[[str], None]] = [column.append for column in columns]
    # Equal texts of one file (image ids, labels) are kept once: a table of a million boxes has few different ones.
    kept: dict[str, str] = {}
    for number, row in enumerate(rows, start=_FIRST_ROW):
        if len(row) != width:
            raise AnnotationError(f"{path}: row {number}: row must have {width} cells, got {len(row)}")
        for append, cell in zip(appends, row, strict=True):
            append(kept.setdefault(cell, cell))
    return columns


def box_columns(table: CsvTable) -> NDArray[np.float64]:
    """Return the (N, 4) float64 xmin, ymin, xmax, ymax of a table, each box with an area.

    Raises:
        AnnotationError: a coordinate is no finite number, or a box is inverted or has no area.
    """
    xyxy = np.stack([table.numbers(name) for name in ("xmin", "ymin", "xmax", "ymax")], axis=1)
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        lows, highs = (xyxy[:, ("xmin", "ymin", "xmax", "ymax").index(name)] for name in (low, high))
        wrong = ~(lows < highs)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise table.fault(row, high, f"greater than {low} ({table.columns[low][row]})")
    return xyxy


def parent_column(
    table: CsvTable, object_id: NDArray[np.int64], image_row: NDArray[np.int64], none: int
) -> NDArray[np.int64]:
    """Return the (N,) parent_id of a table, `none` where the cell is empty.

    Raises:
        AnnotationError: a parent is not in the table, lies in another image, or is the row itself.
    """
    parent_id = table.integers("parent_id", least=0, empty=none)
    row_of = {value: row for row, value in enumerate(object_id.tolist())}
    has = parent_id != none
    parent_row = np.array([row_of.get(value, -1) for value in parent_id.tolist()], np.int64)
    table.refuse(has & (parent_row < 0), "parent_id", "the object_id of a row of this table")
    table.refuse(has & (parent_row == np.arange(len(table))), "parent_id", "another row's object_id")
    if has.any():
        other = image_row[np.where(has, parent_row, 0)] != image_row
        table.refuse(has & other, "parent_id", "an object of the same image")
    return parent_id
