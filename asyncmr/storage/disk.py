"""File I/O in threads of our own, so that no read, write or rename ever holds the event loop.

The contract that the rest of storage builds on: a call that is cancelled first waits until its thread is
done, then re-raises. A thread cannot be interrupted, and until it returns it may still write to the buffer,
the file or the folder that the caller is about to give away. Cancelling therefore takes as long as the one
system call that runs, which is why big transfers are cut into slices by whoever asks for them.

An `OSError` becomes the family of the side that failed (`raises`): InputError, OutputError or StorageError.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

import aiofiles
from aiofiles.threadpool.binary import AsyncFileIO
from anyio import CancelScope

from asyncmr.errors import AsyncMRError, StorageError

P = ParamSpec("P")
T = TypeVar("T")
Mode = Literal["rb", "r+b", "wb", "xb", "x+b"]

_THREADS = 4

BUFFERS_PER_CALL = 512
"""Buffers handed to one `pwritev` or `preadv`; Linux refuses more than 1,024 (IOV_MAX)."""

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would grow beyond the size limit of this process (ulimit -f)",
    errno.EMFILE: "this process has too many open files; raise the limit (ulimit -n)",
    errno.ENFILE: "this machine has too many open files",
    errno.ENOENT: "there is no such file or folder; it was removed, or never there",
    errno.EACCES: "this user may not do that; check the permissions",
    errno.EROFS: "the file system is read-only",
    errno.EEXIST: "something of that name exists already",
    errno.ENAMETOOLONG: "the name is too long for this file system",
}


def translated(
    error: OSError, doing: str, path: str, size: int = 0, raises: type[AsyncMRError] = StorageError
) -> AsyncMRError:
    """The error to raise from `error`: what could not be done with which file, and what to do about it."""
    advice = _ADVICE.get(error.errno or 0)
    reason = f"{advice} [{error.strerror}]" if advice else str(error.strerror or error)
    message = f"could not {doing} {path!r}: {reason}"
    return raises(message, path=path, size=size) if issubclass(raises, StorageError) else raises(message)


async def finish(work: Awaitable[T], *, patience: float | None = None) -> T:
    """Awaits `work` to its end even when cancelled, and only then re-raises the cancellation. `patience`: seconds after
    which `work` is cancelled as well.

    What `work` itself raises while the caller is being cancelled becomes the cancellation's context.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError as error:
        cancelled = error
    else:
        return task.result()
    if patience is not None:
        asyncio.get_running_loop().call_later(patience, task.cancel)
    # The scope holds off anyio, which cancels again on every pass of the loop; `while` holds off asyncio.
    while not task.done():
        try:
            with CancelScope(shield=True):
                await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.cancelled() and (failure := task.exception()) is not None:
        cancelled.__context__ = failure
    raise cancelled


class Disk:
    """Opens, reads and writes files in threads. Used as an async context manager.

    `threads` makes what they run in, given how many it should have at most, and their name.

    Leave it only after everything that uses it has ended; what then still runs in a thread is waited for.
    """

    def __init__(self, threads: Callable[[int, str], Executor] = ThreadPoolExecutor) -> None:
        self._executor = threads(_THREADS, "asyncmr-io")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls `function` in a thread: for stat, rename, rmtree and the like. Its errors pass unchanged."""
        return await finish(self.begin(function, *args, **kwargs))

    def begin(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Begins what `run` does. The caller has to see it to its end, by `finish`, whatever happens."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))

    async def open(
        self,
        path: str,
        mode: Mode = "rb",
        *,
        private: bool = False,
        raises: type[AsyncMRError] = StorageError,
    ) -> AsyncFileIO:
        """Opens a file without a buffer of Python's. `mode` "xb" and "x+b" refuse a file that exists.

        private: the file is readable and writable by this user only, and `path` may not be a symbolic link.
        """
        opening = asyncio.ensure_future(
            aiofiles.open(
                path, mode, buffering=0, opener=_private if private else None, executor=self._executor
            )
        )
        try:
            return await finish(opening)
        except OSError as error:
            raise translated(error, "open", path, raises=raises) from error
        except asyncio.CancelledError:
            if not opening.cancelled() and opening.exception() is None:
                await finish(opening.result().close())
            raise

    async def read_into(
        self,
        handle: AsyncFileIO,
        view: memoryview,
        offset: int | None = None,
        *,
        raises: type[AsyncMRError] = StorageError,
    ) -> int:
        """Reads until `view` is full or the file ends; returns the bytes read.

        offset: where in the file; the handle's own position then neither counts nor moves, so that several
            reads of one handle may run at once. None: from the handle's position on.
        """
        done = 0
        try:
            while done < len(view):
                # Released here: the thread may hold on to it for a moment, and so would keep `view` from closing.
                with view[done:] as rest:
                    if offset is None:
                        got = await finish(handle.readinto(rest)) or 0
                    else:
                        got = await self.run(os.preadv, handle.fileno(), [rest], offset + done)
                if not got:
                    break
                done += got
        except OSError as error:
            raise translated(
                error, f"read {len(view):,} bytes of", str(handle.name), len(view), raises
            ) from error
        return done

    async def write_all(
        self, handle: AsyncFileIO, data: bytes | memoryview, *, raises: type[AsyncMRError] = StorageError
    ) -> None:
        """Writes all of `data` at the handle's position, however short the single writes come out."""
        rest = memoryview(data).cast("B")
        try:
            while rest:
                written = await finish(handle.write(rest))
                if not written:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                rest = rest[written:]
        except OSError as error:
            raise translated(
                error, f"write {len(data):,} bytes to", str(handle.name), len(data), raises
            ) from error

    async def append(self, path: str, data: bytes, *, raises: type[AsyncMRError] = StorageError) -> None:
        """Appends to a file, made if it is not there, in one trip to a thread; holds no descriptor between."""
        try:
            await self.run(_append, path, data)
        except OSError as error:
            raise translated(error, f"write {len(data):,} bytes to", path, len(data), raises) from error

    async def close_file(self, handle: AsyncFileIO, *, raises: type[AsyncMRError] = StorageError) -> None:
        """Closes a file. Some file systems report a failed write only here."""
        try:
            await finish(handle.close())
        except OSError as error:
            raise translated(error, "close", str(handle.name), raises=raises) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _append(path: str, data: bytes) -> None:
    with open(path, "ab", buffering=0) as file, memoryview(data) as view:
        done = 0
        while done < len(view):
            written = file.write(view[done:])
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done += written


def write_at(fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> None:
    """Writes `buffers` one behind the other from `offset` on, however short the single writes come out.

    Blocks. After a failure what lies beyond `offset` is undefined. Raises OSError.
    """
    for first in range(0, len(buffers), BUFFERS_PER_CALL):
        rest: list[Any] = list(buffers[first : first + BUFFERS_PER_CALL])
        while rest := [buffer for buffer in rest if len(buffer)]:
            written = os.pwritev(fd, rest, offset)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            offset += written
            rest = _behind(rest, written)


def read_at(fd: int, views: Sequence[memoryview], offset: int) -> int:
    """Fills `views`, at most `BUFFERS_PER_CALL`, one behind the other from `offset` on.

    Blocks. Returns the bytes read: fewer than there is room for where the file ends. Raises OSError.
    """
    rest: list[Any] = list(views)
    done = 0
    try:
        while rest := [view for view in rest if len(view)]:
            got = os.preadv(fd, rest, offset + done)
            if not got:
                break
            done += got
            rest = _behind(rest, got)
    finally:
        rest.clear()  # an error's traceback would keep what is left of the views, and so their buffer
    return done


def _behind(buffers: list[Any], done: int) -> list[Any]:
    """What is left of `buffers` after their first `done` bytes."""
    for number, buffer in enumerate(buffers):
        if done < len(buffer):
            return [memoryview(buffer)[done:], *buffers[number + 1 :]] if done else buffers[number:]
        done -= len(buffer)
    return []
