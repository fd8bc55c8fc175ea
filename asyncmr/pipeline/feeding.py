"""How bytes reach a worker: the rounds that a session is fed.

What a session needs of the shared buffers it leases before it gets a worker, and keeps until it is over. A
worker is therefore never held while somebody waits for a buffer, and the two cannot wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from asyncmr.job import Buffer as SourceBuffer
from asyncmr.job import Split
from asyncmr.kernel.merging import describe_round
from asyncmr.pipeline.messages import Run
from asyncmr.storage.block import Block
from asyncmr.storage.runs import BlockStore
from asyncmr.workers import Buffer, Segment, Segments

# Less than this goes through the worker's pipe, which is quicker than finding a shared buffer.
PIPE_BYTES = 64 * 1024


class Feed(Protocol):
    """The rounds of one attempt of one task."""

    async def round(self, wanted: Sequence[int]) -> tuple[list[Buffer], bool]:
        """The next round, and whether it is the last."""


class WholeFeed:
    """One round of given buffers."""

    def __init__(self, buffers: list[Buffer]) -> None:
        self._buffers = buffers

    async def round(self, wanted: Sequence[int]) -> tuple[list[Buffer], bool]:
        return self._buffers, True


def split_buffer(split: Split) -> Buffer:
    """The bytes of a split, for a worker: in place where they lie in shared memory."""
    if split.buffer is None:
        return split.data
    if isinstance(split.buffer, Segment):
        return split.buffer.range(0, split.length)
    return bytes(split.buffer.view[: split.length])


class _PrivateBuffer:
    """Memory of this process, for inputs too small to share."""

    def __init__(self, size: int) -> None:
        self.view = memoryview(bytearray(size))

    async def grow(self, size: int) -> None:
        larger = memoryview(bytearray(size))
        larger[: len(self.view)] = self.view
        self.view = larger

    def release(self) -> None:
        """The memory goes with the buffer."""


class PrivateBuffers:
    """Buffers of this process; there are always enough of them."""

    async def lease(self, size: int) -> SourceBuffer:
        return _PrivateBuffer(size)


class RunFeed:
    """Feeds the runs of a partition block by block, as its merge asks for them.

    A round holds at most the buffer's size; every wanted run gets an equal share of it, and at least one block.
    """

    def __init__(self, runs: Sequence[Run], store: BlockStore, segment: Segment | None) -> None:
        self._store = store
        self._segment = segment
        self._waiting = [list(reversed(run.blocks)) for run in runs]
        self._room = PIPE_BYTES if segment is None else len(segment.view)

    async def round(self, wanted: Sequence[int]) -> tuple[list[Buffer], bool]:
        numbers = wanted or range(len(self._waiting))
        blocks = list(self._choose(numbers))
        described = [(number, not rest) for number, _, rest in blocks]
        buffers: list[Buffer] = [describe_round(described)]
        at = 0
        for _, block, _ in blocks:
            if self._segment is None or at + block.size > len(self._segment.view):
                buffers.append(await self._store.read(block))
                continue
            await self._store.read_into([(block, 0)], self._segment.view[at : at + block.size])
            buffers.append(self._segment.range(at, block.size))
            at += block.size
            await asyncio.sleep(0)
        return buffers, not any(self._waiting)

    def _choose(self, numbers: Sequence[int]) -> Iterator[tuple[int, Block, int]]:
        """`(run, block, blocks left behind it)`, run by run."""
        share = self._room // len(numbers)
        total = sum(block.size for waiting in self._waiting for block in waiting)
        if total <= self._room:
            numbers, share = range(len(self._waiting)), total
        for number in numbers:
            waiting, room = self._waiting[number], share
            while waiting and (room == share or waiting[-1].size <= room):
                block = waiting.pop()
                room -= block.size
                yield number, block, len(waiting)
                if room == share:  # an empty block would be taken for ever
                    room -= 1


@contextmanager
def kept(segment: Segment | None) -> Iterator[Segment | None]:
    """Releases the segment at the end."""
    try:
        yield segment
    finally:
        if segment is not None:
            segment.release()


async def lease_for(runs: Sequence[Run], segments: Segments, room: int) -> Segment | None:
    """A shared buffer to feed these runs through; None when they fit the pipe."""
    size = sum(run.size for run in runs)
    if size <= PIPE_BYTES:
        return None
    return await segments.lease(min(size, room))
