"""What one attempt of a task makes: blocks in the store, and parts in the sink; nobody sees it before it commits."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from io import BytesIO
from operator import eq
from typing import Any

from asyncmr.pipeline.attempts import Item
from asyncmr.pipeline.messages import Pieces
from asyncmr.protocols import PartWriter, Sink
from asyncmr.storage.block import Block
from asyncmr.storage.runs import READ_BYTES, BlockStore
from asyncmr.workers import Received


class Made:
    """Sorts a worker's items: blocks of runs and loose blocks to the store, chunks of output to parts of the sink.

    `aside`: records that are in no result, by reason.
    """

    def __init__(self, store: BlockStore, sink: Sink, attempt: int) -> None:
        self._store = store
        self._sink = sink
        self._attempt = attempt
        self.runs: list[tuple[int, Block, array[int]]] = []
        self.loose: list[Block] = []
        self.skipped: list[tuple[str, Block]] = []  # what is told of them, by role
        self.aside: list[tuple[str, Block]] = []
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
                case ("aside", reason):
                    self.aside.append((reason, await self._store.put(data)))
                    continue
                case _:
                    self.loose.append(await self._store.put(data))
            self.bytes_out += len(data)
        for partition, pieces in chunks.items():
            writer = await self.part(partition)
            await writer.write(await _joined(pieces))

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

    def follow(self, begun: Made) -> None:
        """What another attempt has made of the same task comes before this; it has nothing any more."""
        self.runs = [*begun.runs, *self.runs]
        self.aside = [*begun.aside, *self.aside]
        self.bytes_out += sum(block.size for _, block, _ in begun.runs)
        begun.runs, begun.aside = [], []

    def free_loose(self) -> None:
        """The loose blocks have been read."""
        for block in self.loose:
            self._store.free(block)
        self.loose = []

    async def discard(self) -> None:
        self.free_loose()
        for _, block, _ in self.runs:
            self._store.free(block)
        for _, block in (*self.skipped, *self.aside):
            self._store.free(block)
        self.runs, self.skipped, self.aside = [], [], []
        parts, self.parts = self.parts, {}
        for writer in parts.values():
            await writer.discard()


async def _joined(pieces: list[Received]) -> bytes:
    """All of it as one, so that no block of pairs is cut; a mebibyte in a turn of the loop."""
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pieces[0]
    whole = BytesIO()
    turn = READ_BYTES
    for piece in pieces:
        with memoryview(piece) as view:
            for start in range(0, len(view), READ_BYTES):
                if turn <= 0:
                    turn = READ_BYTES
                    await asyncio.sleep(0)
                turn -= whole.write(view[start : start + READ_BYTES])
    return whole.getvalue()


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
