"""How bytes reach a worker: the rounds that a session is fed.

What a session needs of the shared buffers it leases before it gets a worker, and keeps until it is over. A
worker is therefore never held while somebody waits for a buffer, and the two cannot wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from itertools import islice, pairwise
from typing import Protocol

from asyncmr.kernel.buckets import describe_shares
from asyncmr.kernel.merging import describe_round
from asyncmr.pipeline.messages import Piece, Run
from asyncmr.protocols import Buffer as SourceBuffer
from asyncmr.protocols import Split
from asyncmr.storage.runs import BlockStore
from asyncmr.workers import Buffer, Segment, Segments

# Less than this goes through the worker's pipe, which is quicker than finding a shared buffer.
PIPE_BYTES = 64 * 1024


class Feed(Protocol):
    """The rounds of one attempt of one task."""

    async def round(self, wanted: Sequence[int]) -> tuple[list[Buffer], bool]:
        """The next round, and whether it is the last."""


Feeding = Callable[[], AbstractAsyncContextManager[Feed]]
"""Makes the feed of one more attempt, and at its end gives back what it leased; attempts may run at the same time."""


class WholeFeed:
    """One round of given buffers."""

    def __init__(self, buffers: list[Buffer]) -> None:
        self._buffers = buffers

    async def round(self, wanted: Sequence[int]) -> tuple[list[Buffer], bool]:
        return self._buffers, True


def whole(buffers: list[Buffer]) -> Feeding:
    """Every attempt gets the same buffers in one round."""
    return lambda: nullcontext(WholeFeed(buffers))


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


class ShareFeed:
    """Feeds shares of a partition, each with all of its runs; as many in a round as find room, one at least."""

    def __init__(
        self, shares: Sequence[tuple[int, Sequence[Run]]], store: BlockStore, segment: Segment | None
    ) -> None:
        self._waiting = deque(shares)
        self._store = store
        self._segment = segment

    async def round(self, wanted: Sequence[int]) -> tuple[list[Buffer], bool]:
        room = PIPE_BYTES if self._segment is None else len(self._segment.view)
        pieces: list[Piece] = []
        counts: list[tuple[int, int]] = []
        size = 0
        while self._waiting:
            number, runs = self._waiting[0]
            more = sum(run.size for run in runs)
            if pieces and size + more > room:
                break
            self._waiting.popleft()
            size += more
            some = [piece for run in runs for piece in run.pieces]
            counts.append((number, len(some)))
            pieces += some
        if self._segment is None:
            data = bytearray(size)
            ends = await self._store.read_into(pieces, memoryview(data))
            buffer: Buffer = bytes(data)
        else:
            ends = await self._store.read_into(pieces, self._segment.view)
            buffer = self._segment.range(0, size)
        each = iter(ends)
        described = [(number, list(islice(each, count))) for number, count in counts]
        return [describe_shares(described, last=not self._waiting), buffer], not self._waiting


class RunFeed:
    """Feeds sorted runs piece by piece, as their merge asks for them.

    What has been fed of all runs should be about `room` bytes. So a run that is wanted gets the share of it that it
    would get if all were wanted, and at least one piece.
    """

    def __init__(self, runs: Sequence[Run], store: BlockStore, segment: Segment | None, room: int) -> None:
        self._store = store
        self._segment = segment
        self._waiting = [list(reversed(run.pieces)) for run in runs]
        self._room = room

    async def round(self, wanted: Sequence[int]) -> tuple[list[Buffer], bool]:
        chosen = list(self._choose(wanted or range(len(self._waiting))))
        buffers: list[Buffer] = [describe_round([(number, not left) for number, _, left in chosen])]
        shared: list[Piece] = []
        size = 0
        for _, (block, number), _ in chosen:
            size += block.piece_size(number)
            if self._segment is None or size > len(self._segment.view):
                break
            shared.append((block, number))
        if self._segment is not None and shared:
            ends = await self._store.read_into(shared, self._segment.view)
            buffers += [self._segment.range(a, b - a) for a, b in pairwise([0, *ends])]
        for _, (block, number), _ in chosen[len(shared) :]:
            buffers.append(await self._store.read(block, number))
        return buffers, not any(self._waiting)

    def _choose(self, numbers: Sequence[int]) -> Iterator[tuple[int, Piece, int]]:
        """`(run, piece, pieces left behind it)`, run by run."""
        share = self._room // max(1, sum(map(bool, self._waiting)))
        for number in numbers:
            waiting, room = self._waiting[number], share
            while waiting and (room == share or _size(waiting[-1]) <= room):
                piece = waiting.pop()
                room -= _size(piece)
                yield number, piece, len(waiting)


def _size(piece: Piece) -> int:
    block, number = piece
    return block.piece_size(number)


def sharewise(
    shares: Sequence[tuple[int, Sequence[Run]]], store: BlockStore, segments: Segments, room: int
) -> Feeding:
    """Every attempt is fed the shares, through `room` bytes of its own."""

    @asynccontextmanager
    async def feeding() -> AsyncIterator[Feed]:
        async with _leased(room, segments) as segment:
            yield ShareFeed(shares, store, segment)

    return feeding


def piecewise(runs: Sequence[Run], store: BlockStore, segments: Segments, room: int) -> Feeding:
    """Every attempt is fed the sorted runs, about `room` bytes of them at a time."""

    @asynccontextmanager
    async def feeding() -> AsyncIterator[Feed]:
        async with _leased(min(sum(run.size for run in runs), room), segments) as segment:
            yield RunFeed(runs, store, segment, room)

    return feeding


@asynccontextmanager
async def _leased(size: int, segments: Segments) -> AsyncIterator[Segment | None]:
    """A shared buffer of this many bytes to feed through; None when they fit the pipe."""
    segment = None if size <= PIPE_BYTES else await segments.lease(size)
    try:
        yield segment
    finally:
        if segment is not None:
            segment.release()
