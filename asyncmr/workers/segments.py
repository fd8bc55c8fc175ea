"""Segments: a few large buffers, used again and again, that carry input to the workers without a pipe.

The host writes a block of input into `segment.view` and sends the worker `segment.range(...)`, which is only
a reference.

What a segment holds must stay as it is until the session says that it wants more input or is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass

from asyncmr.errors import ClosedError
from asyncmr.workers.attach import SegmentRef
from asyncmr.workers.blocks import Block, PrivateBlock, shared_if_possible

COPY_BYTES = 1 << 20
"""What is copied between two turns of the loop."""


class SegmentRange:
    """A part of a leased segment, as a buffer of a session."""

    __slots__ = ("_block", "_keep", "length", "offset")

    def __init__(self, block: Block, keep: bool, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > block.size:
            raise ValueError(f"{offset}+{length} is not inside a segment of {block.size} bytes")
        self._block = block
        self._keep = keep
        self.offset = offset
        self.length = length

    def __len__(self) -> int:
        return self.length

    def view(self) -> memoryview:
        """The bytes themselves, read-only."""
        return self._block.view[self.offset : self.offset + self.length].toreadonly()

    def ref(self) -> SegmentRef | None:
        """What a worker process maps, or None where the memory is not shared."""
        return self._block.ref(self.offset, self.length, keep=self._keep)


class Segment:
    """One leased buffer. Release it when the session no longer reads it; releasing twice is harmless."""

    def __init__(self, owner: Segments, block: Block) -> None:
        self._owner = owner
        self._block: Block | None = block
        self._spare: Block | None = None  # the reused block, while a larger one stands in for it

    @property
    def size(self) -> int:
        """How many bytes fit; at least what was asked for."""
        return self._held().size

    @property
    def view(self) -> memoryview:
        """The writable bytes. After `grow`, take it anew."""
        return self._held().view

    def range(self, offset: int, length: int) -> SegmentRange:
        """A part of the segment, to be handed to a session."""
        block = self._held()
        return SegmentRange(block, block.size == self._owner.size, offset, length)

    async def grow(self, size: int) -> None:
        """Makes room for `size` bytes; what was written stays. The memory is given back at the release.

        Cancelled, it has not grown. A later `range` is of the new memory; those made before stay valid.

        Raises:
            StorageError: there is no memory for it.
        """
        block = self._held()
        if size <= block.size:
            return
        larger = await self._owner.make(size)
        try:
            at = 0
            while at < block.size:
                part = block.view[at : at + COPY_BYTES]
                larger.view[at : at + len(part)] = part
                at += COPY_BYTES
                await asyncio.sleep(0)
        except BaseException:
            self._owner.take_back(larger)
            raise
        self._block = larger
        if block.size == self._owner.size:
            self._spare = block
        else:
            self._owner.take_back(block)

    def release(self) -> None:
        """Gives the segment back."""
        block, self._block = self._block, None
        if block is None:
            return
        spare, self._spare = self._spare, None
        self._owner.take_back(block)
        if spare is not None:
            self._owner.take_back(spare)
        self._owner.free_place()

    def _held(self) -> Block:
        if self._block is None:
            raise ClosedError("the segment was released")
        return self._block


@dataclass(frozen=True, slots=True)
class SegmentStats:
    """`leased` and `waiting` count leases; `bytes` is the memory of all segments, free ones included."""

    count: int
    leased: int
    waiting: int
    bytes: int


class Segments:
    """`count` places for segments of `size` bytes, handed out first come, first served.

    A larger request takes one place too and gets memory of its own, which is freed when it is released.
    """

    def __init__(self, count: int, size: int, threads: Executor, *, shared: bool) -> None:
        self.size = size
        self._count = count
        self._threads = threads
        self._kind: Callable[[int], Block] = shared_if_possible if shared else PrivateBlock
        self._free: list[Block] = []
        self._leased = 0
        self._bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def lease(self, size: int = 0) -> Segment:
        """A segment of at least `size` bytes; waits while all places are taken.

        Raises:
            StorageError: there is no memory for it.
            ClosedError: the pool was closed.
        """
        await self._take_place()
        try:
            if size <= self.size and self._free:
                return Segment(self, self._free.pop())
            return Segment(self, await self.make(max(size, self.size)))
        except BaseException:
            self.free_place()
            raise

    def share_nothing(self) -> None:
        """Goes on with private memory, whose bytes reach the workers through their pipes."""
        self._kind = PrivateBlock

    def stats(self) -> SegmentStats:
        return SegmentStats(self._count, self._leased, len(self._waiting), self._bytes)

    def close(self) -> None:
        """Frees what is not leased, now, and the rest as it is released. Who waits gets ClosedError."""
        self._closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(ClosedError("the pool was closed"))
        self._waiting.clear()
        while self._free:
            self._drop(self._free.pop())

    def take_back(self, block: Block) -> None:
        if block.size == self.size and not self._closed:
            self._free.append(block)
        else:
            self._drop(block)

    def free_place(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._leased -= 1

    async def make(self, size: int) -> Block:
        """New memory, made in a thread: to fill 16 MB with pages takes milliseconds."""
        future: Future[Block] = self._threads.submit(self._kind, size)
        try:
            block = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(_close_unwanted)
            raise
        self._bytes += size
        return block

    def _drop(self, block: Block) -> None:
        self._bytes -= block.size
        block.close()

    async def _take_place(self) -> None:
        if self._closed:
            raise ClosedError("the pool was closed")
        if self._leased < self._count and not self._waiting:
            self._leased += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.free_place()
            else:
                with suppress(ValueError):
                    self._waiting.remove(waiter)
            raise


def _close_unwanted(future: Future[Block]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
