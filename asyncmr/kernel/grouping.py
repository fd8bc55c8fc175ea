"""Grouping: a reducer that sees all values of a key, with or without a combiner, as a reduction."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

from asyncmr.functions import Combiner, Reducer
from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import (
    UserFailure,
    excerpt,
    fail_in_table,
    fail_on_key,
    name_of,
    stopped_early,
)
from asyncmr.kernel.tables import Table, last_given
from asyncmr.protocols import Columns, Pair

# A key's values travel in pieces of this many, so that a block never has to hold all of them.
_PIECE = 4096


class GroupReduction:
    """A reducer that sees all values of a key, and perhaps a combiner that makes fewer of them on the way."""

    folds = False
    finishes = True
    passes = False

    def __init__(self, combiner: Combiner | None, reducer: Reducer) -> None:
        self._combiner = combiner
        self._reducer = reducer
        self.combines = combiner is not None

    def table(self) -> Table:
        return defaultdict(list)

    def absorb(self, table: Table, pairs: list[Pair]) -> None:
        key = None
        try:
            for key, value in pairs:
                table[key].append(value)
        except BaseException as error:
            fail_in_table("mapper", "the mapper", pairs, key, error)

    def gather(self, table: Table, run: Columns) -> None:
        if run.counts is None:
            for key, value in zip(run.keys, run.values, strict=True):
                table[key].append(value)
            return
        at, values = 0, run.values
        for key, count in zip(run.keys, run.counts, strict=True):
            table[key] += values[at : at + count]
            at += count

    absorb_columns = gather

    def partials(self, table: Table) -> tuple[list[Any], list[Any], list[int] | None]:
        if self._combiner is not None:
            return self._combined(self._combiner, table)
        return self.snapshot(table)

    def snapshot(self, table: Table) -> tuple[list[Any], list[Any], list[int] | None]:
        keys = list(table)
        groups = list(table.values())
        counts = list(map(len, groups))
        if max(counts, default=0) > _PIECE:
            keys, groups = _in_pieces(keys, groups)
            counts = list(map(len, groups))
        values = list(chain.from_iterable(groups))
        return keys, values, None if len(values) == len(keys) else counts

    def _combined(self, combiner: Combiner, table: Table) -> tuple[list[Any], list[Any], list[int] | None]:
        values: list[Any] = []
        counts: list[int] = []
        key = None
        try:
            for key, group in table.items():
                before = len(values)
                if len(group) == 1:
                    values.append(group[0])
                else:
                    for got, value in combiner(key, iter(group)):
                        if got is not key and got != key:
                            raise UserFailure(
                                "combiner",
                                f"{name_of(combiner)} was given the key {excerpt(key)} and yielded the key "
                                f"{excerpt(got)}; a combiner must yield the key that it was given",
                                excerpt=excerpt(key),
                            )
                        values.append(value)
                counts.append(len(values) - before)
        except UserFailure:
            raise
        except BaseException as error:
            fail_on_key("combiner", combiner, key, error)
        keys = list(table)
        if len(values) == len(keys) and 0 not in counts:
            return keys, values, None
        kept = [(key, count) for key, count in zip(keys, counts, strict=True) if count]
        return [key for key, _ in kept], values, [count for _, count in kept]

    def condense(self, table: Table) -> None:
        keys, values, counts = self.partials(table)
        table.clear()
        self.gather(table, Slice((), keys, values, counts))

    def results(self, keys: list[Any], table: Table) -> Iterator[Pair]:
        groups = map(iter, list(map(table.__getitem__, keys)))
        current = iter(keys)
        try:
            yield from chain.from_iterable(map(self._reducer, current, groups))
        except GeneratorExit:
            raise
        except BaseException as error:
            fail_on_key("reducer", self._reducer, last_given(keys, current), error)
        if stopped_early(current):
            fail_on_key("reducer", self._reducer, last_given(keys, current), StopIteration())

    def stream(self, runs: Iterator[Slice]) -> Iterator[Pair]:
        """The first key's values reach the reducer as they arrive; keys of the same place wait for their turn."""
        first = next(runs)
        key = first.keys[0]
        others: Table = self.table()
        values = self._values_of(key, chain([first], runs), others)
        try:
            yield from self._reducer(key, values)
        except GeneratorExit:
            raise
        except BaseException as error:
            fail_on_key("reducer", self._reducer, key, error)
        deque(values, maxlen=0)
        yield from self.results(list(others), others)

    def _values_of(self, key: Any, runs: Iterator[Slice], others: Table) -> Iterator[Any]:
        for run in runs:
            at = 0
            counts = run.counts or [1] * len(run.keys)
            for got, count in zip(run.keys, counts, strict=True):
                group = run.values[at : at + count]
                at += count
                if got is key or got == key:
                    yield from group
                else:
                    others[got] += group


def _in_pieces(keys: list[Any], groups: list[list[Any]]) -> tuple[list[Any], list[list[Any]]]:
    cut_keys: list[Any] = []
    pieces: list[list[Any]] = []
    for key, group in zip(keys, groups, strict=True):
        if len(group) <= _PIECE:
            cut_keys.append(key)
            pieces.append(group)
        else:
            starts = range(0, len(group), _PIECE)
            cut_keys += [key] * len(starts)
            pieces += [group[at : at + _PIECE] for at in starts]
    return cut_keys, pieces
