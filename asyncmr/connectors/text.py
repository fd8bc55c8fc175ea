"""Text files as a source: their lines, cut into splits of about `split_bytes`.

The files are one stream of bytes, in order, in which every file ends in a newline: one that does not gets it
added, so that no line joins two files, and many small files share a split.

Plain files go straight into the buffers that the workers read from. Where one of them is compressed or a pipe, all of
them go another way, which gives the same splits of the same lines.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from hashlib import blake2b

from asyncmr.connectors.compressed import is_compressed
from asyncmr.connectors.frames import LineFrames
from asyncmr.connectors.line_slices import LineSlices
from asyncmr.connectors.mixed_files import MixedFiles
from asyncmr.connectors.paths import FileEntry, PathSpec, resolve
from asyncmr.connectors.plain_files import PlainFiles
from asyncmr.connectors.splitting import SPLIT_BYTES, ByteStream, splits_of
from asyncmr.errors import UsageError
from asyncmr.kernel.decoding import TextLines
from asyncmr.protocols import Buffers, Decoder, Sample, SourceInfo, Split
from asyncmr.storage.disk import Disk


class TextFiles:
    """The lines of text files; each reaches the mapper as `(None, line)`.

    `paths`: a path, a glob, a folder, `-` for standard input, or a list of these; `asyncmr.connectors.paths` says what
    they stand for. Files whose names end in `.gz`, `.bz2`, `.xz` or `.zst` are decompressed.
    `split_bytes`: how much of the input makes a task. `decoder`: what makes records of the lines.
    """

    def __init__(
        self, paths: PathSpec, *, split_bytes: int = SPLIT_BYTES, decoder: Decoder | None = None
    ) -> None:
        self.decoder = decoder or TextLines()
        if split_bytes < 1:
            raise UsageError(f"split_bytes={split_bytes} leaves a split without bytes; give at least 1")
        self._paths = paths if isinstance(paths, str | os.PathLike) else tuple(paths)
        self._split_bytes = split_bytes
        self._prepared: tuple[Disk, list[FileEntry]] | None = None

    async def prepare(self, disk: Disk) -> SourceInfo:
        files = await disk.run(resolve, self._paths)
        self._prepared = disk, files
        if not _sized(files):
            return SourceInfo(None)
        size = sum(file.size for file in files)
        # A newline may be added to each file, and none of them is worth a second split.
        return SourceInfo(size, divided=size + len(files) > self._split_bytes, sampled=True)

    def fingerprint(self) -> dict[str, str]:
        """The files in order, with their sizes and the times of their last change."""
        return fingerprint_of(self._prepared, self._split_bytes, self.decoder)

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The splits in order. Their buffers belong to whoever takes them.

        Raises:
            InputError: a file was changed or removed since `prepare`, cannot be read, or does not decompress.
        """
        if self._prepared is None:
            raise UsageError("a source is prepared before it is read")
        disk, files = self._prepared
        stream: ByteStream = PlainFiles(disk, files) if _sized(files) else MixedFiles(disk, files, LineFrames)
        async with aclosing(splits_of(stream, buffers, self._split_bytes)) as splits:
            async for split in splits:
                yield split

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


def _sized(files: list[FileEntry]) -> bool:
    """Whether it is known how long the text of the files is."""
    return not any(file.pipe or is_compressed(file.path) for file in files)


def fingerprint_of(
    prepared: tuple[Disk, list[FileEntry]] | None, split_bytes: int, decoder: Decoder
) -> dict[str, str]:
    """The prepared files in order, with their sizes and the times of their last change, and what is made of them.

    Raises:
        UsageError: one of them can be read only once, or nothing was prepared.
    """
    if prepared is None:
        raise UsageError("a source is prepared before it is read")
    _, files = prepared
    for file in files:
        if file.pipe:
            raise UsageError(
                f"a job with resume= reads its input again when it goes on, and {file.path!r} can be read only once; "
                "write it to a file first"
            )
    names = [os.path.abspath(file.path) for file in files]
    found = {
        "the number of input files": str(len(files)),
        "the order of the input files": blake2b(repr(names).encode(), digest_size=8).hexdigest(),
        "the size of splits": str(split_bytes),
    }
    found |= {f"the input {name!r}": _told(file) for name, file in zip(names, files, strict=True)}
    return found | {"the format of the input": repr(decoder)}


def _told(file: FileEntry) -> str:
    seconds, fraction = divmod(file.mtime_ns, 10**9)
    changed = datetime.fromtimestamp(seconds, UTC).isoformat(" ").removesuffix("+00:00")
    return f"{file.size:,} bytes, changed at {changed}.{fraction:09} UTC"
