"""What one attempt of a task makes: blocks in the store, and parts in the sink; nobody sees it before it commits."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator, Sequence
from mmap import mmap
from operator import eq
from typing import Any

from asyncmr.pipeline.attempts import Item
from asyncmr.pipeline.messages import Pieces
from asyncmr.protocols import PartWriter, Sink
from asyncmr.storage.block import Block
from asyncmr.storage.runs import READ_BYTES, BlockStore
from asyncmr.workers import Received


class Made:
    """Sorts a worker's items: blocks of runs and loose blocks to the store, chunks of output to parts of the sink."""

    def __init__(self, store: BlockStore, sink: Sink, attempt: int) -> None:
        self._store = store
        self._sink = sink
        self._attempt = attempt
        self.runs: list[tuple[int, Block, array[int]]] = []
        self.loose: list[Block] = []
        self.skipped: list[tuple[str, Block]] = []  # what is told of them, by role
        self.parts: dict[int, PartWriter] = {}
        self.bytes_out = 0

    async def take(self, items: list[Item]) -> None:
        chunks: dict[int, list[Received]] = {}
        for meta, data in items:
            match meta:
                case ("runs", flush, shares, ends):
                    block = await self._store.put(data, _numbers(ends))
                    self.runs.append((flush, block, _numbers(shares)))
                case ("out", partition):
                    chunks.setdefault(partition, []).append(data)
                case ("skipped", role):
                    self.skipped.append((role, await self._store.put(data)))
                    continue
                case _:
                    self.loose.append(await self._store.put(data))
            self.bytes_out += len(data)
        for partition, pieces in chunks.items():
            writer = await self.part(partition)
            for number, together in enumerate(_batches(pieces)):
                if number:
                    await asyncio.sleep(0)  # a sink in memory does not wait
                alone = together[0] if len(together) == 1 else None
                await writer.write(alone if isinstance(alone, bytes) else b"".join(together))

    async def part(self, index: int) -> PartWriter:
        """The part of this number, opened at its first mention."""
        writer = self.parts.get(index)
        if writer is None:
            writer = self.parts[index] = await self._sink.part(index, self._attempt)
        return writer

    def stored(self, task: int) -> tuple[Pieces, ...]:
        """The pieces of runs; `task` is the first half of their rank."""
        return tuple(
            Pieces((task, flush), block, _compact(shares), range(len(shares)))
            for flush, block, shares in self.runs
        )

    async def close(self) -> None:
        """The attempt is whole: its parts are complete."""
        for writer in self.parts.values():
            await writer.close()

    def free_loose(self) -> None:
        """The loose blocks have been read."""
        for block in self.loose:
            self._store.free(block)
        self.loose = []

    async def discard(self) -> None:
        self.free_loose()
        for _, block, _ in self.runs:
            self._store.free(block)
        for _, block in self.skipped:
            self._store.free(block)
        self.runs, self.skipped = [], []
        parts, self.parts = self.parts, {}
        for writer in parts.values():
            await writer.discard()


def _batches(pieces: list[Received]) -> Iterator[list[bytes | memoryview | mmap]]:
    """Neighbours, no more of them than are put together in half a millisecond."""
    some: list[bytes | memoryview | mmap] = []
    size = 0
    for piece in (part for whole in pieces for part in _cut(whole)):
        if some and size + len(piece) > READ_BYTES:
            yield some
            some, size = [], 0
        some.append(piece)
        size += len(piece)
    yield some


def _cut(piece: Received) -> Iterator[bytes | memoryview | mmap]:
    if isinstance(piece, bytes) or len(piece) <= READ_BYTES:
        yield piece  # bytes are written as they are
        return
    view = memoryview(piece)
    for start in range(0, len(view), READ_BYTES):
        yield view[start : start + READ_BYTES]


def _numbers(data: bytes) -> array[int]:
    numbers = array("I")
    numbers.frombytes(data)
    return numbers


def _compact(numbers: array[int]) -> Sequence[int]:
    """As a range, if they are one: most runs have something for each share."""
    whole = range(numbers[0], numbers[-1] + 1) if numbers else range(0)
    return whole if len(whole) == len(numbers) and all(map(eq, whole, numbers)) else numbers


def merged_counts(*counts: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Several tasks' user counters as one."""
    total: dict[Any, int] = {}
    for some in counts:
        for name, amount in some.items():
            total[name] = total.get(name, 0) + amount
    return total
