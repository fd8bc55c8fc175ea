"""How far a file has been read, and how to know it again.

Names do not identify a log: rotation gives them away. Inodes do not either: a new file gets the number of one that was
deleted, a truncated one keeps it, a copy has another. So a mark also has what was read: the first kilobyte, and what
stands just before the offset. The second is what tells a log that was truncated and has grown beyond the offset since,
when every log of its kind begins with the same header.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

from asyncmr.storage.disk import read_at

HEAD_BYTES = 1024
SEAM_BYTES = 256


@dataclass(slots=True)
class FileMark:
    """A place in a file: everything before `offset` has been read.

    `head`: the first bytes before the offset. `seam`: the last ones. Both as they are while the file is followed;
    what is stored is their hashes.
    """

    device: int
    inode: int
    offset: int = 0
    head: bytes = b""
    seam: bytes = b""

    def advance(self, data: bytes) -> None:
        """`data` has been read as well."""
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self.seam = (self.seam + data[-SEAM_BYTES:])[-SEAM_BYTES:]
        self.offset += len(data)

    def stored(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "device": self.device,
            "inode": self.inode,
            "offset": self.offset,
            "head": _hash(self.head),
            "seam": _hash(self.seam),
        }

    @classmethod
    def found(cls, fd: int, stored: dict[str, Any]) -> Self | None:
        """The mark in an open file, if that is the file that was read, or a copy of it. Blocks."""
        stat = os.fstat(fd)
        offset = int(stored["offset"])
        if offset == 0:
            same = (stat.st_dev, stat.st_ino) == (stored["device"], stored["inode"])
            return cls(stat.st_dev, stat.st_ino) if same else None
        if stat.st_size < offset:
            return None
        mark = cls.at(fd, offset)
        same = _hash(mark.head) == stored["head"] and _hash(mark.seam) == stored["seam"]
        return mark if same else None

    @classmethod
    def at(cls, fd: int, offset: int) -> Self:
        """A place in an open file. Blocks."""
        stat = os.fstat(fd)
        head = _read(fd, min(HEAD_BYTES, offset), 0)
        before = min(SEAM_BYTES, offset)
        return cls(stat.st_dev, stat.st_ino, offset, head, _read(fd, before, offset - before))


def _read(fd: int, size: int, offset: int) -> bytes:
    """So much of a file, or all that there is, however short single reads come out."""
    data = bytearray(size)
    with memoryview(data) as view:
        got = read_at(fd, [view], offset)
    return bytes(data[:got])


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
