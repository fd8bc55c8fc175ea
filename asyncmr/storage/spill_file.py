"""One append-only file of blocks, the pieces of each one behind the other, and nothing between.

With a codec each piece that it makes smaller is compressed; a piece is as long as before if and only if it is not.

Where a piece lies and what its CRC-32 is are known in memory, or in a journal: the file by itself means nothing to
another process, and nothing in it is trusted. What is read counts only if its checksum is that of what was written.

What is appended counts once the whole write has succeeded. After a failure or a cancellation `end` has not
moved, and the next append writes over whatever was left there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from mmap import mmap
from typing import NamedTuple, Self

from aiofiles.threadpool.binary import AsyncFileIO
from anyio import CancelScope

from asyncmr.errors import StorageError
from asyncmr.storage.compression import Codec
from asyncmr.storage.disk import Disk, translated, write_at
from asyncmr.storage.folder import Folder

Data = bytes | mmap
"""What a block is given as."""
Cut = tuple[Data, Sequence[int]]
"""The bytes of a block, and the ends of its pieces."""


class Written(NamedTuple):
    """A block in its file: where it begins, the end of each piece from there on, and its checksum."""

    offset: int
    ends: Sequence[int]
    checksums: array[int]


class SpillFile:
    """`end`: its length in bytes. `blocks`, `readers`: how many live blocks it holds, and how many reads run."""

    __slots__ = ("_codec", "_disk", "_handle", "blocks", "end", "fd", "path", "readers")

    def __init__(self, disk: Disk, path: str, handle: AsyncFileIO, codec: Codec | None = None) -> None:
        self._disk = disk
        self._codec = codec
        self._handle = handle
        self.path = path
        self.fd = handle.fileno()
        self.end = 0
        self.blocks = 0
        self.readers = 0

    @classmethod
    async def create(cls, disk: Disk, folder: Folder, codec: Codec | None = None) -> Self:
        """A new file in the folder, for this user only. Raises StorageError."""
        path = os.path.join(await disk.run(folder.open), f"{secrets.token_hex(8)}.spill")
        try:
            return cls(disk, path, await disk.open(path, "x+b", private=True), codec)
        except asyncio.CancelledError:  # it may have been made all the same
            with CancelScope(shield=True), contextlib.suppress(OSError):
                await disk.run(os.unlink, path)
            raise

    @classmethod
    async def existing(cls, disk: Disk, path: str, codec: Codec | None = None) -> Self:
        """A file of an earlier process, to be read. Raises StorageError."""
        return cls(disk, path, await disk.open(path, "rb", private=True), codec)

    async def append(self, blocks: Sequence[Cut]) -> list[Written]:
        """Writes blocks to the end, in one trip to a thread; returns how each lies there. One append at a time.

        Raises:
            StorageError: e.g. when the disk is full; the file is as it was.
        """
        size = sum(len(data) for data, _ in blocks)
        try:
            written = await self._disk.run(_append, self.fd, self.end, blocks, self._codec)
        except OSError as error:
            raise translated(error, f"write {size:,} bytes to", self.path, size) from error
        self.end += sum(block.ends[-1] for block in written)
        return written

    async def close(self) -> None:
        """Closes the file, which stays. Raises StorageError."""
        await self._disk.close_file(self._handle)

    async def remove(self) -> None:
        """Closes and deletes the file. Raises StorageError when it cannot be deleted."""
        with contextlib.suppress(StorageError):  # what was not written well is not wanted any more
            await self._disk.close_file(self._handle)
        try:
            with contextlib.suppress(FileNotFoundError):
                await self._disk.run(os.unlink, self.path)
        except OSError as error:
            raise translated(error, "delete", self.path) from error


def _append(fd: int, offset: int, blocks: Sequence[Cut], codec: Codec | None) -> list[Written]:
    written: list[Written] = []
    if codec is None:
        for data, ends in blocks:
            written.append(Written(offset, ends, _checksums(_pieces(data, ends))))
            offset += len(data)
        write_at(fd, [memoryview(data) for data, _ in blocks], written[0].offset)
        return written
    for data, ends in blocks:  # one by one: what was compressed is held for a block only, not for the batch
        smaller = [_smaller(piece, codec) for piece in _pieces(data, ends)]
        lengths = accumulate(map(len, smaller))
        written.append(
            Written(offset, tuple(lengths) if len(smaller) == 1 else array("I", lengths), _checksums(smaller))
        )
        write_at(fd, smaller, offset)
        offset += written[-1].ends[-1]
    return written


def _pieces(data: Data, ends: Sequence[int]) -> list[memoryview]:
    view = memoryview(data)
    return [view[start:end] for start, end in pairwise((0, *ends))]


def _smaller(piece: memoryview, codec: Codec) -> bytes | memoryview:
    compressed = codec.compress(piece)
    return compressed if len(compressed) < len(piece) else piece


def _checksums(pieces: Sequence[bytes | memoryview]) -> array[int]:
    return array("I", map(zlib.crc32, pieces))
