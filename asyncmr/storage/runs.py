"""Blocks of bytes that wait: in memory while the budget has room, on disk when it has none.

What a store holds beyond its budget is in `spill`: less than a mebibyte, and the blocks whose `put` waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, Self

from asyncmr.errors import ClosedError, UsageError
from asyncmr.storage.block import Block
from asyncmr.storage.compression import Codec
from asyncmr.storage.disk import Disk
from asyncmr.storage.extents import Extent, read_extent, read_extents
from asyncmr.storage.folder import Folder
from asyncmr.storage.spill import Spill, keep
from asyncmr.storage.spill_file import Data, SpillFile

READ_BYTES = 1024 * 1024
READ_PIECES = 256
"""What is read in one trip to a thread, or copied in one turn of the loop: about half a millisecond's work."""


class Room(Protocol):
    """What a store asks of a budget; `Budget` and `JobBudget` both have it."""

    def try_reserve(self, size: int) -> bool: ...

    def release(self, size: int) -> None: ...


class StoreStats(NamedTuple):
    """`memory_bytes` and `disk_bytes` are held now; `spilled_bytes_total` is all that was ever written to disk."""

    blocks: int
    memory_bytes: int
    disk_bytes: int
    spilled_bytes_total: int


class BlockStore:
    """The blocks of one job. Used as an async context manager: leaving it frees all and deletes its files.

    `budget` is asked for room and never waited for; `folder` is opened when the first block goes to disk.
    `codec` compresses what goes there.
    Belongs to one event loop, where many tasks may call its methods at once.
    """

    def __init__(
        self, budget: Room, folder: Folder, disk: Disk, codec: Codec | None = None, *, keeps: bool = False
    ) -> None:
        self._budget = budget
        self._disk = disk
        self._codec = codec
        self._spill = Spill(folder, disk, codec, keeps=keeps)
        self._blocks: set[Block] = set()
        self._reserved = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def put(self, data: Data, ends: Sequence[int] | None = None) -> Block:
        """Takes a block. Cancelled, it takes nothing, once the write that may be under way has ended.

        ends: where each of its pieces ends, best as an `array("I")`, which is kept and not copied; None for
            one piece.

        Raises:
            UsageError: the ends do not fit the data.
            StorageError: the disk did not take it, e.g. because it is full; it is forgotten.
        """
        if self._closed:
            raise ClosedError("the block store is closed")
        block = Block(data, ends)
        block.reserved = self._budget.try_reserve(block.size)
        self._blocks.add(block)
        if block.reserved:
            self._reserved += block.size
            return block
        try:
            await self._spill.take(block)
        except BaseException:
            self.free(block)
            raise
        if not block.wanted:
            raise ClosedError("the block store was closed before it had written the block")
        return block

    async def read(self, block: Block, piece: int = 0) -> bytes:
        """The bytes of one piece.

        Raises:
            CorruptRunError: they are not what was put; the file was changed or cut short.
            StorageError: the disk does not give them.
        """
        start, end = _span(block, piece)
        if block.data is not None:
            return block.data[start:end]
        with self._spill.kept() as files:
            return await self._disk.run(read_extent, _extent(block, piece, 0, files), self._codec)

    async def read_into(self, pieces: Iterable[tuple[Block, int]], view: memoryview) -> list[int]:
        """Copies pieces, each a `(block, piece)`, one behind the other into `view`; returns where each ends there.

        Those on disk are read together, READ_BYTES or READ_PIECES in a trip to a thread; of those in memory no
        more are copied without a turn of the loop. After an error, or cancelled, `view` holds anything.

        Raises:
            UsageError: the view is too short.
            CorruptRunError, StorageError: as `read`.
        """
        ends: list[int] = []
        extents: list[Extent] = []
        end = bytes_before = pieces_before = 0
        with self._spill.kept() as files:
            for block, piece in pieces:
                start, stop = _span(block, piece)
                at, end = end, end + stop - start
                if end > len(view):
                    raise UsageError(f"pieces of {end:,} bytes and more do not fit a buffer of {len(view):,}")
                if block.data is not None:
                    await _copy(block.data, start, stop, view, at)
                elif stop > start:
                    extents.append(_extent(block, piece, at, files))
                ends.append(end)
                if end - bytes_before >= READ_BYTES or len(ends) - pieces_before >= READ_PIECES:
                    bytes_before, pieces_before = end, len(ends)
                    if extents:
                        await self._disk.run(read_extents, extents, view, self._codec)
                        extents = []
                    else:
                        await asyncio.sleep(0)
            if extents:
                await self._disk.run(read_extents, extents, view, self._codec)
        return ends

    def free(self, block: Block, piece: int | None = None) -> None:
        """Forgets a piece, or all of a block; what was forgotten before stays so. Never fails.

        With its last piece a block's memory comes back at once, its disk space with the last block of its file.
        """
        if block not in self._blocks:
            return
        block.wanted = 0 if piece is None else block.wanted & ~(1 << piece)
        if block.wanted:
            return
        self._blocks.remove(block)
        if block.reserved:
            self._reserved -= block.size
            self._budget.release(block.size)
        else:
            self._spill.drop(block)
        block.data = None

    def stats(self) -> StoreStats:
        return StoreStats(
            blocks=len(self._blocks),
            memory_bytes=self._reserved + self._spill.leaving_bytes,
            disk_bytes=self._spill.file_bytes,
            spilled_bytes_total=self._spill.written_bytes,
        )

    async def close(self) -> None:
        """Frees every block and deletes the files, also when cancelled. No read may run any more.

        Files that cannot be deleted are left to their folder's `close`.
        """
        self._closed = True
        for block in tuple(self._blocks):
            self.free(block)
        await self._spill.close()


def _span(block: Block, piece: int) -> tuple[int, int]:
    span = block.span(piece)
    if not block.wants(piece):
        raise ClosedError("the block was freed before it was read, or its store was closed")
    return span


def _extent(block: Block, piece: int, at: int, files: set[SpillFile]) -> Extent:
    """Where a piece lies that was written, to be read to the position `at`; its file is kept till then."""
    file, written = block.file, block.written
    assert file is not None
    assert written is not None
    keep(file, files)
    start = written.ends[piece - 1] if piece else 0
    size, length = written.ends[piece] - start, block.piece_size(piece)
    return Extent(file.fd, written.offset + start, size, written.checksums[piece], length, file.path, at)


async def _copy(data: Data, start: int, stop: int, view: memoryview, at: int) -> None:
    """Copies in slices, so that no piece is so large that it holds the loop."""
    with memoryview(data) as source:
        while True:
            middle = min(start + READ_BYTES, stop)
            view[at : at + middle - start] = source[start:middle]
            if middle == stop:
                return
            at += middle - start
            start = middle
            await asyncio.sleep(0)
