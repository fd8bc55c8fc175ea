"""Where a task's pairs go: into a table that is flushed as runs, or straight into encoded chunks.

Both take batches and give items, `(meta, data)`. `meta` is `("run", partition, flush, pairs)` for a block of a
run, and `("out", partition, pairs)` for a chunk of output. Where a table is flushed and a chunk ends depends on
the pairs alone. Both can be put down as bytes in the middle of a split and taken up again in another worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from asyncmr.job import Encoder, Pair, Reduction
from asyncmr.kernel.blocks import Slice, cut_blocks, decode_block, decode_pairs, encode_block, encode_pairs
from asyncmr.kernel.failures import check_pairs
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.kernel.partitioning import Partitioning

Item = tuple[tuple[Any, ...], bytes]

SAMPLE = slice(None, None, 64)
# Of small pairs every eighth batch is looked at; one look costs as much as mapping a hundred words.
_EVERY = 8
_LARGE = 1024
TABLE_BYTES = 96 << 20
CHUNK_PAIRS = 8192
CHUNK_BYTES = 4 << 20


class TableSize:
    """Estimates what a table takes in memory, from a sample of the pairs that went in.

    The estimate is the same in every process and at every attempt, because where a table is flushed decides
    how values are grouped.
    """

    _ENTRY = 110  # what a dict takes for an entry, half of it filled
    _LIST = 72  # an empty list with room for a few values
    _POINTER = 8

    def __init__(self, *, folds: bool) -> None:
        self._folds = folds
        self.clear()

    def clear(self) -> None:
        """The table is empty again."""
        self.state = (0, 0, 0, 0)

    def add(self, batch: list[Pair], table: dict[Any, Any]) -> int:
        """The size in bytes after this batch; 0 if it was not looked at."""
        sampled, key_bytes, value_bytes, pairs = self.state
        if pairs % (len(batch) * _EVERY) and key_bytes + value_bytes < sampled * _LARGE:
            self.state = (sampled, key_bytes, value_bytes, pairs + len(batch))
            return 0
        sample = batch[SAMPLE]
        keys = [key for key, _ in sample]
        values = list(map(table.get, keys)) if self._folds else [value for _, value in sample]
        sampled += len(sample)
        key_bytes += estimate_bytes(keys)
        value_bytes += estimate_bytes(values)
        pairs += len(batch)
        self.state = (sampled, key_bytes, value_bytes, pairs)
        return self._size(table)

    def condensed(self, table: dict[Any, Any]) -> int:
        """The size in bytes after combining the values of each key to about one."""
        sampled, key_bytes, value_bytes, _ = self.state
        self.state = (sampled, key_bytes, value_bytes, len(table))
        return self._size(table)

    def _size(self, table: dict[Any, Any]) -> int:
        sampled, key_bytes, value_bytes, pairs = self.state
        if self._folds:
            return len(table) * (self._ENTRY * sampled + key_bytes + value_bytes) // sampled
        entry = (self._ENTRY + self._LIST) * sampled + key_bytes
        return (len(table) * entry + pairs * (self._POINTER * sampled + value_bytes)) // sampled


class RunOutlet:
    """Pairs into a table; the table, when it is full and at the end, into a sorted run for each partition."""

    def __init__(self, reduction: Reduction, partitioning: Partitioning, *, folds: bool) -> None:
        self.reduction = reduction
        self.partitioning = partitioning
        self.table = reduction.table()
        self.flushes = 0
        self.pairs_out = 0
        self._size = TableSize(folds=folds)

    def add(self, batch: list[Pair]) -> Iterator[Item]:
        """Takes a batch; gives the runs of the table if it is full and combining does not make room."""
        self.reduction.absorb(self.table, batch)
        if self._size.add(batch, self.table) >= TABLE_BYTES:
            if self.reduction.combines and not self.reduction.folds:
                self.reduction.condense(self.table)
                if self._size.condensed(self.table) < TABLE_BYTES // 8 * 7:
                    return
            yield from self.finish()

    def finish(self) -> Iterator[Item]:
        """The runs of what the table holds."""
        for partition, run in self.partitioning.runs(self.reduction, self.table):
            yield from self.blocks(partition, run)
        self.table.clear()
        self.flushes += 1
        self._size.clear()

    def blocks(self, partition: int, run: Slice) -> Iterator[Item]:
        """One run as items."""
        self.pairs_out += len(run.values)
        for block in cut_blocks(run, sorts=self.partitioning.sorts):
            yield ("run", partition, self.flushes), block

    def put_down(self) -> tuple[tuple[Any, ...], bytes]:
        """What `take_up` needs to go on: figures, and the table."""
        state = (self.flushes, self.pairs_out, self._size.state)
        return state, encode_block(Slice((), *self.reduction.snapshot(self.table)), sorts=True)

    def take_up(self, state: tuple[Any, ...], data: memoryview) -> None:
        """Goes on where another worker put down."""
        self.flushes, self.pairs_out, self._size.state = state
        self.reduction.gather(self.table, decode_block(data))


class ChunkOutlet:
    """Pairs into chunks of output."""

    def __init__(self, encoder: Encoder, partition: int, *, role: str) -> None:
        self._role = role
        self._encoder = encoder
        self._partition = partition
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self._bytes = 0
        self.pairs_out = 0

    def add(self, batch: list[Pair]) -> Iterator[Item]:
        """Takes a batch; gives a chunk if one is full."""
        try:
            self._keys += [key for key, _ in batch]
            self._values += [value for _, value in batch]
        except (TypeError, ValueError):
            check_pairs(self._role, f"the {self._role}", batch)
            raise
        sample = batch[SAMPLE]
        self._bytes += estimate_bytes(list(chain.from_iterable(sample))) * len(batch) // len(sample)
        if len(self._keys) >= CHUNK_PAIRS or self._bytes >= CHUNK_BYTES:
            yield from self.finish()

    def finish(self) -> Iterator[Item]:
        """The chunk that has begun."""
        if self._keys:
            self.pairs_out += len(self._keys)
            yield ("out", self._partition), self._encoder.encode(self._keys, self._values)
            self._keys, self._values, self._bytes = [], [], 0

    def put_down(self) -> tuple[tuple[Any, ...], bytes]:
        """What `take_up` needs to go on: figures, and the pairs."""
        return (self.pairs_out, self._bytes), encode_pairs(self._keys, self._values)

    def take_up(self, state: tuple[Any, ...], data: memoryview) -> None:
        """Goes on where another worker put down."""
        self.pairs_out, self._bytes = state
        self._keys, self._values = decode_pairs(data)
