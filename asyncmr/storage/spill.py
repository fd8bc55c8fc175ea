"""The way to disk of the blocks for which the budget has no room.

Strategy. A block joins the others on their way; once these are WRITE_BYTES together, they are appended to the
spill file in one write, and whoever brought one waits until his own, or enough of the others, are there. Small
blocks thus cost an entry in a table each, not a system call in a thread.

What is in memory beyond the budget is therefore less than WRITE_BYTES, and the blocks of those who wait, which
they hold anyway: as many as there are tasks that bring one at the same time, however many are made.

A block on its way can be read and freed like any other. It leaves memory when its write has succeeded; after
a failed or cancelled write it is still on its way, for the next append to try again, except the block
of the one whose write failed, which its store forgets.

A spill file that has FILE_BYTES is not written any more, and is deleted when the last of its blocks is freed; where
files are kept for a later process it is only closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from asyncmr.errors import StorageError
from asyncmr.storage.block import Block
from asyncmr.storage.compression import Codec
from asyncmr.storage.disk import Disk, finish
from asyncmr.storage.folder import Folder
from asyncmr.storage.spill_file import Data, SpillFile

_log = logging.getLogger("asyncmr")

WRITE_BYTES = 1024 * 1024
BATCH_BYTES = 4 * WRITE_BYTES
"""A batch is closed when it has this much: a cancelled `take` waits until its batch is written."""
FILE_BYTES = 256 * WRITE_BYTES


class Spill:
    """The spill files of one store. `leaving_bytes` are on their way; `written_bytes` is all that was ever written.

    keeps: the files stay when their blocks are freed.
    """

    def __init__(
        self, folder: Folder, disk: Disk, codec: Codec | None = None, *, keeps: bool = False
    ) -> None:
        self.codec = codec
        self._keeps = keeps
        self._folder = folder
        self._disk = disk
        self._leaving: dict[Block, None] = {}  # on their way and in no batch, first come first written
        self.leaving_bytes = 0  # of these, and of the batch that is being written
        self.written_bytes = 0
        self._appending = asyncio.Lock()
        self._file: SpillFile | None = None  # the one that is appended to
        self._files: set[SpillFile] = set()
        self._removals: set[asyncio.Task[None]] = set()

    @property
    def file_bytes(self) -> int:
        """What the files take on disk."""
        return sum(file.end for file in self._files)

    async def take(self, block: Block) -> None:
        """Brings a block on its way, and waits while too much is.

        Raises:
            StorageError: the disk takes nothing. The block is still on its way, as after a cancellation.
        """
        self._leaving[block] = None
        self.leaving_bytes += block.size
        while block.wanted and block.in_memory and self.leaving_bytes >= WRITE_BYTES:
            await self._append(WRITE_BYTES)

    async def secure(self, block: Block) -> None:
        """Waits until a block that was taken is in its file. Raises as `take`."""
        while block.wanted and block.in_memory:
            await self._append(0)

    def add(self, file: SpillFile) -> None:
        """Takes a file of an earlier process, which is closed when it has no blocks and no readers."""
        self._files.add(file)

    def holds(self, file: SpillFile) -> bool:
        """Whether the file is open."""
        return file in self._files

    def adopt(self, block: Block, file: SpillFile) -> None:
        """Takes a block that lies in such a file."""
        block.file = file
        file.blocks += 1

    def drop(self, block: Block) -> None:
        """A block that was taken is not wanted any more."""
        if block.file is not None:
            block.file.blocks -= 1
            self._remove_if_done(block.file)
        else:
            self.leaving_bytes -= block.size
            self._leaving.pop(block, None)

    @contextmanager
    def kept(self) -> Iterator[set[SpillFile]]:
        """The files that `keep` adds to this set are not deleted before the end, whatever is freed meanwhile."""
        files: set[SpillFile] = set()
        try:
            yield files
        finally:
            for file in files:
                file.readers -= 1
                self._remove_if_done(file)

    async def close(self) -> None:
        """Deletes the files, also when cancelled. Every block was dropped before, and nobody reads.

        A file that cannot be deleted is told to the log only: the work is done, or has failed for a better reason,
        and the folder's `close` tries again.
        """
        # A small job, which spills nothing, does not wait for the loop.
        if self._files or self._removals or self._appending.locked():
            await finish(self._clear())

    async def _clear(self) -> None:
        async with self._appending:  # a `take` that nobody cancelled may still write
            self._file = None
        for file in tuple(self._files):
            self._remove_if_done(file)
        removals, self._removals = self._removals, set()
        for failure in await asyncio.gather(*removals, return_exceptions=True):
            if isinstance(failure, StorageError):
                _log.warning("%s; it is tried again when the engine closes", failure)
            elif failure is not None:
                raise failure

    async def _append(self, least: int) -> None:
        """Writes a batch of the blocks on their way if they are so many bytes, unless others did meanwhile."""
        async with self._appending:
            if self.leaving_bytes < least or not self._leaving:
                return
            batch = self._take_batch()
            try:
                if self._file is None:
                    self._file = await SpillFile.create(self._disk, self._folder, self.codec)
                    self._files.add(self._file)
                file = self._file
                written = await file.append([(data, block.ends) for block, data in batch])
            except BaseException:
                self._leaving = {block: None for block, _ in batch if block.wanted} | self._leaving
                raise
            for (block, _), place in zip(batch, written, strict=True):
                self.written_bytes += place.ends[-1]
                if block.wanted:  # otherwise dropped meanwhile
                    block.file, block.written, block.data = file, place, None
                    file.blocks += 1
                    self.leaving_bytes -= block.size
            if file.end >= FILE_BYTES:
                self._file = None
                self._remove_if_done(file)

    def _take_batch(self) -> list[tuple[Block, Data]]:
        batch: list[tuple[Block, Data]] = []
        size = 0
        for block in self._leaving:
            if size >= BATCH_BYTES:
                break
            assert block.data is not None
            batch.append((block, block.data))
            size += block.size
        for block, _ in batch:
            del self._leaving[block]
        return batch

    def _remove_if_done(self, file: SpillFile) -> None:
        if file in self._files and file is not self._file and not file.blocks and not file.readers:
            self._files.remove(file)
            self._removals.add(
                asyncio.get_running_loop().create_task(file.close() if self._keeps else file.remove())
            )


def keep(file: SpillFile, files: set[SpillFile]) -> None:
    """Adds a file to those that `Spill.kept` gave."""
    if file not in files:
        files.add(file)
        file.readers += 1
