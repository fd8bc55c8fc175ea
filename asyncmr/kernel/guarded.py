"""Mappers, batch functions and reducers at work under a guard; each stands in for what it is named after."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, repeat
from typing import Any

from asyncmr.functions import Mapper
from asyncmr.kernel.batching import Batching, Input
from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import UserFailure, check_keys
from asyncmr.kernel.guarding import Guarding
from asyncmr.kernel.layout import Stretch, Table, gathered
from asyncmr.kernel.mapping import Mapping
from asyncmr.kernel.outlets import ColumnBatch, Item, Outlet
from asyncmr.protocols import Decoder, Pair, RecordBatch, Reduction


class _Positions:
    """Where records lie that are asked for in order: each is sought from the last one on."""

    def __init__(self, decoder: Decoder, data: memoryview) -> None:
        self._decoder = decoder
        self._data = data
        self._start = self._position = -1
        self._index = 0

    def of(self, start: int, index: int) -> int:
        """The position of the record which is `index` behind the one at `start`."""
        if start != self._start or index < self._index:
            self._start = self._position = start
            self._index = 0
        self._position = self._decoder.advance(self._data, self._position, index - self._index)
        self._index = index
        return self._position


class GuardedMapping(Mapping):
    """A mapper."""

    def __init__(
        self, guarding: Guarding, mapper: Mapper, decoder: Decoder, data: memoryview, start: int, stop: int
    ) -> None:
        super().__init__(mapper, decoder, data, start, stop)
        self._guarding = guarding
        self._positions = _Positions(decoder, data)

    def into(self, outlet: Outlet) -> Iterator[Item]:
        for batch in self.batches():
            if batch:
                yield from outlet.add(batch)
            yield from self._guarding.waiting()

    def _some(self, piece: RecordBatch, start: int, stop: int) -> Iterator[list[Pair]]:
        before = len(self.rest)
        for batch in self._guarding.batches(self._groups(piece, start, stop), self.rest):
            self.pairs += len(batch)
            yield batch
        self.pairs += len(self.rest) - before

    def _groups(self, piece: RecordBatch, start: int, stop: int) -> Iterator[Iterable[Pair]]:
        keys = None if piece.keys is None else piece.keys[start:stop]
        values = piece.values[start:stop]

        def bundle(begin: int, end: int) -> tuple[Iterator[Pair], Iterator[Any]]:
            records = iter(values[begin:end])
            some = None if keys is None else iter(keys[begin:end])
            made = chain.from_iterable(map(self._mapper, some or repeat(None), records))
            return made, some or records

        def one(index: int) -> Iterable[Pair]:
            key, value = None if keys is None else keys[index], values[index]
            shown = value if keys is None else (key, value)
            position = partial(self._positions.of, piece.start, start + index)
            return self._guarding.group("mapper", self._mapper, (key, value), shown, position)

        return self._guarding.bundles("mapper", len(values), bundle, one)


class GuardedBatching(Batching):
    """A batch function that is called for the records of a batch one by one where it fails on all of them.

    Those that it takes are then its batch: what it makes of them one by one is not looked at, since a result must not
    depend on why a batch was looked through.
    """

    def __init__(
        self, guarding: Guarding, mapper: Mapper, decoder: Decoder, data: memoryview, start: int, stop: int
    ) -> None:
        super().__init__(mapper, decoder, data, start, stop)
        self._guarding = guarding
        self._positions = _Positions(decoder, data)
        self._batches = 0

    def into(self, outlet: Outlet) -> Iterator[Item]:
        for given, batch in self._mapped():
            yield from self.taken(given, batch, outlet)
            yield from self._guarding.waiting()

    def _call(self, given: Input) -> ColumnBatch:
        number, self._batches = self._batches, self._batches + 1
        whole = self._guarding.bundle("mapper", number, given.records, partial(self._checked, given))
        if whole is None:
            whole = self._looked_through(given)
        self._guarding.marks.clear()
        return whole

    def _looked_through(self, given: Input) -> ColumnBatch:
        rows = self._rows(given)
        good = [
            index
            for index, row in enumerate(rows)
            if self._guarding.run(
                "mapper",
                partial(self._checked, self._only(given, rows, [index])),
                _shown(given, row, index),
                partial(self._positions.of, given.start, index),
                counted=False,
            )
            is not None
        ]
        self._guarding.marks.clear()
        if not good:
            return ColumnBatch([], [])
        try:
            return self._checked(self._only(given, rows, good))
        except UserFailure as failure:
            failure.facts["message"] += ", though on none of these records alone"
            raise

    def _checked(self, given: Input) -> ColumnBatch:
        batch = super()._call(given)
        if self._guarding.hashes:
            check_keys(batch.keys)
        return batch


def _shown(given: Input, row: Any, index: int) -> Any:
    if isinstance(given.raw, bytes):
        return str(row, "utf-8", "replace").removesuffix("\n").removesuffix("\r")
    return row if given.keys is None else (given.keys[index], row)


def guarded_results(
    guarding: Guarding, reduction: Reduction, keys: list[Any], table: Table
) -> Iterator[Iterable[Pair]]:
    """The results of these keys."""

    def bundle(start: int, stop: int) -> tuple[Iterator[Pair], None]:
        return reduction.results(keys[start:stop], table), None

    def one(index: int) -> Iterable[Pair]:
        key = keys[index]
        return guarding.group("reducer", reduction.results, ([key], table), key)

    return guarding.bundles("reducer", len(keys), bundle, one)


def guarded_stream(guarding: Guarding, reduction: Reduction, stretch: Stretch) -> Iterator[Iterable[Pair]]:
    """The results of each key of an endless stretch."""
    if reduction.folds:
        others = gathered(reduction, stretch.slices)
    else:
        first = next(stretch.slices)
        key, others = first.keys[0], reduction.table()
        own = _own(key, chain([first], stretch.slices), reduction, others)
        drain = partial(deque[Slice], own, 0)
        yield guarding.stream("reducer", partial(reduction.stream, own), key, drain)
        deque(own, maxlen=0)
    yield from guarded_results(guarding, reduction, list(others), others)


def _own(key: Any, slices: Iterator[Slice], reduction: Reduction, others: Table) -> Iterator[Slice]:
    """The slices with the pairs of this key alone; those of other keys go into a table."""
    for run in slices:
        counts = run.counts or [1] * len(run.keys)
        mine = Slice((), [], [], [])
        rest = Slice((), [], [], [])
        at = 0
        for got, count in zip(run.keys, counts, strict=True):
            into = mine if got is key or got == key else rest
            into.keys.append(got)
            into.values.extend(run.values[at : at + count])
            assert into.counts is not None
            into.counts.append(count)
            at += count
        if rest.keys:
            reduction.gather(others, rest)
        if mine.keys:
            yield mine
