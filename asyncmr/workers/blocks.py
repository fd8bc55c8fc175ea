"""The memory behind a segment.

On Linux it is an anonymous file, filled with real pages at once by `posix_fallocate`: too little memory is
then an error here, where it can be handled, and never a SIGBUS in whoever touches a missing page. Elsewhere,
and for workers that live in this process, it is a bytearray.
"""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import suppress

from asyncmr.errors import StorageError
from asyncmr.workers.attach import SegmentRef

SHAREABLE = hasattr(os, "memfd_create") and hasattr(os, "posix_fallocate") and os.path.isdir("/proc/self/fd")


class PrivateBlock:
    """Memory of this process alone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.view = memoryview(bytearray(size))

    def ref(self, offset: int, length: int, *, keep: bool) -> SegmentRef | None:
        return None

    def close(self) -> None:
        """The memory goes with its last view."""


class SharedBlock:
    """An anonymous file of real pages, mapped here, that a worker can map as well."""

    def __init__(self, size: int) -> None:
        self.size = size
        fd = -1
        try:
            fd = os.memfd_create("asyncmr-segment", os.MFD_CLOEXEC)
            os.posix_fallocate(fd, 0, size)
            self._map = mmap.mmap(fd, size)
        except OSError as exc:
            if fd >= 0:
                os.close(fd)
            raise StorageError(
                f"an input buffer of {size:,} bytes of shared memory could not be had: {exc.strerror}; "
                "lower memory= or workers=, or give the process or container more memory",
                path="memfd",
                size=size,
            ) from exc
        self._fd = fd
        self._inode = os.fstat(fd).st_ino
        self.view = memoryview(self._map)

    def ref(self, offset: int, length: int, *, keep: bool) -> SegmentRef | None:
        return SegmentRef(os.getpid(), self._fd, self._inode, self.size, keep, offset, length)

    def close(self) -> None:
        os.close(self._fd)
        with suppress(BufferError):  # somebody still holds a slice: the mapping goes with that slice
            self.view.release()
            self._map.close()


Block = PrivateBlock | SharedBlock

_FILE_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EFBIG)  # too many open files, or one too large


def shared_if_possible(size: int) -> Block:
    """Shared memory; private, whose bytes cross a socket, where a limit of this process on files is in its way."""
    try:
        return SharedBlock(size)
    except StorageError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _FILE_LIMITS:
            return PrivateBlock(size)
        raise


class Probe:
    """A small segment that a new worker reads to find out whether it can map segments at all."""

    content = b"asyncmr segment probe"

    def __init__(self) -> None:
        self._block = SharedBlock(mmap.PAGESIZE)
        self._block.view[: len(self.content)] = self.content
        self.ref = self._block.ref(0, len(self.content), keep=False)

    def close(self) -> None:
        self._block.close()
