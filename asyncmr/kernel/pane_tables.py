"""Panes merged: what a window comes to, from the tables of its panes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncmr.kernel.blocks import Slice, decode_block, encode_block
from asyncmr.kernel.tables import Table
from asyncmr.protocols import Reduction

# Accumulators that nobody can change in place.
_FIXED = {int, float, complex, bool, str, bytes, type(None)}


def merged(reduction: Reduction, tables: Iterable[Table], keys: list[Any] | None = None) -> Table:
    """One table of those of several panes, in the order of time; of all keys, or of `keys`.

    For a reduction that keeps one accumulator for a key. The tables stay as they are: to merge may change the left one
    of two accumulators in place, so those that can be changed are copied first.
    """
    window: Table = reduction.table()
    for table in tables:
        mine = list(table) if keys is None else [key for key in keys if key in table]
        run = Slice((), mine, list(map(table.__getitem__, mine)), None)
        if not _FIXED.issuperset(map(type, run.values)):
            run = decode_block(memoryview(encode_block(run, placed=False)))
        reduction.gather(window, run)
    return window
