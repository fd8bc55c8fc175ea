"""Passing: a step that moves pairs to where their keys belong, and reduces nothing, as a reduction.

A table would find equal keys, which nobody asked for. Two columns take a batch in a fraction of the time, and are
put in order in C. Values that are all None, as where whole records are sorted, are neither moved nor looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import check_pairs
from asyncmr.protocols import Columns as Run
from asyncmr.protocols import Pair

_value_of = itemgetter(1)


class PairColumns:
    """Pairs as two columns, in the order in which they came."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []

    def __len__(self) -> int:
        return len(self.keys)

    def clear(self) -> None:
        """No pairs any more. The columns that were given away stay as they are."""
        self.keys, self.values = [], []


class PassingReduction:
    """All pairs pass."""

    combines = False
    folds = False
    finishes = False
    passes = True

    def table(self) -> PairColumns:
        return PairColumns()

    def absorb(self, table: PairColumns, pairs: list[Pair]) -> None:
        try:
            table.keys += [key for key, _ in pairs]
        except (TypeError, ValueError):
            check_pairs("mapper", "the mapper", pairs)
            raise
        table.values += map(_value_of, pairs)

    def absorb_columns(self, table: PairColumns, columns: Run) -> None:
        self.gather(table, columns)

    def gather(self, table: PairColumns, run: Run) -> None:
        table.keys += run.keys
        table.values += run.values

    def partials(self, table: PairColumns) -> tuple[list[Any], list[Any], None]:
        return table.keys, table.values, None

    snapshot = partials

    def condense(self, table: PairColumns) -> None:
        """There is nothing to combine."""

    def results(self, keys: list[Any], table: PairColumns) -> Iterator[Pair]:
        return zip(table.keys, table.values, strict=True)

    def stream(self, runs: Iterator[Slice]) -> Iterator[Pair]:
        for run in runs:
            yield from zip(run.keys, run.values, strict=True)


def joined(slices: Iterable[Slice]) -> Slice:
    """Slices of pairs as one. Where each is in order, sorting the whole means merging them: `sort` finds runs."""
    keys: list[Any] = []
    values: list[Any] = []
    for run in slices:
        keys += run.keys
        values += run.values
    return Slice((), keys, values, None)


def passed(key: Any, value: Any) -> tuple[Pair]:
    """A mapper that changes nothing."""
    return ((key, value),)
