"""A stream as a daemon: it serves HTTP and ends in order when it is asked to.

The first SIGTERM or SIGINT: no more requests, no more input; what was read is committed, and the daemon ends. When that
takes longer than it may, or at the second signal, it ends at once: what was not committed will be read again, where it
can be.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

from asyncmr.actors import TaskScope
from asyncmr.streaming.http import Address, PushFeed, application, serving
from asyncmr.streaming.service_manager import ServiceManager
from asyncmr.streaming.stream import Stream


class Aborted(Exception):
    """The daemon was ended before it had committed all that it had read."""


async def run_daemon(
    stream: Stream,
    address: Address,
    *,
    push: PushFeed | None,
    token: bytes | None,
    names: Sequence[str],
    drain_timeout: float,
    started: Callable[[Address], None],
) -> None:
    """Runs `stream`, which was not entered yet, and serves it at `address`, until a signal comes or its feeds end.

    `push`: what takes the lines that are posted, one of its feeds. `token`: what clients must know; `names`: what the
    server is called in URLs. `started`: called with the address that it got.
    `drain_timeout`: the seconds that it may take to end.

    Raises:
        UsageError: the address cannot be listened on, or must not without a token.
        Aborted: it did not end in time, or a second signal came.
    """
    manager = ServiceManager()
    ending = _Ending(drain_timeout)
    try:
        async with stream:
            ending.listen()
            async with (
                application(stream, push, token=token, names=names) as app,
                serving(app, address) as bound,
                TaskScope() as scope,
            ):
                scope.spawn(lambda: _alive(manager), name="watchdog")
                started(bound)
                manager.ready()
                await ending.asked_or(stream)
                app.ready = False
                manager.stopping()
                scope.cancel()
    except asyncio.CancelledError:
        if ending.aborted:
            raise Aborted from None
        raise
    finally:
        ending.close()


async def _alive(manager: ServiceManager) -> None:
    while manager.watchdog is not None:
        manager.alive()
        await asyncio.sleep(manager.watchdog)


class _Ending:
    """When and how the daemon ends."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._running = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._listens = False
        self.aborted = False

    def listen(self) -> None:
        """From now on signals are asked to be handled here."""
        self._listens = True
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signalled)

    async def asked_or(self, stream: Stream) -> None:
        """Returns at the first signal, or when all feeds have ended and what they gave is committed."""
        async with TaskScope() as scope:

            async def joined() -> None:
                await stream.join()
                self._asked.set()

            scope.spawn(joined, name="join")
            await self._asked.wait()
            scope.cancel()
        self._timer = self._loop.call_later(self._limit, self._abort)

    def close(self) -> None:
        """Signals do what they did before."""
        if self._timer is not None:
            self._timer.cancel()
        if self._listens:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        if self._asked.is_set():
            self._abort()
        self._asked.set()

    def _abort(self) -> None:
        self.aborted = True
        if self._running is not None:
            self._running.cancel()
