"""One append-only file of blocks, each behind a header that says how long it is and what its checksum is.

A record is (magic, CRC-32, length), then the bytes. Where each begins is known in memory alone: the file means
nothing to another process, and nothing is ever found by reading along it. The header is there to tell a
changed or shortened file from a good one, never to be trusted.

What is appended counts once the whole write has succeeded. After a failure or a cancellation `end` has not
moved, and the next append writes over whatever was left there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import zlib
from collections.abc import Sequence
from typing import Self

from aiofiles.threadpool.binary import AsyncFileIO

from asyncmr.errors import CorruptRunError
from asyncmr.storage.disk import Disk, translated
from asyncmr.storage.folder import PrivateFolder

HEADER = struct.Struct("<4sIQ")
MAGIC = b"aMR1"


class SpillFile:
    """`end`: its length in bytes. `blocks`, `readers`: how many live blocks it holds, and how many reads run."""

    __slots__ = ("_disk", "_handle", "blocks", "end", "path", "readers")

    def __init__(self, disk: Disk, path: str, handle: AsyncFileIO) -> None:
        self._disk = disk
        self._handle = handle
        self.path = path
        self.end = 0
        self.blocks = 0
        self.readers = 0

    @classmethod
    async def create(cls, disk: Disk, folder: PrivateFolder) -> Self:
        """A new file in the folder, for this user only. Raises StorageError."""
        path = os.path.join(await disk.run(folder.open), f"{secrets.token_hex(8)}.spill")
        return cls(disk, path, await disk.open(path, "x+b", private=True))

    async def append(self, blocks: Sequence[bytes]) -> list[int]:
        """Writes blocks to the end; returns where each one's record begins. One append at a time.

        Raises:
            StorageError: e.g. when the disk is full; the file is as it was.
        """
        checksums = await self._disk.run(lambda: [zlib.crc32(block) for block in blocks])
        offsets: list[int] = []
        end = self.end
        parts: list[bytes] = []
        for checksum, block in zip(checksums, blocks, strict=True):
            offsets.append(end)
            parts += (HEADER.pack(MAGIC, checksum, len(block)), block)
            end += HEADER.size + len(block)
        await self._disk.write_at(self._handle, parts, self.end)
        self.end = end
        return offsets

    async def read(self, offset: int, size: int) -> bytes:
        """The block of `size` bytes whose record begins at `offset`.

        Raises:
            CorruptRunError: it is not what was written.
            StorageError: the disk does not give it.
        """
        self.readers += 1
        try:
            return await self._disk.run(_read, self._handle.fileno(), self.path, offset, size)
        except OSError as error:
            raise translated(error, f"read {size:,} bytes of", self.path, size) from error
        finally:
            self.readers -= 1

    async def read_into(self, offset: int, view: memoryview) -> None:
        """Reads the block of `len(view)` bytes whose record begins at `offset`. Raises as `read`."""
        self.readers += 1
        try:
            await self._disk.run(_read_into, self._handle.fileno(), self.path, offset, view)
        except OSError as error:
            raise translated(error, f"read {len(view):,} bytes of", self.path, len(view)) from error
        finally:
            self.readers -= 1

    async def remove(self) -> None:
        """Closes and deletes the file. Raises StorageError."""
        await self._disk.close_file(self._handle)
        try:
            with contextlib.suppress(FileNotFoundError):
                await self._disk.run(os.unlink, self.path)
        except OSError as error:
            raise translated(error, "delete", self.path) from error


def _read(fd: int, path: str, offset: int, size: int) -> bytes:
    header = os.pread(fd, HEADER.size, offset)
    data = os.pread(fd, size, offset + HEADER.size)
    while len(data) < size and (more := os.pread(fd, size - len(data), offset + HEADER.size + len(data))):
        data += more  # Linux reads no more than 2 GiB at once
    _check(path, offset, header, data, size)
    return data


def _read_into(fd: int, path: str, offset: int, view: memoryview) -> None:
    header = os.pread(fd, HEADER.size, offset)
    done = 0
    while done < len(view) and (got := os.preadv(fd, [view[done:]], offset + HEADER.size + done)):
        done += got
    _check(path, offset, header, view[:done], len(view))


def _check(path: str, offset: int, header: bytes, data: bytes | memoryview, size: int) -> None:
    if len(header) < HEADER.size or len(data) < size:
        problem = "the file is cut short"
    elif header != HEADER.pack(MAGIC, zlib.crc32(data), size):
        problem = "its checksum or header differs from what was written"
    else:
        return
    raise CorruptRunError(
        f"the block of {size:,} bytes at offset {offset:,} of {path!r} is damaged: {problem}; "
        "another program changed the file, or the disk is failing. Run the job again, with another spill_dir",
        path=path,
        size=size,
    )
