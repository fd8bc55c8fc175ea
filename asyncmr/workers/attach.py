"""The worker's view of the host's segments: each is mapped once and kept.

A segment is an anonymous file of the host, reached through /proc/<pid>/fd/<n>. File numbers are used again,
so the inode is checked. A segment larger than usual is mapped for one session only: a mapping keeps its
memory alive after the host has let go of it.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from typing import NamedTuple


class SegmentRef(NamedTuple):
    """Where a range of a segment is: what crosses to the worker instead of its bytes."""

    pid: int
    fd: int
    inode: int
    size: int
    keep: bool
    offset: int
    length: int


class Attachments:
    """The mappings of one worker, by inode."""

    def __init__(self) -> None:
        self._kept: dict[int, mmap.mmap] = {}
        self._passing: dict[int, mmap.mmap] = {}

    def view(self, ref: SegmentRef) -> memoryview:
        """A read-only view of the range.

        Raises:
            OSError: the segment cannot be opened, or is not the one that `ref` names.
        """
        cache = self._kept if ref.keep else self._passing
        mapped = cache.get(ref.inode)
        if mapped is None or len(mapped) != ref.size:
            mapped = cache[ref.inode] = _map(ref)
        return memoryview(mapped)[ref.offset : ref.offset + ref.length]

    def end_session(self) -> None:
        """Lets go of the mappings that were for one session."""
        while self._passing:
            _, mapped = self._passing.popitem()
            with suppress(BufferError):  # the program kept a view: the mapping goes when that view goes
                mapped.close()


def _map(ref: SegmentRef) -> mmap.mmap:
    path = f"/proc/{ref.pid}/fd/{ref.fd}"
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if status.st_ino != ref.inode or status.st_size < ref.size:
            raise OSError(f"{path} is not the segment that the host named; it was released too early")
        return mmap.mmap(fd, ref.size, mmap.MAP_SHARED, mmap.PROT_READ)
    finally:
        os.close(fd)
