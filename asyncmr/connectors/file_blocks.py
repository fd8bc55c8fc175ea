"""Files of the input as framed blocks, read and decompressed in threads, and a little ahead.

One block of each of the next portions is made while the present one is taken, so that several compressed files are
decompressed at the same time, and what is made ahead stays small.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress

from asyncmr.connectors.compressed import InputFile
from asyncmr.connectors.frames import Block, Frames, Stretch
from asyncmr.connectors.paths import FileEntry
from asyncmr.connectors.plain_files import check_unchanged
from asyncmr.storage.disk import Disk, finish

BLOCK_BYTES = 512 << 10
"""What is made in one trip to a thread: long enough to pay for the trip, short enough to cancel."""

# Files share a portion up to so many, and so many bytes as they lie on disk: a trip is then a few milliseconds.
_FILES, _BYTES = 64, 256 << 10


def portions(files: Sequence[FileEntry]) -> Iterator[list[FileEntry]]:
    """The files, with small ones together, so that they cost one trip to a thread; a pipe is always alone."""
    some, size = list[FileEntry](), 0
    for file in files:
        if some and (file.pipe or some[0].pipe or len(some) == _FILES or size + file.size > _BYTES):
            yield some
            some, size = [], 0
        some.append(file)
        size += file.size
    if some:
        yield some


class FileBlocks:
    """A portion of the files, none of which is a pipe."""

    def __init__(self, disk: Disk, files: Sequence[FileEntry], frames: Frames) -> None:
        self._disk = disk
        self._steps = _packed(files, frames)
        self._next: asyncio.Future[tuple[list[Stretch], bool]] | None = None
        self._ended = False

    def start(self) -> None:
        """Begins to make the next block, unless that has begun or there is none."""
        if self._next is None and not self._ended:
            self._next = self._disk.begin(next, self._steps)

    async def next(self) -> list[Stretch] | None:
        """The next block; None at the end. Raises as `InputFile`."""
        self.start()
        if self._next is None:
            return None
        block, self._ended = await finish(self._next)
        self._next = None
        self.start()
        return block

    async def close(self) -> None:
        """Waits for the block that is being made, and closes the file that is open."""
        if self._next is None:
            return  # whatever was opened is closed: after the last block, or before the first
        try:
            with suppress(Exception):  # nobody wants the block any more
                await finish(self._next)
        finally:
            await self._disk.run(self._steps.close)


def _packed(files: Sequence[FileEntry], frames: Frames) -> Generator[tuple[list[Stretch], bool], None, None]:
    """About `BLOCK_BYTES` at a time, and whether that is all. It blocks."""
    some, size = list[Stretch](), 0
    for block in _blocks(files):
        if size >= BLOCK_BYTES:
            yield some, False
            some, size = [], 0
        stretch = frames.framed(block)
        some.append(stretch)
        size += len(stretch.data)
    yield some, True


def _blocks(files: Sequence[FileEntry]) -> Iterator[Block]:
    for file in files:
        with InputFile(file.path) as opened:
            check_unchanged(file, os.fstat(opened.fileno()))
            offset, ended = 0, False
            while not ended:
                data = opened.read(BLOCK_BYTES)
                ended = len(data) < BLOCK_BYTES
                if ended:
                    check_unchanged(file, os.fstat(opened.fileno()))
                yield Block(file.path, offset, data, ended)
                offset += len(data)
