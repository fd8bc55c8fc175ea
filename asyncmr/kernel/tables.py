"""Tables: dicts from a key to what a reduction keeps for it, in the order in which keys first appeared."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import fail_on_key, stopped_early
from asyncmr.protocols import Columns, Pair, Reduction

Table = dict[Any, Any]


def stream_merged(reduction: Reduction, runs: Iterator[Slice]) -> Iterator[Pair]:
    """The results of keys whose partials arrive bit by bit, for a reduction that keeps one accumulator a key."""
    table = reduction.table()
    for run in runs:
        reduction.gather(table, run)
    return reduction.results(list(table), table)


def last_given(keys: list[Any], current: Iterator[Any]) -> Any:
    """The key that an iterator of `keys` gave last."""
    return keys[len(keys) - operator.length_hint(current) - 1]


def add_integers(table: Table, run: Columns, role: str, function: object) -> bool:
    """Adds the values of a run to those of a table, as `+` does and in C, if all of them are plain integers.

    Otherwise nothing is done, and False returned: of anything else 0 and it may not be itself. `function`: whose `+`
    it is that may raise, on what the table has.
    """
    if set(map(type, run.values)) != {int}:
        return False
    keys = iter(run.keys)
    sums = map(operator.add, map(table.get, keys, repeat(0)), run.values)
    try:
        # Pair by pair: the same key, if it comes again, finds what it was given. One key more than there are, so that
        # it is always the map that ends, and tells how.
        dict.update(table, zip(chain(run.keys, (None,)), sums, strict=False))
    except BaseException as error:
        fail_on_key(role, function, last_given(run.keys, keys), error)
    if stopped_early(keys):
        fail_on_key(role, function, last_given(run.keys, keys), StopIteration())
    return True
