"""A file that is appended to: what was committed of it stays, and what was written behind that is cut off.

It is known again by what was written before its end, and by its inode if that is nothing, so it may be renamed or
copied. Its methods block. One process writes to it at a time: it is locked (flock) while it is open.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from typing import Any, Self

from asyncmr.errors import AsyncMRError, ResumeError, StorageError, UsageError
from asyncmr.storage.disk import translated, write_at
from asyncmr.streaming.feeds.file_mark import FileMark


class OutputFile:
    """An open file, and its `mark`: where what was written ends."""

    def __init__(self, path: str, fd: int, mark: FileMark) -> None:
        self.path = path
        self.mark = mark
        self._fd = fd

    @classmethod
    def begin(cls, path: str, *, durable: bool) -> Self:
        """The file at `path`, to be appended to; made if it is not there.

        Raises:
            UsageError: it is no regular file, or another process writes to it.
            StorageError: it cannot be opened.
        """
        fd = _opened(path, os.O_RDWR | os.O_CREAT)
        try:
            mark = FileMark.at(fd, os.fstat(fd).st_size)
            if mark.offset and not mark.seam.endswith(b"\n"):
                raise ResumeError(
                    f"the file {path!r} ends in the middle of a line, which somebody else wrote; end the line, or name "
                    "another file"
                )
            if durable:
                _sync_folder(path)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, mark)

    @classmethod
    def resume(cls, path: str, committed: dict[str, Any]) -> Self | None:
        """The file at `path`, cut off behind what was committed; None if it is not the file that that is of.

        Raises:
            UsageError: it is no regular file, or another process writes to it.
            StorageError: it cannot be opened or cut.
        """
        try:
            fd = _opened(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            mark = FileMark.found(fd, committed)
            if mark is not None:
                os.ftruncate(fd, mark.offset)
                return cls(path, fd, mark)
        except OSError as error:
            os.close(fd)
            raise translated(error, "go back to what was committed in", path) from error
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None

    @property
    def elsewhere(self) -> bool:
        """Whether it is at its path no more: renamed, or deleted."""
        return not _is_at(self._fd, self.path)

    @property
    def deleted(self) -> bool:
        """Whether it has no name at all any more."""
        return not os.fstat(self._fd).st_nlink

    def check(self) -> None:
        """Raises a StorageError if somebody else wrote to the file, or cut it."""
        size, ours = os.fstat(self._fd).st_size, self.mark.offset
        if size != ours:
            what = "cut it" if size < ours else "writes to it, too"
            raise StorageError(
                f"the file {self.path!r} has {size:,} bytes where this stream had written {ours:,}: somebody else "
                f"{what}. Rotate it by renaming, not by copying and truncating, and let one stream alone write to it",
                path=self.path,
            )

    def append(self, parts: Sequence[bytes]) -> None:
        """Writes at the end. After an error what stands behind the mark is undefined."""
        self._translated("append to", lambda: write_at(self._fd, parts, self.mark.offset))
        for part in parts:
            self.mark.advance(part)

    def sync(self) -> None:
        """Forces what was written to the disk."""
        self._translated("force to the disk what was written to", lambda: os.fdatasync(self._fd))

    def close(self) -> None:
        """Closes and unlocks it."""
        os.close(self._fd)

    def _translated(self, doing: str, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            raise translated(error, doing, self.path) from error


def refusal(path: str, committed: dict[str, Any]) -> AsyncMRError:
    """Why `path` is not gone on with, in which so many bytes were committed."""
    written = f"{committed['offset']:,} bytes"
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        what = f"the file {path!r} is gone, of which {written} were committed"
    else:
        if size < committed["offset"]:
            what = (
                f"the file {path!r} was cut or replaced: it has {size:,} bytes, and {written} were committed"
            )
        else:
            what = f"the file {path!r} was changed or replaced: it does not begin with what was committed, {written}"
    return ResumeError(
        f"{what}. Put that file back, under any name in this folder, or name another file to begin anew"
    )


def _opened(path: str, flags: int) -> int:
    """Opens and locks a file. Raises FileNotFoundError only without O_CREAT."""
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except FileNotFoundError as error:
        if not flags & os.O_CREAT:
            raise
        raise translated(error, "write to", path) from error
    except OSError as error:
        raise translated(error, "write to", path) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UsageError(
                f"{path!r} is no regular file, so what was not committed cannot be cut off; name a file"
            )
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise UsageError(
            f"another stream is writing to the file {path!r}; wait for it, or give each a file of its own"
        ) from error
    except OSError as error:
        os.close(fd)
        raise translated(error, "lock", path) from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _sync_folder(path: str) -> None:
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
