"""One append-only file of blocks, the pieces of each one behind the other, and nothing between.

Where a piece lies and what its CRC-32 is are known in memory alone: the file means nothing to another process,
and nothing in it is trusted. What is read counts only if its checksum is that of what was written.

What is appended counts once the whole write has succeeded. After a failure or a cancellation `end` has not
moved, and the next append writes over whatever was left there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import zlib
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Self

from aiofiles.threadpool.binary import AsyncFileIO

from asyncmr.storage.disk import Disk, translated, write_at
from asyncmr.storage.folder import PrivateFolder

Cut = tuple[bytes, Sequence[int]]
"""The bytes of a block, and the ends of its pieces."""


class Written(NamedTuple):
    """A block in its file: where it begins, the end of each piece from there on, and its checksum."""

    offset: int
    ends: Sequence[int]
    checksums: array[int]


class SpillFile:
    """`end`: its length in bytes. `blocks`, `readers`: how many live blocks it holds, and how many reads run."""

    __slots__ = ("_disk", "_handle", "blocks", "end", "fd", "path", "readers")

    def __init__(self, disk: Disk, path: str, handle: AsyncFileIO) -> None:
        self._disk = disk
        self._handle = handle
        self.path = path
        self.fd = handle.fileno()
        self.end = 0
        self.blocks = 0
        self.readers = 0

    @classmethod
    async def create(cls, disk: Disk, folder: PrivateFolder) -> Self:
        """A new file in the folder, for this user only. Raises StorageError."""
        path = os.path.join(await disk.run(folder.open), f"{secrets.token_hex(8)}.spill")
        return cls(disk, path, await disk.open(path, "x+b", private=True))

    async def append(self, blocks: Sequence[Cut]) -> list[Written]:
        """Writes blocks to the end, in one trip to a thread; returns how each lies there. One append at a time.

        Raises:
            StorageError: e.g. when the disk is full; the file is as it was.
        """
        size = sum(len(data) for data, _ in blocks)
        try:
            written = await self._disk.run(_append, self.fd, self.end, blocks)
        except OSError as error:
            raise translated(error, f"write {size:,} bytes to", self.path, size) from error
        self.end += sum(block.ends[-1] for block in written)
        return written

    async def remove(self) -> None:
        """Closes and deletes the file. Raises StorageError."""
        await self._disk.close_file(self._handle)
        try:
            with contextlib.suppress(FileNotFoundError):
                await self._disk.run(os.unlink, self.path)
        except OSError as error:
            raise translated(error, "delete", self.path) from error


def _append(fd: int, offset: int, blocks: Sequence[Cut]) -> list[Written]:
    written: list[Written] = []
    end = offset
    for data, ends in blocks:
        with memoryview(data) as view:
            checksums = array("I", [zlib.crc32(view[a:b]) for a, b in pairwise((0, *ends))])
        written.append(Written(end, ends, checksums))
        end += len(data)
    write_at(fd, [data for data, _ in blocks], offset)
    return written
