"""What a batch function returned, as columns of Python objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.outlets import ColumnBatch


class NotColumns(Exception):
    """The message says what was returned and what should be; it goes behind the function's name."""


def columns_of(returned: Any) -> ColumnBatch:
    """The columns that a batch function returned, in one of the forms that `asyncmr.batch` lists."""
    if isinstance(returned, Mapping):
        return ColumnBatch(list(returned), list(returned.values()), partial=True)
    keys, values = _pair(returned)
    if keys is None:
        raise NotColumns("returned None as its column of keys; every value needs a key")
    key_list = _listed(keys)
    value_list = [None] * len(key_list) if values is None else _listed(values)
    if len(key_list) != len(value_list):
        raise NotColumns(
            f"returned columns of unequal length, {len(key_list):,} keys and {len(value_list):,} values"
        )
    return ColumnBatch(key_list, value_list)


def _pair(returned: Any) -> tuple[Any, Any]:
    if isinstance(returned, tuple):
        if len(returned) == 2:
            return returned
        raise NotColumns(f"returned a tuple of {len(returned)}, not of two columns, keys and values")
    # Nothing is imported to recognize a library's table: there can only be one where its library is loaded.
    if type(returned).__name__ == "StructArray" and hasattr(returned, "flatten"):
        columns = returned.flatten()
    elif hasattr(returned, "itercolumns"):
        columns = list(returned.itercolumns())
    elif hasattr(returned, "iter_columns"):
        columns = list(returned.iter_columns())
    elif hasattr(returned, "iloc") and hasattr(returned, "columns"):
        columns = [returned.iloc[:, number] for number in range(len(returned.columns))]
    else:
        raise NotColumns(
            f"returned {excerpt(returned)}, of type {type(returned).__name__}; a batch function returns a mapping "
            "of keys to values, a tuple of two columns, or a table of two columns"
        )
    if len(columns) != 2:
        raise NotColumns(f"returned a table of {len(columns)} columns; it should have two, keys and values")
    return columns[0], columns[1]


def _listed(column: Any) -> list[Any]:
    if type(column) is list:
        return column
    for name in ("to_pylist", "tolist", "to_list"):
        if hasattr(column, name):
            column = getattr(column, name)()
            break
    if isinstance(column, str | bytes) or not isinstance(column, Iterable):
        raise NotColumns(f"returned {excerpt(column)} as a column; a column is a list or an array")
    return column if type(column) is list else list(column)
