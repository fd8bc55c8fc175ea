"""Sorted runs: the layout of jobs that sort, and of partitions too large to be read at once.

The pairs of a run lie in the order of their keys, or in that of their places, and are cut into pieces of some
thousand pairs, so that many runs can be merged with a little of each in memory. A key's place is its hash as a float.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from asyncmr.kernel.blocks import Slice, cut_blocks
from asyncmr.kernel.layout import Feed, Stretch, Table, partials_of
from asyncmr.kernel.merging import Merge
from asyncmr.kernel.ordering import (
    check_order,
    comparing,
    divided,
    in_order,
    in_order_of_keys,
    order_of_keys,
)
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.protocols import Reduction


class SortedLayout:
    """`by_key`: in the keys' own order; otherwise in that of their hash."""

    def __init__(self, partitioning: Partitioning, *, by_key: bool) -> None:
        self._partitioning = partitioning
        self._by_key = by_key

    @property
    def fine(self) -> SortedLayout:
        return self

    def divided(self, reduction: Reduction, table: Table) -> Iterator[tuple[int, list[Slice]]]:
        keys, values, counts, kinds = partials_of(reduction, table)
        if not keys:
            return
        if self._by_key:
            check_order(keys)
        run = self.sorted(Slice((), keys, values, counts))
        if self._partitioning.one(keys, kinds):
            yield 0, [run]
            return
        parts = self._partitioning.divide(run.keys, 1, {str} if kinds == {str} else None)
        order = sorted(range(len(parts)), key=parts.__getitem__)  # stable: the order inside a partition stays
        for part, some in divided(in_order(run, order), _cuts(sorted(parts), self._partitioning.partitions)):
            yield part, [some]

    def sorted(self, pairs: Slice) -> Slice:
        """The pairs in order, with their places; pairs of one place stay as they were."""
        if self._by_key:
            return in_order_of_keys(pairs)
        places = self._partitioning.hasher.places(pairs.keys)
        order = sorted(range(len(places)), key=places.__getitem__)
        return in_order(pairs._replace(places=places), order)

    def encoded(self, slices: list[Slice]) -> Iterator[bytes]:
        for run in slices:
            yield from cut_blocks(run, placed=not self._by_key)

    def stretches(self, feed: Feed, reduction: Reduction) -> Iterator[Stretch]:
        stretches = Merge(feed).stretches()
        return comparing(stretches) if self._by_key else stretches

    def written(self, columns: Iterable[tuple[int, Slice]]) -> Iterator[tuple[int, bytes]]:
        for _, pairs in columns:
            for piece in self.encoded([self.sorted(pairs)]):
                yield 0, piece

    def ordered(self, keys: list[Any]) -> list[Any]:
        if self._by_key:
            order = order_of_keys(keys)
        else:
            places = self._partitioning.hasher.places(keys)
            order = sorted(range(len(keys)), key=places.__getitem__)
        return list(map(keys.__getitem__, order))


def _cuts(parts: list[int], partitions: int) -> Iterator[tuple[int, int, int]]:
    """`(partition, start, end)` of each partition among these sorted numbers."""
    ends = [bisect_left(parts, part) for part in range(1, partitions)] + [len(parts)]
    for part, (start, end) in enumerate(pairwise([0, *ends])):
        if end > start:
            yield part, start, end
