"""A stream as a daemon: it serves HTTP and ends in order when it is asked to.

The first signal: it is not ready any more, takes no more input, and commits what it has read; meanwhile it goes on
answering, so that a probe which asks whether it lives is not refused, and whoever posts is told to come again. Then it
ends. When that takes longer than it may, or at the second signal, it ends at once: what was not committed will be read
again, where it can be.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Self

from asyncmr.actors import TaskScope
from asyncmr.streaming.http import Address, PushFeed, application, serving
from asyncmr.streaming.service_manager import ServiceManager
from asyncmr.streaming.stream import Stream

# Seconds for which a client that does not read its answer can hold up the end.
_GRACE = 1.0
# Seconds in which a signal is still the first one: timeout(1), say, tells a process and then the group that it is in.
_ECHO = 0.2


class Aborted(Exception):
    """The daemon was ended before it had committed all that it had read; it says why."""


async def run_daemon(
    stream: Stream,
    address: Address,
    *,
    push: PushFeed | None,
    token: bytes | None,
    names: Sequence[str],
    noun: str = "key",
    drain_timeout: float,
    started: Callable[[Address], None],
) -> None:
    """Runs `stream`, which was not entered yet, and serves it at `address`, until a signal comes or its feeds end.

    `push`: what takes the lines that are posted, one of its feeds. `token`: what clients must know; `names`: what the
    server is called in URLs; `noun`: what its page calls a key. `started`: called with the address that it got.
    `drain_timeout`: the seconds that it may take to commit what it has read.

    Raises:
        UsageError: the address cannot be listened on, or must not without a token.
        Aborted: it did not end in time, or a second signal came.
    """
    manager = ServiceManager()
    with _Signals() as signals:
        try:
            async with (
                stream,
                application(stream, push, token=token, names=names, noun=noun) as app,
                serving(app, address, grace=_GRACE) as bound,
                TaskScope() as scope,
            ):
                scope.spawn(lambda: _alive(manager), name="watchdog")
                await stream.listening()
                started(bound)
                manager.ready()
                await signals.asked_or(stream)
                signals.limit(drain_timeout)
                manager.stopping()
                app.retire()
                await stream.drain()
                signals.drained()
                scope.cancel()
        except asyncio.CancelledError:
            if signals.reason is None:
                raise
            if not signals.harmless:
                raise Aborted(f"ended before all that was read was committed: {signals.reason}") from None


async def _alive(manager: ServiceManager) -> None:
    while manager.watchdog is not None:
        manager.alive()
        await asyncio.sleep(manager.watchdog)


class _Signals:
    """What signals do to the task that enters this. `reason`: why it was cancelled here, if it was. `harmless`: whether
    that left nothing undone: nothing was read yet, or all of it is committed."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.harmless = True
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._runs = False
        self._running = asyncio.current_task()
        self._first = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            self._numbers.append(signal.SIGHUP)

    def __enter__(self) -> Self:
        for number in self._numbers:
            self._loop.add_signal_handler(number, self._came, number)
        return self

    def __exit__(self, *_error: object) -> None:
        """Signals do what they did before."""
        self.drained()
        for number in self._numbers:
            self._loop.remove_signal_handler(number)

    async def asked_or(self, stream: Stream) -> None:
        """Returns at the first signal, or when all feeds have ended and what they gave is committed."""
        self._runs, self.harmless = True, False
        async with TaskScope() as scope:

            async def joined() -> None:
                await stream.join()
                self._asked.set()

            scope.spawn(joined, name="join")
            await self._asked.wait()
            scope.cancel()

    def limit(self, seconds: float) -> None:
        """From now on it may take so long."""
        reason = f"that took longer than the {seconds:g} s of --drain-timeout"
        self._timer = self._loop.call_later(seconds, self._cancel, reason)

    def drained(self) -> None:
        """All is committed."""
        self.harmless = True
        if self._timer is not None:
            self._timer.cancel()

    def _came(self, number: signal.Signals) -> None:
        if not self._runs:
            self._cancel("it had not begun")
        elif not self._asked.is_set():
            self._first = self._loop.time()
            self._asked.set()
        elif self._loop.time() - self._first > _ECHO:
            self._cancel(f"a second signal came, {number.name}")

    def _cancel(self, reason: str) -> None:
        if self.reason is None and self._running is not None:
            self.reason = reason
            self._running.cancel()
