"""From a table of partials to one sorted run for each partition.

A key's place is its hash as a float. Without a partitioner, partition p of P holds the p-th of P equal ranges
of places: one sort then both orders and divides the pairs, the whole output is in the order of the hash
whatever P is, and a partition that grows too large can be divided again without looking at the others.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate, repeat
from typing import Any

from asyncmr.job import Partitioner, Reduction
from asyncmr.kernel.blocks import Slice
from asyncmr.kernel.failures import UserFailure, excerpt, name_of, stopped_early
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.nans import holds_nan, unify_nans
from asyncmr.kernel.ordering import in_order, order_of_keys

_PLACES = 2.0**64


class Partitioning:
    """Where keys go, and in which order they lie there. A value: it has no state."""

    def __init__(
        self, partitions: int, *, partitioner: Partitioner | None, sorts: bool, hasher: KeyHasher
    ) -> None:
        self.partitions = partitions
        self.sorts = sorts
        self._partitioner = partitioner
        self._hasher = hasher
        self._bounds = [_PLACES * part / partitions for part in range(1, partitions)]

    def runs(self, reduction: Reduction, table: dict[Any, Any]) -> Iterator[tuple[int, Slice]]:
        """`(partition, run)` for each partition that gets something, by number."""
        keys, values, counts = reduction.partials(table)
        kinds = set(map(type, keys))
        if kinds != {str} and holds_nan(keys):
            # Every NaN was a key of its own in the table.
            merged = reduction.table()
            reduction.gather(merged, Slice((), unify_nans(keys), values, counts))
            keys, values, counts = reduction.partials(merged)
        if not keys:
            return
        places = self._hasher.places(keys, kinds)
        order = order_of_keys(keys) if self.sorts else sorted(range(len(keys)), key=places.__getitem__)
        parts: list[Any] | None = None
        if self._partitioner is not None:
            parts = self._ask(self._partitioner, keys)
        elif self.sorts:
            parts = [bisect_right(self._bounds, place) for place in places]
        if parts is not None:
            order.sort(key=parts.__getitem__)  # stable: the order inside a partition stays
        run = in_order(Slice(keys if self.sorts else places, keys, values, counts), order)
        yield from self._divide(run, None if parts is None else list(map(parts.__getitem__, order)))

    def _divide(self, run: Slice, parts: list[int] | None) -> Iterator[tuple[int, Slice]]:
        if parts is None:
            ends = [bisect_left(run.places, bound) for bound in self._bounds]
        else:
            ends = [bisect_left(parts, part) for part in range(1, self.partitions)]
        ends.append(len(run.keys))
        weights = None if run.counts is None else list(accumulate(run.counts, initial=0))
        start = 0
        for part, end in enumerate(ends):
            if end > start:
                a, b = (start, end) if weights is None else (weights[start], weights[end])
                yield (
                    part,
                    Slice(
                        run.places[start:end],
                        run.keys[start:end],
                        run.values[a:b],
                        None if run.counts is None else run.counts[start:end],
                    ),
                )
            start = end

    def _ask(self, partitioner: Partitioner, keys: list[Any]) -> list[int]:
        asked = iter(keys)
        try:
            parts = list(map(operator.index, map(partitioner, asked, repeat(self.partitions))))
            if stopped_early(asked):
                raise StopIteration
        except BaseException as error:
            key = keys[len(keys) - operator.length_hint(asked) - 1]
            raise UserFailure(
                "partitioner",
                f"{name_of(partitioner)} raised {type(error).__name__} for the key {excerpt(key)}, or gave no integer",
                excerpt=excerpt(key),
            ) from error
        if not (min(parts) >= 0 and max(parts) < self.partitions):
            key, part = next((k, p) for k, p in zip(keys, parts, strict=True) if not 0 <= p < self.partitions)
            raise UserFailure(
                "partitioner",
                f"{name_of(partitioner)} gave {part} for the key {excerpt(key)}; "
                f"it must give an integer from 0 to {self.partitions - 1}",
                excerpt=excerpt(key),
            )
        return parts
