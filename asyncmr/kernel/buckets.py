"""Buckets: the layout of runs that nobody has to sort.

The hashes of a share are divided into buckets. A run is one piece, in which the buckets lie one behind the other;
inside a bucket the pairs lie as the table gave them. A reducer gets all runs of a share in one round, and gathers
one bucket after the other: a fraction of the share at a time, in a table that stays in the cache. Compared with
sorted runs that is half the work in the mapper's worker and half the bytes, since no place
of a key need travel along.

A bucket too large to be gathered, because it holds a key with very many values, is put in order first: its
runs are sorted under the whole hash, and merged.

A piece is the length of each bucket in bytes, then the buckets; a bucket is blocks, one behind the other.
"""

from __future__ import annotations

import marshal
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, groupby, pairwise
from typing import Any

from asyncmr.kernel.blocks import Slice, decode_blocks, encode_block
from asyncmr.kernel.hashing import KeyHasher
from asyncmr.kernel.layout import Feed, Stretch, Table, gathered, partials_of
from asyncmr.kernel.merging import Merge, describe_round
from asyncmr.kernel.partitioning import Partitioning
from asyncmr.kernel.sorted_runs import SortedLayout
from asyncmr.protocols import Reduction

# Hashed and dealt out at a time, so that the hashes of a large table are never all there.
_AT_ONCE = 32_768
# A bucket that is larger, encoded, is sorted and merged, from runs of this many bytes.
BUCKET_BYTES = 2 << 20
_LOCAL_RUN = 1 << 20


def describe_shares(shares: list[tuple[int, list[int]]], *, last: bool) -> bytes:
    """The first buffer of a round: the shares that it holds, where each piece of them ends in the second buffer, and
    whether it is the last round."""
    return marshal.dumps((shares, last))


def shares_of(feed: Feed) -> Iterator[tuple[int, list[memoryview]]]:
    """The shares that are fed, and the pieces of each."""
    last = False
    while not last:
        described, data = feed.ask(())
        shares, last = marshal.loads(described)
        start = 0
        for share, ends in shares:
            yield share, [data[a:b] for a, b in pairwise([start, *ends])]
            start = ends[-1]


class BucketLayout:
    """`buckets` for each share. A bucket of more than `bucket_bytes` is sorted when it is read."""

    def __init__(self, partitioning: Partitioning, buckets: int, *, bucket_bytes: int = BUCKET_BYTES) -> None:
        self.fine = SortedLayout(Partitioning(1, hasher=partitioning.hasher), by_key=False)
        self._partitioning = partitioning
        self._buckets = buckets
        self._bucket_bytes = bucket_bytes
        self._lengths = struct.Struct(f"<{buckets}I")

    @property
    def hasher(self) -> KeyHasher:
        """What decides where a key lies."""
        return self._partitioning.hasher

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._partitioning, self._buckets, self._bucket_bytes)

    def divided(self, reduction: Reduction, table: Table) -> Iterator[tuple[int, list[Slice]]]:
        keys, values, counts, kinds = partials_of(reduction, table)
        if not keys:
            return
        if self._buckets == 1 and self._partitioning.one(keys, kinds):
            yield 0, [Slice((), keys, values, counts)]
            return
        slices = self._deal(keys, values, counts, {str} if kinds == {str} else None)
        for share, first in enumerate(range(0, len(slices), self._buckets)):
            some = slices[first : first + self._buckets]
            if any(part.keys for part in some):
                yield share, some

    def _deal(
        self, keys: list[Any], values: list[Any], counts: list[int] | None, kinds: set[type] | None
    ) -> list[Slice]:
        """The pairs of each bucket."""
        total = self._partitioning.partitions * self._partitioning.shares * self._buckets
        dealt_keys: list[list[Any]] = [[] for _ in range(total)]
        dealt: list[list[Any]] = [[] for _ in range(total)]
        groups: list[Any] = values
        if counts is not None:
            groups = [values[a:b] for a, b in pairwise(accumulate(counts, initial=0))]
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            numbers = self._partitioning.divide(some, self._buckets, kinds)
            for key, group, number in zip(some, groups[start : start + _AT_ONCE], numbers, strict=True):
                dealt_keys[number].append(key)
                dealt[number].append(group)
        if counts is None:
            return [Slice((), bucket, column, None) for bucket, column in zip(dealt_keys, dealt, strict=True)]
        return [
            Slice((), bucket, list(chain.from_iterable(column)), list(map(len, column)))
            for bucket, column in zip(dealt_keys, dealt, strict=True)
        ]

    def encoded(self, slices: list[Slice]) -> Iterator[bytes]:
        yield self._piece([encode_block(part, placed=False) if part.keys else b"" for part in slices])

    def _piece(self, buckets: list[bytes]) -> bytes:
        return b"".join((self._lengths.pack(*map(len, buckets)), *buckets))

    def slices(self, piece: memoryview) -> Iterator[Slice]:
        """The pairs of one piece, bucket by bucket."""
        return decode_blocks(piece[self._lengths.size :])

    def stretches(self, feed: Feed, reduction: Reduction) -> Iterator[Stretch]:
        for share, pieces in shares_of(feed):
            yield from self._share(share, pieces, reduction)

    def _share(self, share: int, pieces: list[memoryview], reduction: Reduction) -> Iterator[Stretch]:
        lengths = [self._lengths.unpack_from(piece) for piece in pieces]
        at = [self._lengths.size] * len(pieces)
        for bucket in range(self._buckets):
            found = []
            for number, piece in enumerate(pieces):
                if length := lengths[number][bucket]:
                    found.append(piece[at[number] : at[number] + length])
                    at[number] += length
            if sum(map(len, found)) > self._bucket_bytes:
                for stretch in Merge(self._sorted(found, reduction)).stretches():
                    yield Stretch(stretch.slices, stretch.endless, share * self._buckets + bucket)
            elif found:
                slices = chain.from_iterable(map(decode_blocks, found))
                yield Stretch(slices, bucket=share * self._buckets + bucket)

    def _sorted(self, found: list[memoryview], reduction: Reduction) -> SortedFeed:
        """One bucket of all runs, as a few sorted runs."""
        runs: list[deque[bytes]] = []
        while found:
            some = [found.pop(0)]
            while found and sum(map(len, some)) + len(found[0]) <= _LOCAL_RUN:
                some.append(found.pop(0))
            table = gathered(reduction, chain.from_iterable(map(decode_blocks, some)))
            run = self.fine.sorted(Slice((), *reduction.snapshot(table)))
            runs.append(deque(self.fine.encoded([run])))
        return SortedFeed(runs)

    def written(self, columns: Iterable[tuple[int, Slice]]) -> Iterator[tuple[int, bytes]]:
        for share, some in groupby(columns, lambda column: column[0] // self._buckets):
            buckets: list[list[bytes]] = [[] for _ in range(self._buckets)]
            for bucket, pairs in some:
                buckets[bucket % self._buckets].append(encode_block(pairs, placed=False))
            yield share, self._piece([b"".join(blocks) for blocks in buckets])

    def sorted(self, pairs: Slice) -> Slice:
        return self.fine.sorted(pairs)

    def ordered(self, keys: list[Any]) -> list[Any]:
        return self.fine.ordered(keys)


def _restored(partitioning: Partitioning, buckets: int, bucket_bytes: int) -> BucketLayout:
    return BucketLayout(partitioning, buckets, bucket_bytes=bucket_bytes)


class SortedFeed:
    """Sorted runs in memory as a feed; gives a block of each wanted run."""

    def __init__(self, runs: Sequence[deque[bytes] | deque[memoryview]]) -> None:
        self._runs = runs

    def ask(self, wanted: tuple[int, ...]) -> list[memoryview]:
        numbers = wanted or tuple(range(len(self._runs)))
        blocks = [memoryview(self._runs[number].popleft()) for number in numbers]
        described = [(number, not self._runs[number]) for number in numbers]
        return [memoryview(describe_round(described)), *blocks]
