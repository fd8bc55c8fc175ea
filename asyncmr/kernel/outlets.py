"""Where a task's pairs go: into a table that is flushed as runs, or straight into encoded chunks.

Both take batches, of pairs or of columns, and give items, `(meta, data)`. `meta` is `("runs", flush, shares, ends)`
for pieces of runs, one behind the other, and `("out", partition)` for a chunk of output. Where a table is flushed and a
chunk ends depends on the pairs alone. Both can be put down as bytes in the middle of a split and taken up again in
another worker.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from asyncmr.kernel.blocks import Slice, decode_block, decode_pairs, encode_block, encode_pairs
from asyncmr.kernel.failures import check_keys, check_pairs
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.kernel.layout import Layout
from asyncmr.protocols import Encoder, Pair, Reduction

Item = tuple[tuple[Any, ...], bytes]

SAMPLE = slice(None, None, 64)
# Of small pairs every eighth batch is looked at; one look costs as much as mapping a hundred words.
_EVERY = 8
_LARGE = 1024
TABLE_BYTES = 40 << 20
# Pieces of runs leave together when they are this many bytes.
PACK_BYTES = 1 << 20
CHUNK_PAIRS = 8192
_STEP = 1024
CHUNK_BYTES = 4 << 20
# Of columns, as many pairs are looked at a batch, but not more than of pairs.
_COLUMN_SAMPLE = 64


class ColumnBatch(NamedTuple):
    """Pairs as columns. `partial`: the values are what a table keeps for a key, rather than values of it."""

    keys: list[Any]
    values: list[Any]
    partial: bool = False

    @property
    def counts(self) -> None:
        """Each key has one value."""
        return None


class Outlet(Protocol):
    """What a task's pairs go into."""

    def add(self, batch: list[Pair]) -> Iterator[Item]:
        """Takes a batch; gives the items that are complete."""

    def add_columns(self, batch: ColumnBatch) -> Iterator[Item]:
        """The same for a batch of columns."""


class TableSize:
    """Estimates what a table takes in memory, from a sample of the pairs that went in.

    The estimate is the same in every process and at every attempt, because where a table is flushed decides
    how values are grouped.
    """

    _ENTRY = 110  # what a dict takes for an entry, half of it filled
    _LIST = 72  # an empty list with room for a few values
    _POINTER = 8

    def __init__(self, *, folds: bool, passes: bool = False) -> None:
        self._folds = folds
        self._key = self._POINTER if passes else self._ENTRY + self._LIST
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

    def add_columns(self, batch: ColumnBatch, table: dict[Any, Any]) -> int:
        """The size in bytes after this batch; 0 if it was empty."""
        step = min(max(len(batch.keys) // _COLUMN_SAMPLE, 1), SAMPLE.step * _EVERY)
        keys = batch.keys[::step]
        if not keys:
            return 0
        values = list(map(table.get, keys)) if self._folds else batch.values[::step]
        # A sample counts for all that it stands for: batches differ in length.
        weight = len(batch.keys)
        sampled, key_bytes, value_bytes, pairs = self.state
        self.state = (
            sampled + weight,
            key_bytes + estimate_bytes(keys) * weight // len(keys),
            value_bytes + estimate_bytes(values) * weight // len(keys),
            pairs + weight,
        )
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
        entry = self._key * sampled + key_bytes
        return (len(table) * entry + pairs * (self._POINTER * sampled + value_bytes)) // sampled


class RunOutlet:
    """Pairs into a table; the table, when it is full and at the end, into a run for each partition."""

    def __init__(
        self, reduction: Reduction, layout: Layout, *, folds: bool, table_bytes: int = TABLE_BYTES
    ) -> None:
        self.reduction = reduction
        self.layout = layout
        self.table = reduction.table()
        self.flushes = 0
        self.pairs_out = 0
        self._table_bytes = table_bytes
        self._size = TableSize(folds=folds, passes=reduction.passes)

    def add(self, batch: list[Pair]) -> Iterator[Item]:
        """Takes a batch; gives the runs of the table if it is full and combining does not make room."""
        self.reduction.absorb(self.table, batch)
        yield from self._make_room(self._size.add(batch, self.table))

    def add_columns(self, batch: ColumnBatch) -> Iterator[Item]:
        """`add` of a batch of columns."""
        try:
            if batch.partial:
                self.reduction.gather(self.table, batch)
            else:
                self.reduction.absorb_columns(self.table, batch)
        except BaseException:
            check_keys(batch.keys)
            raise
        yield from self._make_room(self._size.add_columns(batch, self.table))

    def _make_room(self, size: int) -> Iterator[Item]:
        if size >= self._table_bytes:
            if self.reduction.combines and not self.reduction.folds:
                self.reduction.condense(self.table)
                if self._size.condensed(self.table) < self._table_bytes // 8 * 7:
                    return
            yield from self.finish()

    def finish(self) -> Iterator[Item]:
        """The runs of what the table holds."""
        pack = Pack(self.flushes)
        for share, slices in self.layout.divided(self.reduction, self.table):
            self.table.clear()  # the columns hold all of it by now
            self.pairs_out += sum(len(part.values) for part in slices)
            for piece in self.layout.encoded(slices):
                yield from pack.add(share, piece)
        yield from pack.finish()
        self.flushes += 1
        self._size.clear()

    def put_down(self) -> tuple[tuple[Any, ...], bytes]:
        """What `take_up` needs to go on: figures, and the table."""
        state = (self.flushes, self.pairs_out, self._size.state)
        return state, encode_block(Slice((), *self.reduction.snapshot(self.table)), placed=False)

    def take_up(self, state: tuple[Any, ...], data: memoryview) -> None:
        """Goes on where another worker put down."""
        self.flushes, self.pairs_out, self._size.state = state
        self.reduction.gather(self.table, decode_block(data))


class Pack:
    """Pieces of runs on their way to the host, some of them in one item. `flush`: which runs of the task they are."""

    def __init__(self, flush: int) -> None:
        self._flush = flush
        self._shares: list[int] = []
        self._ends: list[int] = []
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, share: int, piece: bytes) -> Iterator[Item]:
        """Takes a piece; gives an item if there are enough."""
        self._size += len(piece)
        self._shares.append(share)
        self._ends.append(self._size)
        self._pieces.append(piece)
        if self._size >= PACK_BYTES:
            yield from self.finish()

    def finish(self) -> Iterator[Item]:
        """The item that has begun."""
        if self._pieces:
            numbers = array("I", self._shares).tobytes(), array("I", self._ends).tobytes()
            yield ("runs", self._flush, *numbers), b"".join(self._pieces)
            self._shares, self._ends, self._pieces, self._size = [], [], [], 0


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
        self.facts: dict[str, int] = {}

    def add(self, batch: list[Pair]) -> Iterator[Item]:
        """Takes a batch; gives a chunk if one is full."""
        try:
            keys, values = [key for key, _ in batch], [value for _, value in batch]
        except (TypeError, ValueError):
            check_pairs(self._role, f"the {self._role}", batch)
            raise
        self._keys += keys
        self._values += values
        sample = keys[SAMPLE] + values[SAMPLE]
        yield from self._grown(estimate_bytes(sample) * len(keys) * 2 // len(sample))

    def add_columns(self, batch: ColumnBatch) -> Iterator[Item]:
        """Takes a batch of columns; gives the chunks that are full."""
        at = 0
        while at < len(batch.keys):
            # Chunks end at the same pairs, in whatever portions these come.
            end = at + _STEP - len(self._keys) % _STEP
            self._keys += batch.keys[at:end]
            self._values += batch.values[at:end]
            at = end
            if len(self._keys) % _STEP:
                return
            sample = self._keys[-_STEP::64] + self._values[-_STEP::64]
            yield from self._grown(estimate_bytes(sample) * 64)

    def _grown(self, size: int) -> Iterator[Item]:
        self._bytes += size
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
