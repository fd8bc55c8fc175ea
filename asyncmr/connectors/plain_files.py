"""Plain files as one stream of lines, read straight into the buffers of the splits.

The files lie one behind the other, and every one ends in a newline: one that does not gets it added, so that no line
joins two files. How long they are is known before they are read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from aiofiles.threadpool.binary import AsyncFileIO

from asyncmr.connectors.paths import FileEntry
from asyncmr.connectors.splitting import behind_last_newline
from asyncmr.errors import InputError
from asyncmr.protocols import Piece
from asyncmr.storage.disk import Disk, translated

SMALL_BYTES = 64 << 10
"""Files up to this size are read many at a time."""

_NEWLINE = ord("\n")


class PlainFiles:
    """Files as lines, as a stream to be cut into splits. `left`: no more bytes than this are to come.

    Its methods raise InputError where a file was changed or removed since it was listed, or cannot be read.
    """

    def __init__(self, disk: Disk, files: Sequence[FileEntry]) -> None:
        self._disk = disk
        self._waiting = [file for file in reversed(files) if file.size]
        self.left = sum(file.size + 1 for file in self._waiting)
        self._file: FileEntry | None = None
        self._handle: AsyncFileIO | None = None
        self._offset = 0
        self._last = 0  # the last byte read of the open file

    async def read(self, view: memoryview, at: int, stop: int, pieces: list[Piece]) -> int:
        """Fills `view[at:stop]`, or as much as there is; returns its end, and adds to `pieces` what is there."""
        while at < stop and self.left:
            if self._file is None:
                run = self._small_files(stop - at)
                if run:
                    at = await self._read_small(run, view, at, pieces)
                    continue
                await self._open(self._waiting.pop())
            at = await self._read_open(view, at, stop, pieces)
        return at

    def last_end(self, view: memoryview, start: int, stop: int) -> int:
        return behind_last_newline(view, start, stop)

    async def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            await self._disk.close_file(handle, raises=InputError)

    def _small_files(self, room: int) -> list[FileEntry]:
        run = []
        while self._waiting and (file := self._waiting[-1]).size <= min(SMALL_BYTES, room - 1):
            room -= file.size + 1
            run.append(self._waiting.pop())
        return run

    async def _read_small(self, run: list[FileEntry], view: memoryview, at: int, pieces: list[Piece]) -> int:
        for file, end in zip(run, await self._disk.run(_read_whole, run, view, at), strict=True):
            pieces.append(Piece(file.path, 0, at))
            self.left -= file.size + 1
            at = end
        return at

    async def _open(self, file: FileEntry) -> None:
        self._handle = await self._disk.open(file.path, raises=InputError)
        self._file, self._offset = file, 0
        check_unchanged(file, await self._disk.run(os.fstat, self._handle.fileno()))

    async def _read_open(self, view: memoryview, at: int, stop: int, pieces: list[Piece]) -> int:
        file, handle = self._file, self._handle
        assert file is not None
        assert handle is not None
        if not pieces or pieces[-1].path != file.path or self._offset == 0:
            pieces.append(Piece(file.path, self._offset, at))
        wanted = min(stop - at, file.size - self._offset)
        if wanted:
            got = await self._disk.read_into(handle, view[at : at + wanted], raises=InputError)
            if got < wanted:
                check_unchanged(file, await self._disk.run(os.fstat, handle.fileno()))
                raise InputError(
                    f"the input {file.path!r} ended {wanted - got:,} bytes early; run the job again"
                )
            at += got
            self._offset += got
            self.left -= got
            self._last = view[at - 1]
        if self._offset == file.size and (self._last == _NEWLINE or at < stop):
            if self._last != _NEWLINE:
                view[at] = _NEWLINE
                at += 1
            self.left -= 1
            check_unchanged(file, await self._disk.run(os.fstat, handle.fileno()))
            self._file = None
            await self.close()
        return at


def check_unchanged(file: FileEntry, status: os.stat_result) -> None:
    """Raises an InputError if a file is not what it was when it was listed."""
    if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
        raise InputError(
            f"the input {file.path!r} was changed while the job ran (it had {file.size:,} bytes and now has "
            f"{status.st_size:,}); run the job again on files that nobody writes to"
        )


def _read_whole(run: list[FileEntry], view: memoryview, at: int) -> list[int]:
    """Reads small files one behind the other, in one trip to a thread; returns where each ends."""
    ends = []
    for file in run:
        try:
            with open(file.path, "rb", buffering=0) as handle:
                end = at + file.size
                while at < end and (got := handle.readinto(view[at:end])):
                    at += got
                check_unchanged(file, os.fstat(handle.fileno()))
        except OSError as error:
            raise translated(error, "read the input", file.path, raises=InputError) from error
        if view[at - 1] != _NEWLINE:
            view[at] = _NEWLINE
            at += 1
        ends.append(at)
    return ends
