"""Aggregating: a monoid with an entrance and an exit as a reduction."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

from asyncmr.aggregators import Count, Sum
from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import fail_in_table, fail_on_key, stopped_early
from asyncmr.kernel.tables import Table, add_integers, last_given, stream_merged
from asyncmr.protocols import Aggregator, Columns, Pair


class AggregateReduction:
    """An aggregator. A key's partial is its accumulator. `counts`: that is the number of its pairs."""

    combines = True
    folds = True
    passes = False

    def __init__(self, aggregator: Aggregator) -> None:
        self._aggregator = aggregator
        self.counts = type(aggregator) is Count
        self._adds = type(aggregator) in (Count, Sum)
        self._merge = operator.add if self._adds else aggregator.merge
        self.finishes = not self._adds

    def table(self) -> Table:
        return Counter() if self.counts else {}

    def absorb(self, table: Table, pairs: list[Pair]) -> None:
        aggregator, key = self._aggregator, None
        zero, add = aggregator.zero, aggregator.add
        try:
            if self.counts:
                table.update([key for key, _ in pairs])
                return
            for key, value in pairs:
                if key in table:
                    table[key] = add(table[key], value)
                else:
                    table[key] = add(zero(), value)
        except BaseException as error:
            fail_in_table("aggregator", aggregator, pairs, key, error)

    def absorb_columns(self, table: Table, columns: Columns) -> None:
        if self.counts:
            table.update(columns.keys)
        else:
            self.absorb(table, list(zip(columns.keys, columns.values, strict=True)))

    def gather(self, table: Table, run: Columns) -> None:
        if not table:
            dict.update(table, zip(run.keys, run.values, strict=True))
            if len(table) == len(run.keys):
                return
            table.clear()
        if self._adds and add_integers(table, run, "aggregator", self._aggregator):
            return
        merge, key = self._merge, None
        try:
            for key, value in zip(run.keys, run.values, strict=True):
                if key in table:
                    table[key] = merge(table[key], value)
                else:
                    table[key] = value
        except BaseException as error:
            fail_on_key("aggregator", self._aggregator, key, error)

    def partials(self, table: Table) -> tuple[list[Any], list[Any], list[int] | None]:
        return list(table), list(table.values()), None

    snapshot = partials

    def condense(self, table: Table) -> None:
        """A key has one accumulator already."""

    def results(self, keys: list[Any], table: Table) -> Iterator[Pair]:
        if self.finishes:
            return self._finished(keys, table)
        return zip(keys, map(table.__getitem__, keys), strict=True)

    def _finished(self, keys: list[Any], table: Table) -> Iterator[Pair]:
        current = iter(keys)
        finished = map(self._aggregator.finish, map(table.__getitem__, current))
        try:
            # One more than there are keys, so that it is always the map that ends, and tells how.
            yield from zip(chain(keys, (None,)), finished, strict=False)
        except GeneratorExit:
            raise
        except BaseException as error:
            fail_on_key("aggregator", self._aggregator, last_given(keys, current), error)
        if stopped_early(current):
            fail_on_key("aggregator", self._aggregator, last_given(keys, current), StopIteration())

    def stream(self, runs: Iterator[Slice]) -> Iterator[Pair]:
        return stream_merged(self, runs)
