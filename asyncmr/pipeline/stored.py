"""Parts that wait in the block store: between two steps of a chain, and on their way to the reader of a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

from asyncmr.connectors.sampling import evenly, sample_bytes
from asyncmr.connectors.streamed import StoredPart
from asyncmr.kernel.decoding import PairBlocks
from asyncmr.kernel.formats import PairFormat
from asyncmr.protocols import Buffers, Encoder, Sample, SourceInfo, Split
from asyncmr.storage.block import Block
from asyncmr.storage.runs import BlockStore

# A block is looked at as a whole, since it is decoded as a whole.
_SAMPLED_BLOCKS = 64


class StoredParts:
    """The sink of a step that has a next one, and that next one's source."""

    decoder = PairBlocks()

    def __init__(self, store: BlockStore, split_bytes: int, encoder: Encoder | None = None) -> None:
        self.encoder = encoder or PairFormat()
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
        return SourceInfo(sum(block.size for block in self._blocks()), sampled=True)

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The parts in order; a block's room is free again once it was read."""
        for index, blocks in enumerate(_cut(self._blocks(), self._split_bytes)):
            split = await self._read(index, blocks, buffers)
            for block in blocks:
                self._store.free(block)
            yield split

    async def samples(self, buffers: Buffers) -> AsyncGenerator[Sample, None]:
        """Blocks from all over the parts, which are read once more later."""
        blocks = list(self._blocks())
        chosen = evenly(blocks, _SAMPLED_BLOCKS)
        seen, total = sum(map(_size, chosen)), sum(map(_size, blocks))
        every = max(1, seen // sample_bytes(total))
        for index, some in enumerate(_cut(chosen, self._split_bytes // 4)):
            yield Sample(await self._read(index, some, buffers), every, worth=every * total / seen)

    def parts(self) -> Iterator[tuple[int, list[Block]]]:
        """The parts in order, each with its blocks."""
        for index, part in sorted(self._parts.items()):
            yield index, part.blocks

    def _blocks(self) -> Iterator[Block]:
        for _, blocks in self.parts():
            yield from blocks

    async def _read(self, index: int, blocks: list[Block], buffers: Buffers) -> Split:
        length = sum(map(_size, blocks))
        buffer = await buffers.lease(length)
        try:
            await self._store.read_into([(block, 0) for block in blocks], buffer.view)
        except BaseException:
            buffer.release()
            raise
        return Split(index, length, buffer=buffer)


def _size(block: Block) -> int:
    return block.size


def _cut(blocks: Iterable[Block], split_bytes: int) -> Iterator[list[Block]]:
    """Consecutive blocks of together at most so many bytes, but at least one."""
    some: list[Block] = []
    size = 0
    for block in blocks:
        if some and size + block.size > split_bytes:
            yield some
            some, size = [], 0
        some.append(block)
        size += block.size
    if some:
        yield some
