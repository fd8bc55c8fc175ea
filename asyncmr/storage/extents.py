"""Pieces of spill files, read and checked. Everything here blocks, and runs in an I/O thread.

Strategy. A trip to a thread reads many small pieces, possibly of several files. What lies side by side is one
system call, wherever in the buffer it goes. Before the first read the kernel is told of all of them: pieces that
have left the page cache are then fetched side by side, not one after the other.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from asyncmr.errors import CorruptRunError
from asyncmr.storage.compression import Codec
from asyncmr.storage.disk import BUFFERS_PER_CALL, read_at, translated


class Extent(NamedTuple):
    """One piece: `size` bytes from `offset` of a file on, and their CRC-32.

    `length`: its bytes, more than `size` if it is compressed. `at`: where in a buffer they go.
    """

    fd: int
    offset: int
    size: int
    checksum: int
    length: int
    path: str
    at: int = 0


def read_extent(extent: Extent, codec: Codec | None = None) -> bytes:
    """One piece, which `codec` may have compressed.

    Raises:
        CorruptRunError: it is not what was written.
        StorageError: the disk does not give it.
    """
    try:
        data = os.pread(extent.fd, extent.size, extent.offset)
        while len(data) < extent.size:  # Linux reads no more than 2 GiB at once
            more = os.pread(extent.fd, extent.size - len(data), extent.offset + len(data))
            if not more:
                break
            data += more
    except OSError as error:
        raise _unreadable(error, extent) from error
    _check(extent, data)
    return data if extent.size == extent.length else _whole(extent, data, codec)


def check_extents(extents: Sequence[Extent]) -> None:
    """Reads pieces, and raises as `read_extent` if one is not what was written."""
    for extent in extents:
        read_extent(extent._replace(length=extent.size))


def read_extents(extents: Sequence[Extent], view: memoryview, codec: Codec | None = None) -> None:
    """Reads each piece to its place in `view`. Raises as `read_extent`; the view's content is then undefined."""
    groups = list(_side_by_side(extents))
    if len(groups) > 1 and hasattr(os, "posix_fadvise"):
        for group in groups:
            size = group[-1].offset + group[-1].size - group[0].offset
            os.posix_fadvise(group[0].fd, group[0].offset, size, os.POSIX_FADV_WILLNEED)
    for group in groups:
        # Released before we return: an export that outlives the read would keep a shared buffer from closing.
        parts = [
            view[extent.at : extent.at + extent.size]
            if extent.size == extent.length
            else memoryview(bytearray(extent.size))
            for extent in group
        ]
        try:
            first = group[0]
            try:
                end = first.offset + read_at(first.fd, parts, first.offset)
            except OSError as error:
                raise _unreadable(error, first) from error
            for extent, part in zip(group, parts, strict=True):
                with part[: max(0, end - extent.offset)] as got:
                    _check(extent, got)
                    if extent.size != extent.length:
                        view[extent.at : extent.at + extent.length] = _whole(extent, got, codec)
        finally:
            for part in parts:
                part.release()


def _side_by_side(extents: Sequence[Extent]) -> Iterator[list[Extent]]:
    group: list[Extent] = []
    end = -1
    for extent in sorted(extents):
        if group and (extent.fd != group[0].fd or extent.offset != end or len(group) == BUFFERS_PER_CALL):
            yield group
            group = []
        group.append(extent)
        end = extent.offset + extent.size
    if group:
        yield group


def _check(extent: Extent, data: bytes | memoryview) -> None:
    if len(data) < extent.size:
        raise _damaged(extent, "the file is cut short")
    if zlib.crc32(data) != extent.checksum:
        raise _damaged(extent, "its checksum is not that of what was written")


def _whole(extent: Extent, data: bytes | memoryview, codec: Codec | None) -> bytes:
    """The bytes of a compressed piece."""
    assert codec is not None
    try:
        whole = codec.decompress(data, extent.length)
    except codec.error as error:
        raise _damaged(extent, f"it cannot be decompressed ({error})") from error
    if len(whole) != extent.length:
        raise _damaged(extent, f"it holds {len(whole):,} bytes, and {extent.length:,} were compressed")
    return whole


def _damaged(extent: Extent, problem: str) -> CorruptRunError:
    return CorruptRunError(
        f"the piece of {extent.size:,} bytes at offset {extent.offset:,} of {extent.path!r} is damaged: {problem}; "
        "another program changed the file, or the disk is failing. Run the job again, with another spill_dir",
        path=extent.path,
        size=extent.size,
    )


def _unreadable(error: OSError, extent: Extent) -> Exception:
    doing = f"read {extent.size:,} bytes at offset {extent.offset:,} of"
    return translated(error, doing, extent.path, extent.size)
