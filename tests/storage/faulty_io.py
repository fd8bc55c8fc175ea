"""What the operating system may do to our files: fail, take or give less than was asked for, or take its time.

The calls that asyncmr makes in this process on the files below one folder go through a hook, which may let them
be, raise an `OSError`, or say how many bytes they may move. Real files, processes and data; only the answer of the
system is ours to choose.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiofiles.threadpool
import pytest

from asyncmr.connectors import part_files, text
from asyncmr.storage import disk

ERRORS = {
    "write": errno.ENOSPC,
    "read": errno.EIO,
    "open": errno.EMFILE,
    "close": errno.EIO,
    "rename": errno.EIO,
    "mkdir": errno.ENOSPC,
    "remove": errno.EIO,
    "lock": errno.ENOLCK,
}
"""How each kind of call fails most often."""


class Call(NamedTuple):
    """One call. `kind`: open, read, write, close, rename, mkdir, remove or lock. `offset`: -1 where the file has it."""

    number: int
    kind: str
    path: str
    fd: int = -1
    size: int = 0
    offset: int = -1


Hook = Callable[[Call], int | None]
"""What happens to a call: None lets it be, a number is the most bytes that it moves, an OSError is its failure."""


class FaultyIO:
    """The calls on files below `folder`. `hook` decides on each; `calls` were made, `failed` since the last `fail`."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.calls: list[Call] = []
        self.failed: list[Call] = []
        self.hook: Hook = lambda call: None
        self._guard = threading.Lock()

    def fail(self, number: int, *, for_ever: bool = False) -> None:
        """Makes the call of this number, counted from now on, fail; `for_ever`: and all later ones."""
        first = len(self.calls) + number

        def hook(call: Call) -> None:
            if call.number == first or (for_ever and call.number > first):
                self.failed.append(call)
                raise error(ERRORS[call.kind], call)

        self.failed = []
        self.hook = hook

    def heal(self) -> None:
        """All is well again."""
        self.hook = lambda call: None

    def asked(self, kind: str, path: Any, **facts: int) -> int | None:
        """Notes a call and asks the hook."""
        where = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else _path_of(path)
        where = where.removesuffix(" (deleted)")
        if not (where + "/").startswith(self.folder + "/"):
            return None
        with self._guard:
            call = Call(len(self.calls), kind, where, **facts)
            self.calls.append(call)
        return self.hook(call)


@contextmanager
def faulty_io(folder: Path) -> Iterator[FaultyIO]:
    """Lets a hook decide on the calls below `folder`."""
    faulty = FaultyIO(folder)
    with pytest.MonkeyPatch.context() as patch:
        _patch_files(patch, faulty)
        _patch_reads_and_writes(patch, faulty)
        _patch_names(patch, faulty)
        yield faulty


def error(code: int, call: Call) -> OSError:
    """What the system says when a call fails."""
    return OSError(code, os.strerror(code), call.path)


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def _at(path: Any, dir_fd: int | None) -> str:
    name = os.fsdecode(path)
    return os.path.abspath(name if dir_fd is None else os.path.join(_path_of(dir_fd), name))


def _patch_files(patch: pytest.MonkeyPatch, faulty: FaultyIO) -> None:
    """Files that Python opens, reads and writes itself."""

    class File(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            most = faulty.asked("read", self.fileno(), fd=self.fileno(), size=len(buffer))
            return super().readinto(memoryview(buffer)[:most])

        def write(self, data: Any) -> int:
            most = faulty.asked("write", self.fileno(), fd=self.fileno(), size=len(data))
            return super().write(memoryview(data)[:most]) or 0

        def close(self) -> None:
            fd = -1 if self.closed else self.fileno()
            path = _path_of(fd)
            super().close()  # a close that fails has closed all the same
            if fd >= 0:
                faulty.asked("close", path)

    real = open

    def opened(path: Any, mode: str = "r", buffering: int = -1, **options: Any) -> Any:
        where = _at(path, None)
        if "b" not in mode or not where.startswith(faulty.folder + "/"):
            return real(path, mode, buffering, **options)
        if options.get("opener") is None:  # an opener calls `os.open`
            faulty.asked("open", where)
        return File(path, mode, opener=options.get("opener"))

    for module in (disk, text, part_files):
        patch.setattr(module, "open", opened, raising=False)
    patch.setattr(aiofiles.threadpool, "sync_open", opened)


def _patch_reads_and_writes(patch: pytest.MonkeyPatch, faulty: FaultyIO) -> None:
    pwritev, preadv, pread = os.pwritev, os.preadv, os.pread

    def faulty_pwritev(fd: int, buffers: Any, offset: int, *rest: Any) -> int:
        size = sum(map(len, buffers))
        most = faulty.asked("write", fd, fd=fd, size=size, offset=offset)
        return pwritev(fd, _first(buffers, most), offset, *rest)

    def faulty_preadv(fd: int, buffers: Any, offset: int, *rest: Any) -> int:
        size = sum(map(len, buffers))
        most = faulty.asked("read", fd, fd=fd, size=size, offset=offset)
        return preadv(fd, _first(buffers, most), offset, *rest)

    def faulty_pread(fd: int, size: int, offset: int) -> bytes:
        most = faulty.asked("read", fd, fd=fd, size=size, offset=offset)
        return pread(fd, size if most is None else min(size, most), offset)

    patch.setattr(os, "pwritev", faulty_pwritev)
    patch.setattr(os, "preadv", faulty_preadv)
    patch.setattr(os, "pread", faulty_pread)


def _first(buffers: Any, most: int | None) -> list[Any]:
    if most is None:
        return list(buffers)
    some: list[Any] = []
    for buffer in buffers:
        if most:
            some.append(memoryview(buffer)[:most])
            most -= len(some[-1])
    return some


def _patch_names(patch: pytest.MonkeyPatch, faulty: FaultyIO) -> None:
    """What is opened, made, renamed and removed by its name, and locks."""

    def patched(module: Any, name: str, kind: str) -> None:
        real = getattr(module, name)

        def call(path: Any, *arguments: Any, dir_fd: int | None = None, **named: Any) -> Any:
            faulty.asked(kind, path if isinstance(path, int) else _at(path, dir_fd))
            if dir_fd is not None:
                named["dir_fd"] = dir_fd
            return real(path, *arguments, **named)

        patch.setattr(module, name, call)

    for name, kind in [
        ("open", "open"),
        ("mkdir", "mkdir"),
        ("rename", "rename"),
        ("unlink", "remove"),
        ("rmdir", "remove"),
    ]:
        patched(os, name, kind)
    patched(fcntl, "flock", "lock")
