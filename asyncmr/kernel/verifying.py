"""Verifying: a reduction that behaves as another does, and looks for counterexamples to it on the way.

A share of the keys, chosen by their hash, is looked at: the same keys in every task, on any number of workers.
Their values are put aside as bytes before the reduction gets them, so that it may change what it is given, and are
reduced in other groupings. What the reduction makes is not touched.

Where a table keeps all values of a key they are looked at when the table is combined or reduced. Where it folds them
at once they are put aside as they come. So that this costs little, keys are chosen among the first of a table, and what
is put aside is bounded in keys, in values for a key, and in bytes: there are many tables, and whatever is folded comes
back as a partial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, compress, count, islice
from typing import Any

from asyncmr.errors import KeyTypeError
from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.counterexamples import Kept
from asyncmr.kernel.examining import Examiner
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.operators import AggregateOperator, Operator, Partial
from asyncmr.kernel.tables import Table, stream_merged
from asyncmr.kernel.watching import CANDIDATES, MOST_KEYS, MOST_VALUES, Watched, all_kept
from asyncmr.protocols import Columns, Pair, Reduction

# Not the one that divides keys into partitions: there should be chosen ones in each of these.
_CHOOSER = KeyHasher(0x766572696679)


class _Choice:
    """Which keys are looked at, and how."""

    def __init__(self, operator: Operator, share: float, *, commutative: bool) -> None:
        self._examiner = Examiner(operator, commutative=commutative)
        self._below = int(share * 2**64)

    def chosen(self, keys: list[Any]) -> Iterator[int]:
        """The positions of the keys to look at; none if there is one that is no key: what divides them says so."""
        hashes: list[int] = []
        with suppress(KeyTypeError):
            hashes = _CHOOSER.hashes(keys)
        return compress(count(), map(self._below.__gt__, hashes))

    def examine(self, key: Any, values: list[Kept]) -> None:
        """Raises a `UserFailure` if these values of a key are a counterexample."""
        found = self._examiner.smallest(key, values) if len(values) > 1 else None
        # Of a combiner that does not keep its key the reduction itself tells.
        if found is not None and found.law != "keeps its key":
            raise UserFailure("operator", str(found), excerpt=found.key, attributes=found.facts())


class _Verifying:
    """What verifying reductions have in common: all that they leave to the other one."""

    def __init__(self, reduction: Reduction, operator: Operator, share: float, *, commutative: bool) -> None:
        self._reduction = reduction
        self._choice = _Choice(operator, share, commutative=commutative)
        self.combines = reduction.combines
        self.folds = reduction.folds
        self.finishes = reduction.finishes
        self.passes = reduction.passes

    def snapshot(self, table: Table) -> tuple[list[Any], list[Any], list[int] | None]:
        return self._reduction.snapshot(table)


class VerifyingGroups(_Verifying):
    """For a table that keeps all values of a key."""

    def table(self) -> Table:
        return self._reduction.table()  # type: ignore[no-any-return]

    def absorb(self, table: Table, pairs: list[Pair]) -> None:
        self._reduction.absorb(table, pairs)

    def absorb_columns(self, table: Table, columns: Columns) -> None:
        self._reduction.absorb_columns(table, columns)

    def gather(self, table: Table, run: Columns) -> None:
        self._reduction.gather(table, run)

    def partials(self, table: Table) -> tuple[list[Any], list[Any], list[int] | None]:
        if self.combines:
            self._examine(list(islice(table, CANDIDATES)), table)
        return self._reduction.partials(table)

    def condense(self, table: Table) -> None:
        self._examine(list(islice(table, CANDIDATES)), table)
        self._reduction.condense(table)

    def results(self, keys: list[Any], table: Table) -> Iterator[Pair]:
        self._examine(keys, table)
        return self._reduction.results(keys, table)

    def stream(self, runs: Iterator[Slice]) -> Iterator[Pair]:
        first = next(runs)
        table = self._reduction.table()
        self._reduction.gather(table, first)
        self._examine(list(table), table)
        return self._reduction.stream(chain([first], runs))

    def _examine(self, keys: list[Any], table: Table) -> None:
        keys = keys[:CANDIDATES]
        several = list(compress(keys, map((1).__lt__, map(len, map(table.__getitem__, keys)))))
        for at in islice(self._choice.chosen(several), MOST_KEYS):
            self._choice.examine(several[at], list(all_kept(table[several[at]][:MOST_VALUES])))


class VerifyingFolds(_Verifying):
    """For a table that keeps one accumulator for a key. Of several tables the newest is watched."""

    def __init__(self, reduction: Reduction, operator: Operator, share: float, *, commutative: bool) -> None:
        super().__init__(reduction, operator, share, commutative=commutative)
        self._wraps = isinstance(operator, AggregateOperator)
        # Not in a dict of a class of our own, in which folding takes a fifth longer. All tables are made
        # here, so that the one of this id is the newest.
        self._watched, self._table = Watched(), 0

    def table(self) -> Table:
        table: Table = self._reduction.table()
        self._watched, self._table = Watched(), id(table)
        return table

    def absorb(self, table: Table, pairs: list[Pair]) -> None:
        if id(table) == self._table and self._watched.room > 0:
            keys: list[Any] = []
            with suppress(TypeError, ValueError):  # what is no pair is told by what absorbs it
                keys = [key for key, _ in pairs]
            self._watch(keys, lambda at: pairs[at][1])
        self._reduction.absorb(table, pairs)

    def absorb_columns(self, table: Table, columns: Columns) -> None:
        if id(table) == self._table and self._watched.room > 0:
            self._watch(columns.keys, columns.values.__getitem__)
        self._reduction.absorb_columns(table, columns)

    def gather(self, table: Table, run: Columns) -> None:
        if id(table) == self._table and self._watched.room > 0:
            values = run.values
            wrap = self._wraps
            self._watch(run.keys, lambda at: Partial(values[at]) if wrap else values[at])
        self._reduction.gather(table, run)

    def partials(self, table: Table) -> tuple[list[Any], list[Any], list[int] | None]:
        return self._reduction.partials(table)

    def condense(self, table: Table) -> None:
        self._reduction.condense(table)

    def results(self, keys: list[Any], table: Table) -> Iterator[Pair]:
        return self._reduction.results(keys, table)

    def stream(self, runs: Iterator[Slice]) -> Iterator[Pair]:
        return stream_merged(self, runs)

    def _watch(self, keys: list[Any], value_at: Callable[[int], Any]) -> None:
        """Puts aside what there is of chosen keys, and looks at it when there is enough."""
        watched = self._watched
        keys = keys[: watched.room]
        watched.room -= len(keys)
        new = keys[: watched.candidates]
        watched.candidates -= len(new)
        known = watched.keys
        late = [at for at, key in enumerate(keys[len(new) :], len(new)) if key in known] if known else []
        for at in chain(self._choice.chosen(new), late):
            if (values := watched.add(keys[at], value_at(at))) is not None:
                self._choice.examine(keys[at], values)
