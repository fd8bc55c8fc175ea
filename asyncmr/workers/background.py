"""Background: the pool's threads, for what blocks, such as starting a process and joining a dead one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class Background:
    """Runs work in `threads`, which it ends, and its outcome on the event loop."""

    def __init__(self, threads: Executor) -> None:
        self.threads = threads
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: set[Future[Any]] = set()
        self._drained: asyncio.Future[None] | None = None

    def run(self, work: Callable[[], T], then: Callable[[Future[T]], None]) -> None:
        """Runs `work` in a thread, then `then` with its outcome on the loop."""
        self._loop = asyncio.get_running_loop()
        future = self.threads.submit(work)
        self._under_way.add(future)
        future.add_done_callback(lambda done: self.post(self._finished, done, then))

    def post(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Calls `callback` on the loop, from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            if self._loop is not None:
                self._loop.call_soon_threadsafe(callback, *arguments)

    async def join(self) -> None:
        """Waits for all work and ends the threads; a cancellation is delivered afterwards.

        The shield keeps out cancel scopes, the loop around the wait keeps out `Task.cancel`.
        """
        cancelled: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):
            while self._under_way:
                self._drained = asyncio.get_running_loop().create_future()
                try:
                    await self._drained
                except asyncio.CancelledError as exc:
                    cancelled = exc
        self.threads.shutdown()
        if cancelled is not None:
            raise cancelled

    def _finished(self, future: Future[T], then: Callable[[Future[T]], None]) -> None:
        self._under_way.discard(future)
        then(future)
        if not self._under_way and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
