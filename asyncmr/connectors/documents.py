"""Whole files as records, many small ones in a split."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from asyncmr.connectors.compressed import is_compressed
from asyncmr.connectors.file_blocks import BLOCK_BYTES
from asyncmr.connectors.frames import Block, Stretch
from asyncmr.connectors.mixed_files import MixedFiles
from asyncmr.connectors.paths import FileEntry, PathSpec, resolve
from asyncmr.connectors.splitting import SPLIT_BYTES, splits_of
from asyncmr.connectors.text import fingerprint_of
from asyncmr.errors import InputError, UsageError
from asyncmr.kernel.documents import CHUNK_BYTES, WholeDocuments, path_chunk, text_chunk
from asyncmr.protocols import Buffers, SourceInfo, Split
from asyncmr.storage.disk import Disk


class Documents:
    """Files as they are; each reaches the mapper as `(path, text)`.

    `paths`: as for `TextFiles`. `limit`: how many bytes a document may have. A split has about `split_bytes`, and one
    document at least.
    """

    decoder = WholeDocuments()

    def __init__(self, paths: PathSpec, *, limit: int, split_bytes: int = SPLIT_BYTES) -> None:
        self._paths = paths if isinstance(paths, str | os.PathLike) else tuple(paths)
        self._limit = limit
        self._split_bytes = split_bytes
        self._prepared: tuple[Disk, list[FileEntry]] | None = None

    async def prepare(self, disk: Disk) -> SourceInfo:
        files = await disk.run(resolve, self._paths)
        for file in files:
            if file.size > self._limit and not is_compressed(file.path):
                raise _too_large(file.path, file.size, self._limit)
        self._prepared = disk, files
        most = _framed(files)
        if most is None:
            return SourceInfo(None)
        return SourceInfo(sum(file.size for file in files), divided=most > self._split_bytes)

    def fingerprint(self) -> dict[str, str]:
        """The files in order, with their sizes and the times of their last change."""
        return fingerprint_of(self._prepared, self._split_bytes, self.decoder)

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The splits in order. Their buffers belong to whoever takes them.

        Raises:
            InputError: a file was changed or removed since `prepare`, cannot be read, does not decompress, or is larger
                than the limit.
        """
        if self._prepared is None:
            raise UsageError("a source is prepared before it is read")
        stream = _DocumentStream(*self._prepared, self._limit)
        async with aclosing(splits_of(stream, buffers, self._split_bytes)) as splits:
            async for split in splits:
                yield split


class _DocumentStream(MixedFiles):
    """Documents as a stream to be cut where one ends."""

    def __init__(self, disk: Disk, files: list[FileEntry], limit: int) -> None:
        super().__init__(disk, files, partial(_DocumentFrames, limit), _framed(files) or sys.maxsize)
        self._end = 0

    def took(self, stretch: Stretch, at: int) -> None:
        if stretch.ends:
            self._end = at

    def last_end(self, view: memoryview, start: int, stop: int) -> int:
        end, self._end = self._end, 0
        return end


class _DocumentFrames:
    def __init__(self, limit: int) -> None:
        self._limit = limit

    def framed(self, block: Block) -> Stretch:
        """The block as chunks. Raises InputError if the document has become too large."""
        if block.offset + len(block.data) > self._limit:
            raise _too_large(block.path, None, self._limit)
        path = path_chunk(block.path) if block.offset == 0 else b""
        data = path + text_chunk(block.data)
        return Stretch(block.path, None, data, opens=block.offset == 0, ends=block.ended)


def _framed(files: list[FileEntry]) -> int | None:
    """No more bytes than this make the splits of these files; None if nobody knows."""
    if any(file.pipe or is_compressed(file.path) for file in files):
        return None
    return sum(
        file.size + len(os.fsencode(file.path)) + (2 + file.size // BLOCK_BYTES) * CHUNK_BYTES
        for file in files
    )


def _too_large(path: str, size: int | None, limit: int) -> InputError:
    has = f"more than {limit:,} bytes" if size is None else f"{size:,} bytes, more than {limit:,}"
    return InputError(
        f"the document {path!r} has {has}, and every document is in memory as a whole; "
        "raise documents(..., limit=) if there is room for it, or read its lines instead"
    )
