"""Text files as a source: their lines, cut into splits of about `split_bytes`.

The files are one stream of bytes, in order, in which every file ends in a newline: one that does not gets it
added, so that no line joins two files, and many small files share a split. A split is the first `split_bytes`
of what is left of the stream, up to the last newline therein. If there is none, one slice after the other is
added until a newline comes. So the cut depends on the contents alone, and the bytes behind it, which the next
split begins with, are fewer than `split_bytes`.

The bytes are read in threads, a slice at a time, straight into the buffer that the worker reads from. The event
loop sees of them only what lies behind the last newline of each slice.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import BinaryIO

from aiofiles.threadpool.binary import AsyncFileIO

from asyncmr.connectors.line_slices import LineSlices
from asyncmr.connectors.paths import FileEntry, PathSpec, resolve
from asyncmr.errors import InputError, UsageError
from asyncmr.kernel.decoding import TextLines
from asyncmr.protocols import Buffer, Buffers, Piece, Sample, SourceInfo, Split
from asyncmr.storage.disk import Disk, translated

SPLIT_BYTES = 8 << 20
"""The best of what was measured: twice that falls out of the cache and leaves workers idle at the end."""

SLICE_BYTES = 1 << 20
"""What is read in one trip to a thread: long enough to pay for the trip, short enough to cancel."""

_SMALL_BYTES = 64 << 10  # files up to this size are read many at a time


class TextFiles:
    """The lines of text files; each reaches the mapper as `(None, line)`.

    `paths`: a path, a glob, a folder, or a list of these; `asyncmr.connectors.paths` says what they stand for.
    `split_bytes`: how much of the input makes a task.
    """

    decoder = TextLines()

    def __init__(self, paths: PathSpec, *, split_bytes: int = SPLIT_BYTES) -> None:
        if split_bytes < 1:
            raise UsageError(f"split_bytes={split_bytes} leaves a split without bytes; give at least 1")
        self._paths = paths if isinstance(paths, str | os.PathLike) else tuple(paths)
        self._split_bytes = split_bytes
        self._prepared: tuple[Disk, list[FileEntry]] | None = None

    async def prepare(self, disk: Disk) -> SourceInfo:
        files = await disk.run(resolve, self._paths)
        self._prepared = disk, files
        size = sum(file.size for file in files)
        # A newline may be added to each file, and none of them is worth a second split.
        return SourceInfo(size, divided=size + len(files) > self._split_bytes, sampled=True)

    def fingerprint(self) -> dict[str, str]:
        """The files in order, with their sizes and the times of their last change."""
        if self._prepared is None:
            raise UsageError("a source is prepared before it is read")
        files = self._prepared[1]
        names = [os.path.abspath(file.path) for file in files]
        found = {
            "the number of input files": str(len(files)),
            "the order of the input files": blake2b(repr(names).encode(), digest_size=8).hexdigest(),
            "the size of splits": str(self._split_bytes),
        }
        return found | {f"the input {name!r}": _told(file) for name, file in zip(names, files, strict=True)}

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The splits in order. Their buffers belong to whoever takes them.

        Raises:
            InputError: a file was changed or removed since `prepare`, or cannot be read.
        """
        if self._prepared is None:
            raise UsageError("a source is prepared before it is read")
        stream = _Stream(*self._prepared)
        index, tail, pieces = 0, b"", list[Piece]()
        try:
            while tail or stream.left:
                buffer = await buffers.lease(min(self._split_bytes, len(tail) + stream.left))
                try:
                    filled, cut = await self._fill(buffer, stream, tail, pieces)
                    # Copied out, not into the next buffer: to wait for one while holding one would deadlock.
                    tail = bytes(buffer.view[cut:filled])
                except BaseException:
                    buffer.release()
                    raise
                inside = tuple(piece for piece in pieces if piece.start < cut)
                yield Split(index, cut, buffer=buffer, pieces=inside)
                index, pieces = index + 1, _behind(pieces, cut) if tail else []
        finally:
            await stream.close()

    async def samples(self, buffers: Buffers) -> AsyncGenerator[Sample, None]:
        """Some lines from every stretch of the files. Raises as `splits`."""
        if self._prepared is None:
            raise UsageError("a source is prepared before it is read")
        disk, files = self._prepared
        for index, slices in enumerate(LineSlices.of(files)):
            data, pieces = await disk.run(slices.read)
            if data:
                buffer = await buffers.lease(len(data))
                buffer.view[: len(data)] = data
                split = Split(index, len(data), buffer=buffer, pieces=pieces)
                starts = tuple(piece.start for piece in pieces)
                yield Sample(split, stretches=starts, worth=slices.worth)

    async def _fill(
        self, buffer: Buffer, stream: _Stream, tail: bytes, pieces: list[Piece]
    ) -> tuple[int, int]:
        """Fills a buffer with the tail and what comes next; returns where it ends, and where its last line does."""
        filled, cut, limit = len(tail), 0, self._split_bytes
        buffer.view[:filled] = tail
        while stream.left and (filled < limit or not cut):
            if filled == limit:
                limit += min(SLICE_BYTES, self._split_bytes)
                needed = min(limit, filled + stream.left)
                if needed > len(buffer.view):
                    await buffer.grow(max(needed, min(2 * len(buffer.view), filled + stream.left)))
            view = buffer.view
            stop = min(limit, filled + min(SLICE_BYTES, stream.left))
            start, filled = filled, await stream.read(view, filled, stop, pieces)
            cut = _behind_last_newline(view, start, filled) or cut
        return filled, cut if stream.left else filled


class _Stream:
    """Files one behind the other, each ended by a newline. `left`: no more bytes than this are to come."""

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

    async def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            await self._disk.close_file(handle, raises=InputError)

    def _small_files(self, room: int) -> list[FileEntry]:
        run = []
        while self._waiting and (file := self._waiting[-1]).size <= min(_SMALL_BYTES, room - 1):
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
        _check(file, await self._disk.run(os.fstat, self._handle.fileno()))

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
                _check(file, await self._disk.run(os.fstat, handle.fileno()))
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
            _check(file, await self._disk.run(os.fstat, handle.fileno()))
            self._file = None
            await self.close()
        return at


_NEWLINE = ord("\n")


def _told(file: FileEntry) -> str:
    seconds, fraction = divmod(file.mtime_ns, 10**9)
    changed = datetime.fromtimestamp(seconds, UTC).isoformat(" ").removesuffix("+00:00")
    return f"{file.size:,} bytes, changed at {changed}.{fraction:09} UTC"


def _check(file: FileEntry, status: os.stat_result) -> None:
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
                _check(file, os.fstat(handle.fileno()))
        except OSError as error:
            raise translated(error, "read the input", file.path, raises=InputError) from error
        if view[at - 1] != _NEWLINE:
            view[at] = _NEWLINE
            at += 1
        ends.append(at)
    return ends


def _behind(pieces: list[Piece], cut: int) -> list[Piece]:
    """The pieces of what lies behind `cut`, as they lie once that is moved to the front."""
    last = max(number for number, piece in enumerate(pieces) if piece.start <= cut)
    first = pieces[last]
    moved = [Piece(first.path, first.offset + cut - first.start, 0)]
    return moved + [Piece(piece.path, piece.offset, piece.start - cut) for piece in pieces[last + 1 :]]


def _behind_last_newline(view: memoryview, start: int, stop: int) -> int:
    """The position behind the last newline of `view[start:stop]`, or 0."""
    step = 4096
    while start < stop:
        begin = max(start, stop - step)
        at = bytes(view[begin:stop]).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        stop, step = begin, min(2 * step, SLICE_BYTES)
    return 0


async def line_number(disk: Disk, path: str, byte_offset: int) -> int:
    """The 1-based number of the line that the byte at `byte_offset` belongs to. Reads the file up to there.

    Raises:
        InputError: the file cannot be read any more.
    """
    handle = await disk.open(path, raises=InputError)
    try:
        line, block = 1, bytearray(SLICE_BYTES)
        while byte_offset:
            got = await disk.read_into(handle, memoryview(block)[:byte_offset], raises=InputError)
            if not got:
                break
            line += await disk.run(block.count, b"\n", 0, got)
            byte_offset -= got
        return line
    finally:
        await disk.close_file(handle, raises=InputError)


class LineNumbers:
    """The numbers of the lines that begin at ascending offsets of files, in one pass over each. Its methods block."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._file: BinaryIO | None = None
        self._offset = 0
        self.line: int | None = None

    def seek(self, path: str, offset: int) -> Iterator[None]:
        """Makes `line` the 1-based number of the line at `offset`; None if the file cannot be read any more.

        Pauses after every slice that it reads.
        """
        if path != self._path or offset < self._offset:
            self.close()
            self._path, self._offset, self.line = path, 0, 1
            try:
                self._file = open(path, "rb", buffering=0)  # noqa: SIM115
            except OSError:
                self.line = None
        while self._file is not None and self.line is not None and self._offset < offset:
            try:
                data = self._file.read(min(SLICE_BYTES, offset - self._offset))
            except OSError:
                data = b""
            if not data:
                self.line = None
                return
            self.line += data.count(b"\n")
            self._offset += len(data)
            yield

    def close(self) -> None:
        """Closes the file that is open."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
