"""Read-only numpy columns: the one way that a table's fields get their type, shape and protection."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


def column(table: str, name: str, values: ArrayLike, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return `values` as a read-only array of `dtype` and `shape`; an array that already is one is not copied.

    Raises:
        ValueError: the values cannot have that shape.
    """
    array = np.asarray(values, dtype)
    if array.size == 0:
        # An empty list has shape (0,), whatever the number of columns it stands for.
        array = array.reshape(shape) if 0 in shape else array
    if array.shape != shape:
        raise ValueError(f"{table}.{name} must have shape {shape}, got {array.shape}")
    if array.flags.writeable:
        array = array.copy() if array is values or array.base is not None else array
        array.flags.writeable = False
    return array


def text_column(table: str, name: str, values: ArrayLike, rows: int) -> NDArray[np.str_]:
    """Return `values` as a read-only `(rows,)` array of text.

    Raises:
        ValueError: the values cannot have that shape.
    """
    array = np.asarray(values, np.str_) if rows else np.zeros(0, np.str_)
    return column(table, name, array, array.dtype, (rows,))


def fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, made read-only: a table keeps such a one as it is, and copies any other."""
    array.flags.writeable = False
    return array
