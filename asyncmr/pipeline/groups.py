"""Groups: the keys and values that an async reducer is called with, read partition by partition.

The values of a key are held in memory where they have room there. Those of a key with more are read again when they are
asked for, by as many attempts as there are: the blocks of a partition stay until it is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from asyncmr.actors import Actor
from asyncmr.asynchronous import HELD_BYTES, Values
from asyncmr.kernel.blocks import decode_pairs, pair_blocks
from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.pipeline.attempts import Done
from asyncmr.pipeline.call import Record
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.messages import HANDLE
from asyncmr.pipeline.portions import Portion
from asyncmr.pipeline.stored import StoredParts
from asyncmr.protocols import Piece
from asyncmr.storage.block import Block
from asyncmr.storage.runs import BlockStore

Place = tuple[int, int]
"""Where a pair lies: in which block of its partition, and which of its pairs it is."""


class PartitionPortion:
    """One partition, as pairs that `kernel.groups.grouped` made, in these blocks."""

    pieces: tuple[Piece, ...] = ()
    basis = 0

    def __init__(self, number: int, blocks: Sequence[Block], store: BlockStore) -> None:
        self.number = number
        self.size = sum(block.size for block in blocks)
        self.done: Done[Made] | None = None
        self._blocks = blocks
        self._store = store
        self._values_read = 0

    async def records(self) -> AsyncGenerator[Record, None]:
        group: _Group | None = None
        async with aclosing(self._pairs((0, 0))) as pairs:
            async for place, key, first, values in pairs:
                if first:
                    if group is not None:
                        yield group.record()
                    group = _Group(key, place, self._values)
                assert group is not None
                group.add(values)
                self._values_read += len(values)
        if group is not None:
            yield group.record()

    def reached(self, calls: int) -> int:
        return 0

    def figures(self) -> dict[str, int]:
        return {"pairs_in": self._values_read}

    def release(self) -> None:
        for block in self._blocks:
            self._store.free(block)

    async def _values(self, place: Place, faults: list[Exception]) -> AsyncIterator[list[Any]]:
        """The values of the key whose first pair lies there; `faults` gets what keeps them from being read."""
        try:
            async with aclosing(self._pairs(place)) as pairs:
                async for at, _, first, values in pairs:
                    if first and at != place:
                        return
                    yield values
        except (
            Exception
        ) as error:  # its consumer is the user's function, which may take it for its own, or drop it
            faults.append(error)
            raise

    async def _pairs(self, place: Place) -> AsyncGenerator[tuple[Place, Any, bool, list[Any]], None]:
        """The pairs from there on."""
        begin, start = place
        for at, block in enumerate(self._blocks[begin:], begin):
            number = 0
            for view, count in pair_blocks(await self._store.read(block)):
                if number + count > start:
                    for key, (first, values) in zip(*decode_pairs(view), strict=True):
                        if number >= start:
                            yield (at, number), key, first, values
                        number += 1
                    await asyncio.sleep(0)
                else:
                    number += count
            start = 0


class _Group:
    """A key, and its values as long as they have room."""

    def __init__(
        self, key: Any, place: Place, read: Callable[[Place, list[Exception]], AsyncIterator[list[Any]]]
    ) -> None:
        self._key = key
        self._place = place
        self._read = read
        self._held: list[Any] | None = []
        self._size = 0

    def add(self, values: list[Any]) -> None:
        if self._held is None:
            return
        self._size += estimate_bytes(values) + 8 * len(values)
        self._held += values
        if self._size > HELD_BYTES:
            self._held = None

    def record(self) -> Record:
        faults: list[Exception] = []
        pieces = partial(self._read, self._place, faults)
        values = Values[Any](excerpt(self._key), self._held, pieces)
        return Record(self._key, values, None, min(self._size, HELD_BYTES), faults)


class GroupReader(Actor[None, Portion]):
    """Reads what was grouped, partition by partition."""

    def __init__(self, stored: StoredParts, store: BlockStore) -> None:
        super().__init__("source")
        self._stored = stored
        self._store = store

    async def produce(self) -> None:
        for index, blocks in self._stored.parts():
            await self.emit(PartitionPortion(index, blocks, self._store), HANDLE)
