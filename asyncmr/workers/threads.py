"""The executors without processes: a thread each, or the event loop's own thread.

Programs behave as in a process: each slot unpickles them for itself and shares no state with the host. A
thread cannot be killed. A session that is left, or that times out, while its call is running abandons the
thread: the pool goes on with a new one at once, and the old one ends when its call does. Leaving the pool
waits for abandoned threads for `ABANDONED_LIMIT` seconds, then logs a warning and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Event
from typing import Any

from asyncmr.workers.worker import Worker

_log = logging.getLogger("asyncmr")

ABANDONED_LIMIT = 1.0


class ThreadSlot:
    """One worker in a thread of the host."""

    maps_segments = False
    sentinel = None
    pid = None
    output = None

    def __init__(self) -> None:
        self._worker = Worker(own_process=False)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="asyncmr-worker")
        self._killed = False
        self._idle = Event()
        self._idle.set()

    def start(self) -> None:
        """Nothing to wait for: the thread starts with its first call."""

    def call(self, operation: str, *arguments: Any) -> asyncio.Future[Any]:
        """Calls a method of the worker in its thread."""
        if self._killed:
            raise BrokenExecutor("the worker was stopped")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Any] = loop.create_future()
        self._idle.clear()
        future = self._executor.submit(getattr(self._worker, operation), *arguments)
        future.add_done_callback(lambda _: self._idle.set())
        future.add_done_callback(partial(_wake, loop, waiter))
        return waiter

    def disconnect(self) -> None:
        """There is no connection."""

    def kill(self) -> None:
        """Takes no more calls. The call that runs goes on to its end, and its session is closed then."""
        if not self._killed:
            self._killed = True
            self._executor.submit(self._worker.close)
            self._executor.shutdown(wait=False)

    def join(self) -> int | None:
        """Waits a moment for the thread."""
        if self._idle.wait(ABANDONED_LIMIT):
            self._executor.shutdown(wait=True)
        else:
            _log.warning(
                "a thread still runs a user function that was cancelled or timed out; a thread cannot be "
                "killed, so it goes on until the function returns; use executor='process' for such functions"
            )
        return None

    def stop(self) -> None:
        self.kill()
        self.join()


class InlineSlot:
    """One worker in the thread of the event loop, which stands still during each call."""

    maps_segments = False
    sentinel = None
    pid = None
    output = None

    def __init__(self) -> None:
        self._worker = Worker(own_process=False)

    def start(self) -> None:
        """Nothing to start."""

    def call(self, operation: str, *arguments: Any) -> asyncio.Future[Any]:
        """Calls a method of the worker here and now."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_result(getattr(self._worker, operation)(*arguments))
        return future

    def disconnect(self) -> None:
        """There is no connection."""

    def kill(self) -> None:
        self._worker.close()

    def join(self) -> int | None:
        return None

    def stop(self) -> None:
        self._worker.close()


def _wake(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[Any], future: Future[Any]) -> None:
    """Runs in the worker's thread: moves a result to the loop."""
    with suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(_settle, waiter, future)


def _settle(waiter: asyncio.Future[Any], future: Future[Any]) -> None:
    if waiter.done():
        return
    exc = future.exception()
    if exc is not None:
        waiter.set_exception(exc)
    else:
        waiter.set_result(future.result())
