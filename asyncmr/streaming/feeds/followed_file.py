"""A file that is followed: a log, or what it was rotated to. All of this blocks."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any, Self

from asyncmr.streaming.feeds.file_mark import FileMark
from asyncmr.streaming.feeds.rotated import open_file

_log = logging.getLogger("asyncmr")


@dataclass(slots=True)
class FollowedFile:
    """An open file. `mark`: how far it has been read. `quiet_since`: when nothing more came, by the clock of whoever
    reads. `scanned`: how far beyond the mark a line that is too long has been looked through."""

    path: str
    fd: int
    mark: FileMark
    quiet_since: float | None = None
    scanned: int = 0

    @classmethod
    def found(cls, path: str, stored: dict[str, Any]) -> Self | None:
        """The file at `path`, if it is the one of a stored mark, or a copy of it."""
        if (fd := open_file(path)) is None:
            return None
        if (mark := FileMark.found(fd, stored)) is None:
            os.close(fd)
            return None
        return cls(path, fd, mark)

    @property
    def identity(self) -> tuple[int, int]:
        """Of device and inode."""
        return self.mark.device, self.mark.inode

    @property
    def lag(self) -> int:
        """Bytes that are there and not read."""
        return os.fstat(self.fd).st_size - self.mark.offset

    def close(self) -> None:
        """Closes the file."""
        os.close(self.fd)

    def is_truncated(self) -> bool:
        """Whether what stands before the mark is not what was read there."""
        return FileMark.at(self.fd, self.mark.offset).seam != self.mark.seam

    def look_through(self, size: int) -> tuple[bool, bool]:
        """Looks for the end of a line that is too long, `size` bytes of it. Whether there were any, and whether it ends
        there: then the mark is behind it."""
        block = os.pread(self.fd, size, self.mark.offset + self.scanned)
        end = block.find(b"\n") + 1
        self.scanned += end or len(block)
        if end:
            _log.warning(
                "%r: a line of %s bytes at byte %s was left out: it is longer than the limit, %s bytes",
                self.path,
                f"{self.scanned:,}",
                f"{self.mark.offset:,}",
                f"{size:,}",
            )
            self.mark, self.scanned = FileMark.at(self.fd, self.mark.offset + self.scanned), 0
        return bool(block), bool(end)
