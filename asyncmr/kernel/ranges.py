"""Ranges: the layout of a total order.

The bounds cut the keys into ranges, as many for each partition as it has shares. A run is one piece for each range:
pairs in order, in blocks. A reducer gets all pieces of a range in one round, and sorts them as a whole, which
finds the runs and merges them in C. A range that would take too much room, because it holds a key with
very many values, say, is merged block by block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import Any

from asyncmr.kernel.blocks import Slice, block_views, cut_blocks, decode_block, keys_in
from asyncmr.kernel.bounds import Bounds
from asyncmr.kernel.buckets import SortedFeed, shares_of
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.layout import Feed, Stretch, Table
from asyncmr.kernel.merging import Merge
from asyncmr.kernel.ordering import check_order, comparing, divided, in_order_of_keys
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.sorted_runs import SortedLayout
from asyncmr.protocols import Reduction

# What is sorted at once: as Python objects, short keys take ten times their encoded bytes.
SORTED_BYTES = 8 << 20
SORTED_KEYS = 1 << 18


class RangeLayout:
    """`shares` ranges for each partition, of which one that has more than `sorted_bytes` is merged block by block.

    `bounds`: encoded, as chosen from a sample; without them the keys that come first choose them, which takes a task
    that sees the whole input.
    """

    def __init__(
        self,
        partitions: int,
        shares: int,
        hasher: KeyHasher,
        *,
        bounds: bytes = b"",
        sorted_bytes: int = SORTED_BYTES,
    ) -> None:
        self.fine = SortedLayout(Partitioning(1, hasher=hasher), by_key=True)
        self._hasher = hasher
        self._partitions = partitions
        self._shares = shares
        self._sorted_bytes = sorted_bytes
        self._bounds = Bounds.decoded(bounds) if bounds else None

    def within(self, bounds: bytes) -> RangeLayout:
        """The same for one task, with these bounds."""
        return RangeLayout(
            self._partitions, self._shares, self._hasher, bounds=bounds, sorted_bytes=self._sorted_bytes
        )

    def divided(self, reduction: Reduction, table: Table) -> Iterator[tuple[int, list[Slice]]]:
        keys, values, counts = reduction.partials(table)
        if not keys:
            return
        check_order(keys)
        run = in_order_of_keys(Slice((), keys, values, counts))
        if self._bounds is None:
            weights = [1] * len(keys) if run.counts is None else run.counts
            self._bounds = Bounds.chosen(run.keys, weights, self._partitions, self._shares)
        for share, part in divided(run, self._bounds.divide(run.keys)):
            yield share, [part]

    def encoded(self, slices: list[Slice]) -> Iterator[bytes]:
        yield b"".join(chain.from_iterable(cut_blocks(part, placed=False) for part in slices))

    def stretches(self, feed: Feed, reduction: Reduction) -> Iterator[Stretch]:
        for share, pieces in shares_of(feed):
            blocks = list(map(deque, map(block_views, pieces)))
            large = sum(map(len, pieces)) > self._sorted_bytes
            if large or sum(map(keys_in, chain.from_iterable(blocks))) > SORTED_KEYS:
                for stretch in comparing(Merge(SortedFeed(blocks)).stretches()):
                    yield Stretch(stretch.slices, stretch.endless, share)
            else:
                yield Stretch(map(decode_block, chain.from_iterable(blocks)), bucket=share)

    def written(self, columns: Iterable[tuple[int, Slice]]) -> Iterator[tuple[int, bytes]]:
        for share, some in groupby(columns, lambda column: column[0]):
            yield share, b"".join(self.encoded([self.sorted(pairs) for _, pairs in some]))

    def sorted(self, pairs: Slice) -> Slice:
        return self.fine.sorted(pairs)

    def ordered(self, keys: list[Any]) -> list[Any]:
        return self.fine.ordered(keys)
