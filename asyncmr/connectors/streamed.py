"""Results as a stream: a sink on one side, an iterator of encoded chunks on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from asyncmr.kernel.blocks import decode_pairs
from asyncmr.kernel.formats import PairFormat
from asyncmr.protocols import Encoder
from asyncmr.storage.block import Block
from asyncmr.storage.runs import BlockStore


class StoredPart:
    """One attempt at a part, as blocks in a store."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self.blocks: list[Block] = []

    async def write(self, data: bytes) -> None:
        self.blocks.append(await self._store.put(data))

    async def close(self) -> None:
        """The blocks are in the store already."""

    async def discard(self) -> None:
        for block in self.blocks:
            self._store.free(block)
        self.blocks = []


class Streamed:
    """A sink whose parts can be read, in their order, as soon as each is committed.

    Finished parts wait in the block store, on disk if need be, so a slow reader holds up neither the job nor
    memory.
    """

    def __init__(self, store: BlockStore, encoder: Encoder | None = None) -> None:
        self.encoder = encoder or PairFormat()
        self._store = store
        self._parts: dict[int, StoredPart] = {}
        self._changed = asyncio.Event()
        self._complete = False

    async def open(self, disk: Any) -> None:
        """Nothing to make ready."""

    async def part(self, index: int, attempt: int) -> StoredPart:
        return StoredPart(self._store)

    async def accept(self, index: int, writer: Any) -> None:
        self._parts[index] = writer
        self._changed.set()

    async def commit(self) -> None:
        self._complete = True
        self._changed.set()

    async def abort(self) -> None:
        """What was accepted goes with the store."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The encoded chunks of all parts; waits for those that are not there yet."""
        index = 0
        while True:
            part = self._parts.pop(index, None)
            if part is not None:
                index += 1
                for block in part.blocks:
                    data = await self._store.read(block)
                    self._store.free(block)
                    yield data
            elif self._complete:
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    async def columns(self, done: asyncio.Event) -> AsyncGenerator[tuple[list[Any], list[Any]], None]:
        """The pairs of all parts; it ends when `done` is set, a moment after the last of them."""
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                yield decode_pairs(chunk)
        await done.wait()
