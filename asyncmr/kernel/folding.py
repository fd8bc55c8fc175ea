"""Folding: an associative function of two values as a reduction."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

from asyncmr.functions import Fold
from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import fail_in_table, fail_on_key
from asyncmr.kernel.tables import Table, add_integers, stream_merged
from asyncmr.protocols import Columns, Pair


class FoldReduction:
    """An associative function of two values. A key's partial is what its values so far fold to."""

    combines = True
    folds = True
    finishes = False
    passes = False

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._adds = fold is operator.add

    def table(self) -> Table:
        return {}

    def absorb(self, table: Table, pairs: list[Pair]) -> None:
        self._take(table, pairs, pairs)

    def gather(self, table: Table, run: Columns) -> None:
        if not table:
            table.update(zip(run.keys, run.values, strict=True))
            if len(table) == len(run.keys):
                return
            table.clear()
        if self._adds and add_integers(table, run, "fold", self._fold):
            return
        self._take(table, zip(run.keys, run.values, strict=True), None)

    absorb_columns = gather

    def _take(self, table: Table, pairs: Iterable[Pair], batch: list[Pair] | None) -> None:
        """Folds the pairs in. `batch`: the mapper's, which may be to blame for more than the fold can be."""
        fold, key = self._fold, None
        try:
            if self._adds:
                # Not +=, which would change a list that the mapper still holds.
                for key, value in pairs:
                    if key in table:
                        table[key] = table[key] + value
                    else:
                        table[key] = value
            else:
                for key, value in pairs:
                    if key in table:
                        table[key] = fold(table[key], value)
                    else:
                        table[key] = value
        except BaseException as error:
            if batch is not None:
                fail_in_table("fold", fold, batch, key, error)
            fail_on_key("fold", fold, key, error)

    def partials(self, table: Table) -> tuple[list[Any], list[Any], list[int] | None]:
        return list(table), list(table.values()), None

    snapshot = partials

    def condense(self, table: Table) -> None:
        """A key has one accumulator already."""

    def results(self, keys: list[Any], table: Table) -> Iterator[Pair]:
        return zip(keys, map(table.__getitem__, keys), strict=True)

    def stream(self, runs: Iterator[Slice]) -> Iterator[Pair]:
        return stream_merged(self, runs)
