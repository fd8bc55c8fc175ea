"""Standard input and other pipes as framed blocks.

They are waited for by the loop and read in a thread, once there is something, so that no thread is ever stuck in a read
that nobody answers: cancelling, and Ctrl-C, are as quick here as with files.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat

from asyncmr.connectors.frames import Block, Frames, Stretch
from asyncmr.connectors.paths import STDIN, FileEntry
from asyncmr.errors import InputError
from asyncmr.storage.disk import Disk, translated

BLOCK_BYTES = 1 << 20


class PipeBlocks:
    """One pipe. What is there is taken, up to a megabyte at a time, and nothing is read ahead."""

    def __init__(self, disk: Disk, file: FileEntry, frames: Frames) -> None:
        self._disk = disk
        self._path = file.path
        self._frames = frames
        self._descriptor: int | None = None
        self._waits = True  # whether the system can say when there is something to read
        self._offset = 0
        self._line = 1
        self._ended = False

    def start(self) -> None:
        """Nothing is read ahead."""

    async def next(self) -> list[Stretch] | None:
        """The next block; None at the end.

        Raises:
            InputError: it cannot be read.
        """
        if self._ended:
            return None
        try:
            if self._descriptor is None:
                # A duplicate of standard input, so that whoever else listens to it is not disturbed.
                self._descriptor = os.dup(0) if self._path == STDIN else _open(self._path)
                self._waits = not stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            if self._waits:
                await self._readable(self._descriptor)
            data, self._ended, lines = await self._disk.run(read_available, self._descriptor)
        except OSError as error:
            raise translated(error, "read the input", self._path, raises=InputError) from error
        block = Block(self._path, self._offset, data, self._ended, self._line)
        self._offset += len(data)
        self._line += lines
        return [self._frames.framed(block)]

    async def close(self) -> None:
        """Closes the pipe; standard input itself stays open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    async def _readable(self, descriptor: int) -> None:
        """Waits until there is something to read, or the end."""
        loop = asyncio.get_running_loop()
        there: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(descriptor, _tell, there)
        except PermissionError:  # /dev/null and the like, which never keep a reader waiting
            self._waits = False
            return
        try:
            await there
        finally:
            loop.remove_reader(descriptor)


def _tell(there: asyncio.Future[None]) -> None:
    if not there.done():
        there.set_result(None)


def _open(path: str) -> int:
    """Without waiting for a writer. The description is our own, so that nobody else finds it non-blocking."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def read_available(descriptor: int) -> tuple[bytes, bool, int]:
    """What is there, whether the pipe has ended, and how many newlines there are. Blocks if nothing is there."""
    watch = select.poll()
    watch.register(descriptor, select.POLLIN)
    parts, room = list[bytes](), BLOCK_BYTES
    ended = False
    while room and not ended and (watch.poll(0) or not parts):
        try:
            data = os.read(descriptor, room)
        except BlockingIOError:  # somebody else was quicker
            break
        parts.append(data)
        room -= len(data)
        ended = not data
    whole = b"".join(parts)
    return whole, ended, whole.count(b"\n")
