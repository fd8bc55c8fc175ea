"""Tables: dicts from a key to what a reduction keeps for it, in the order in which keys first appeared."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from asyncmr.kernel.blocks import Slice
from asyncmr.protocols import Pair, Reduction

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
