"""Blocks of bytes that wait: in memory while the budget has room, on disk when it has none.

Strategy. `put` never waits for room. A block that the budget refuses joins the others on their way to disk;
once these are WRITE_BYTES together, they are appended to the spill file in one write. Small blocks thus cost an
entry in a table each, not a system call in a thread; the price is that less than WRITE_BYTES a store, and
besides that what is being written, are in memory beyond the budget.

A block on its way can be read and freed like any other. It leaves memory when its write has succeeded; after
a failed or cancelled write it is still on its way, for the next append to try again, except the block
of the `put` that failed, which is forgotten.

A spill file that has FILE_BYTES is not written any more, and is deleted when the last of its blocks is freed.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol, Self

from asyncmr.errors import ClosedError, UsageError
from asyncmr.storage.disk import Disk, finish
from asyncmr.storage.folder import PrivateFolder
from asyncmr.storage.spill_file import SpillFile

WRITE_BYTES = 1024 * 1024
BATCH_BYTES = 8 * WRITE_BYTES
"""A batch is closed when it has this much: a cancelled `put` waits until its batch is written."""
FILE_BYTES = 256 * WRITE_BYTES


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


class Block:
    """A block in a store. `size`: its bytes. `offset`: where its record begins in its spill file, or None."""

    __slots__ = ("_data", "_file", "_reserved", "offset", "size")

    def __init__(self, data: bytes, reserved: bool) -> None:
        self.size = len(data)
        self.offset: int | None = None
        self._data: bytes | None = data
        self._file: SpillFile | None = None
        self._reserved = reserved

    @property
    def in_memory(self) -> bool:
        """Whether its bytes are in memory, to stay or on their way to disk."""
        return self._data is not None


class BlockStore:
    """The blocks of one job. Used as an async context manager: leaving it frees all and deletes its files.

    `budget` is asked for room and never waited for; `folder` is opened when the first block goes to disk.
    Belongs to one event loop, where many tasks may call its methods at once.
    """

    def __init__(self, budget: Room, folder: PrivateFolder, disk: Disk) -> None:
        self._budget = budget
        self._folder = folder
        self._disk = disk
        self._blocks: set[Block] = set()
        self._reserved = 0
        self._leaving: dict[Block, None] = {}  # on their way to disk, first come first written
        self._leaving_bytes = 0
        self._appending = asyncio.Lock()
        self._file: SpillFile | None = None  # the one that is appended to
        self._files: set[SpillFile] = set()
        self._removals: set[asyncio.Task[None]] = set()
        self._spilled = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def put(self, data: bytes) -> Block:
        """Takes a block. Cancelled, it takes nothing, once the write that may be under way has ended.

        Raises:
            StorageError: the disk did not take it, e.g. because it is full; it is forgotten.
        """
        if self._closed:
            raise ClosedError("the block store is closed")
        block = Block(data, self._budget.try_reserve(len(data)))
        self._blocks.add(block)
        if block._reserved:
            self._reserved += block.size
            return block
        self._leaving[block] = None
        self._leaving_bytes += block.size
        try:
            while block in self._leaving and self._leaving_bytes >= WRITE_BYTES:
                await self._append()
        except BaseException:
            self.free(block)
            raise
        self._check_alive(block)
        return block

    async def read(self, block: Block) -> bytes:
        """The bytes of a block.

        Raises:
            CorruptRunError: they are not what was put; the file was changed or cut short.
            StorageError: the disk does not give them.
        """
        self._check_alive(block)
        if block._data is not None:
            return block._data
        assert block._file is not None
        assert block.offset is not None
        try:
            return await block._file.read(block.offset, block.size)
        finally:
            self._remove_if_done(block._file)

    async def read_into(self, block: Block, view: memoryview) -> None:
        """Copies a block to the beginning of `view`, which must be as long at least. Raises as `read`."""
        self._check_alive(block)
        if len(view) < block.size:
            raise UsageError(f"a block of {block.size:,} bytes does not fit a buffer of {len(view):,}")
        if block._data is not None:
            view[: block.size] = block._data
            return
        assert block._file is not None
        assert block.offset is not None
        try:
            await block._file.read_into(block.offset, view[: block.size])
        finally:
            self._remove_if_done(block._file)

    def free(self, block: Block) -> None:
        """Forgets a block: its memory at once, its disk space with the last block of its file. Never fails."""
        if block not in self._blocks:
            return
        self._blocks.remove(block)
        if block._reserved:
            self._reserved -= block.size
            self._budget.release(block.size)
        elif block._file is not None:
            block._file.blocks -= 1
            self._remove_if_done(block._file)
        else:
            self._leaving_bytes -= block.size
            self._leaving.pop(block, None)
        block._data = None

    def stats(self) -> StoreStats:
        return StoreStats(
            blocks=len(self._blocks),
            memory_bytes=self._reserved + self._leaving_bytes,
            disk_bytes=sum(file.end for file in self._files),
            spilled_bytes_total=self._spilled,
        )

    async def close(self) -> None:
        """Frees every block and deletes the files, also when cancelled. No read may run any more.

        Raises:
            StorageError: a file could not be deleted; its folder's `close` will try again.
        """
        self._closed = True
        if self._files or self._leaving or self._removals or self._appending.locked():
            await finish(self._clear())
            return
        for block in tuple(self._blocks):  # nothing ever left memory: a small job does not wait for the loop
            self.free(block)

    async def _clear(self) -> None:
        for block in tuple(self._blocks):
            self.free(block)
        async with self._appending:  # a `put` that nobody cancelled may still write
            self._file = None
        for file in tuple(self._files):
            self._remove_if_done(file)
        removals, self._removals = self._removals, set()
        for failure in await asyncio.gather(*removals, return_exceptions=True):
            if failure is not None:
                raise failure

    def _check_alive(self, block: Block) -> None:
        if block not in self._blocks:
            raise ClosedError("the block was freed before it was read, or its store was closed")

    async def _append(self) -> None:
        """Writes a batch of the blocks on their way to disk, unless others did while this task waited."""
        async with self._appending:
            if self._leaving_bytes < WRITE_BYTES or not self._leaving or self._closed:
                return
            batch = self._take_batch()
            try:
                if self._file is None:
                    self._file = await SpillFile.create(self._disk, self._folder)
                    self._files.add(self._file)
                file = self._file
                offsets = await file.append([data for _, data in batch])
            except BaseException:
                kept = dict.fromkeys(block for block, _ in batch if block in self._blocks)
                self._leaving = kept | self._leaving
                raise
            for (block, data), offset in zip(batch, offsets, strict=True):
                self._spilled += len(data)
                if block in self._blocks:  # otherwise freed meanwhile
                    block._file, block.offset, block._data = file, offset, None
                    file.blocks += 1
                    self._leaving_bytes -= block.size
            if file.end >= FILE_BYTES:
                self._file = None
                self._remove_if_done(file)

    def _take_batch(self) -> list[tuple[Block, bytes]]:
        batch: list[tuple[Block, bytes]] = []
        size = 0
        for block in self._leaving:
            if size >= BATCH_BYTES:
                break
            assert block._data is not None
            batch.append((block, block._data))
            size += block.size
        for block, _ in batch:
            del self._leaving[block]
        return batch

    def _remove_if_done(self, file: SpillFile) -> None:
        if file in self._files and file is not self._file and not file.blocks and not file.readers:
            self._files.remove(file)
            self._removals.add(asyncio.get_running_loop().create_task(file.remove()))
