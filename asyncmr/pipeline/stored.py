"""Parts that wait in the block store: between two steps of a chain, and on their way to the reader of a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from asyncmr.connectors.streamed import StoredPart
from asyncmr.job import Buffers, SourceInfo, Split
from asyncmr.kernel.decoding import PairBlocks
from asyncmr.kernel.formats import PairFormat
from asyncmr.storage.block import Block
from asyncmr.storage.runs import BlockStore


class StoredParts:
    """The sink of a step that has a next one, and that next one's source."""

    encoder = PairFormat()
    decoder = PairBlocks()

    def __init__(self, store: BlockStore, split_bytes: int) -> None:
        self._store = store
        self._split_bytes = split_bytes
        self._parts: dict[int, StoredPart] = {}

    async def open(self, disk: Any) -> None:
        """Nothing to make ready."""

    async def part(self, index: int, attempt: int) -> StoredPart:
        return StoredPart(self._store)

    async def accept(self, index: int, writer: Any) -> None:
        self._parts[index] = writer

    async def commit(self) -> None:
        """Only the next step sees the parts."""

    async def abort(self) -> None:
        """The blocks go with their store."""

    async def prepare(self, disk: Any) -> SourceInfo:
        return SourceInfo(sum(block.size for part in self._parts.values() for block in part.blocks))

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The parts in order; a block's room is free again once it was read."""
        for index, blocks in enumerate(self._cut()):
            length = sum(block.size for block in blocks)
            buffer = await buffers.lease(length)
            try:
                await self._store.read_into([(block, 0) for block in blocks], buffer.view)
                for block in blocks:
                    self._store.free(block)
            except BaseException:
                buffer.release()
                raise
            yield Split(index, length, buffer=buffer)

    def _cut(self) -> Iterator[list[Block]]:
        some: list[Block] = []
        size = 0
        for _, part in sorted(self._parts.items()):
            for block in part.blocks:
                if some and size + block.size > self._split_bytes:
                    yield some
                    some, size = [], 0
                some.append(block)
                size += block.size
        if some:
            yield some
