"""Calls of an async function: many under way at a time, taken in the order in which they began.

Each call is a task of its own, and so has context variables of its own, which is how its user counters are told from
others'. What has begun and was not taken yet is bounded, in calls and in bytes: `begin` waits for room. A call that
waits to be made again keeps its place, so that a server in trouble is not asked by others in its stead. The first call
that fails for good ends all.

Leaving `async with` cancels what still runs, and waits for it for a moment. What swallows its cancellation is closed:
left alone it would keep `asyncio.run` from ever ending.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, cast

from anyio import CancelScope

from asyncmr.kernel.failures import excerpt
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.pipeline.async_function import END_SECONDS, AsyncFunction
from asyncmr.pipeline.call import Call, Record
from asyncmr.pipeline.tolerance import Tolerance

_log = logging.getLogger("asyncmr")

# What calls that were not taken yet may hold: records and pairs, by estimate. One call is let in whatever it holds.
WINDOW_BYTES = 8 << 20
# What a task, its stack and its context take.
_CALL_BYTES = 4096
# So many times as many calls as run at a time may wait behind one that is slow.
_BEHIND = 4


class Calls:
    """The calls of one function. `hashes`: the keys of its pairs must have a hash."""

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        role: str,
        *,
        concurrency: int,
        tolerance: Tolerance,
        hashes: bool,
    ) -> None:
        self._function = AsyncFunction(function, role, tolerance, hashes=hashes, hangs=self._fail)
        self._role = role
        self._skips = tolerance.skips
        self._concurrency = concurrency
        self._line: deque[Call | None] = deque()
        self._tasks: dict[asyncio.Task[None], Call] = {}
        self._begun = 0
        self._running = 0
        self._waiting = 0
        self._held = 0
        self._room = asyncio.Event()
        self._turn = asyncio.Event()
        self._failed: Call | None = None
        self._ending = False
        self.name = self._function.name
        self.most = concurrency * _BEHIND

    def under_way(self) -> list[Call]:
        """The calls that have begun and not ended."""
        return list(self._tasks.values())

    async def begin(self, record: Record) -> None:
        """Calls the function; waits until there is room for one more call. After a failure it waits for ever."""
        call = Call(record, self._begun)
        while not self._has_room(_held(call)):
            self._room.clear()
            await self._room.wait()
        self._begun += 1
        self._running += 1
        self._waiting += 1
        self._held += _held(call)
        self._line.append(call)
        name = f"{self._role} {self.name}, call {call.number}"
        task = asyncio.create_task(self._run(call), name=name, context=call.context)
        self._tasks[task] = call
        task.add_done_callback(self._tasks.pop)

    def mark(self) -> None:
        """Puts a mark behind the calls that have begun."""
        self._line.append(None)
        self._turn.set()

    async def take(self) -> Call | None:
        """The next call in line, once it has ended, or None for a mark; at once the first that fails for good."""
        while True:
            if self._failed is not None:
                return self._failed
            if self._line and ((call := self._line[0]) is None or call.ended):
                self._line.popleft()
                if call is not None:
                    self._waiting -= 1
                    self._held -= _held(call)
                    self._room.set()
                return call
            self._turn.clear()
            await self._turn.wait()

    def _has_room(self, size: int) -> bool:
        if self._failed is not None or self._running >= self._concurrency:
            return False
        return not self._waiting or (self._waiting < self.most and self._held + size <= WINDOW_BYTES)

    async def _run(self, call: Call) -> None:
        try:
            await self._function.call(call)
            call.size = estimate_bytes(call.pairs)
            self._held += call.size
            call.ended = True
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if self._ending:
                raise
            call.error, call.fatal = error, True
        finally:
            self._running -= 1
            self._room.set()
        if call.fatal or (call.error is not None and not self._skips):
            self._fail(call)
        self._turn.set()

    def _fail(self, call: Call) -> None:
        self._failed = self._failed or call
        self._failed.is_final = True
        self._turn.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._function.end()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        with CancelScope(shield=True):
            await asyncio.wait(tasks, timeout=END_SECONDS)
            if self._tasks:
                await self._close()

    async def _close(self) -> None:
        """Ends what swallows its cancellation as Python ends a generator: to go on then is an error."""
        stubborn = dict(self._tasks)
        for task, call in stubborn.items():
            call.closed = True
            coroutine = cast("Coroutine[Any, Any, None]", task.get_coro())
            with suppress(
                RuntimeError, asyncio.CancelledError
            ):  # it goes on all the same, or gives up otherwise
                call.context.run(coroutine.close)
            task.cancel()  # wakes it up to notice
        await asyncio.wait(stubborn, timeout=END_SECONDS / 5)
        for task in stubborn:
            if task.done() and not task.cancelled():
                task.exception()  # that it was closed
        first = next(iter(stubborn.values()))
        _log.warning(
            "%s %s: %d of its calls went on for %g s after they were cancelled, the first of them for %s, and %s. "
            "Does it swallow asyncio.CancelledError, in a bare `except:` say?",
            self._role,
            self.name,
            len(stubborn),
            END_SECONDS,
            excerpt(first.record.shown),
            f"{len(self._tasks)} still go on" if self._tasks else "were closed",
        )


def _held(call: Call) -> int:
    return _CALL_BYTES + call.record.size + call.size
