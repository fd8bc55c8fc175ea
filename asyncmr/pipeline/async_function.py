"""An async function of the user's, called for one record until it succeeds or the retries are used up.

A call that raises or takes too long is made again after a pause, which doubles each time.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import AsyncExitStack
from itertools import islice
from typing import Any

from asyncmr.counters import counting
from asyncmr.kernel.failures import UserFailure, check_keys, check_pairs, excerpt, name_of
from asyncmr.pipeline.call import Call, Record
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.protocols import Pair

_log = logging.getLogger("asyncmr")

# Pairs that are drawn, or looked at, between two turns of the loop.
_SLICE = 1024

# The pause before a call is made again, in seconds: doubled each time, from the first to the longest.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
# Spreads the pauses of calls that failed together: its multiples lie evenly between 0 and 1.
_GOLDEN = 0.618034

# Seconds that a call has to end after it was cancelled.
END_SECONDS = 0.5


class AsyncFunction:
    """A mapper or a reducer, says `role`. `hashes`: the keys of its pairs must have a hash. `hangs` is called with a
    call that goes on when its time is up."""

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        role: str,
        tolerance: Tolerance,
        *,
        hashes: bool,
        hangs: Callable[[Call], None],
    ) -> None:
        self._function = function
        self._role = role
        self._tolerance = tolerance
        self._hashes = hashes
        self._hangs = hangs
        self._ending = False
        self.name = name_of(function)

    def end(self) -> None:
        """From now on a call that is cancelled is not made again."""
        self._ending = True

    async def call(self, call: Call) -> None:
        """Makes the call, again and again if need be; what became of it is in there. It has a task of its own."""
        while True:
            await self._attempt(call)
            if call.record.faults:  # whatever the function made of it
                call.error, call.fatal = call.record.faults[0], True
            if call.error is None or call.fatal or isinstance(call.error, UserFailure):
                return  # what gave no pairs would give none again
            if call.repeats == self._tolerance.retries:
                return
            await asyncio.sleep(_pause(call))
            call.repeats += 1

    async def _attempt(self, call: Call) -> None:
        task, loop, limit = asyncio.current_task(), asyncio.get_running_loop(), self._tolerance.task_timeout
        assert task is not None
        call.counts, call.error, call.timed_out = {}, None, False
        timer = None if limit is None else loop.call_later(limit + END_SECONDS, self._goes_on, call)
        try:
            with counting(call.counts):
                async with asyncio.timeout(limit) as timeout:
                    call.pairs = await self._called(call.record)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if self._ending:
                self._tell_of(call, error)
                raise asyncio.CancelledError from error
            # What it awaited was cancelled, or it cancelled itself: a failure like others.
            while task.cancelling():
                task.uncancel()
            call.error = error
            call.timed_out = isinstance(error, TimeoutError) and timeout.expired()
        finally:
            if timer is not None:
                timer.cancel()

    def _goes_on(self, call: Call) -> None:
        call.error = TimeoutError(f"it went on for {END_SECONDS:g} s after it was cancelled")
        call.timed_out = call.fatal = True
        self._hangs(call)

    async def _called(self, record: Record) -> list[Pair]:
        made = self._function(record.key, record.value)
        if inspect.isawaitable(made):
            made = await made
        pairs = await (self._awaited(made) if hasattr(made, "__aiter__") else self._drawn(made))
        for at in range(0, len(pairs), _SLICE):
            if at:
                await asyncio.sleep(0)
            some = pairs[at : at + _SLICE]
            check_pairs(self._role, self._function, some)
            if self._hashes:
                check_keys(key for key, _ in some)
        return pairs

    async def _awaited(self, made: AsyncIterable[Pair]) -> list[Pair]:
        pairs: list[Pair] = []
        async with AsyncExitStack() as stack:
            if hasattr(made, "aclose"):
                stack.push_async_callback(made.aclose)
            async for pair in made:
                pairs.append(pair)
                if len(pairs) % _SLICE == 0:
                    await asyncio.sleep(0)
        return pairs

    async def _drawn(self, made: Iterable[Pair]) -> list[Pair]:
        try:
            iterator = iter(made)
        except TypeError as error:
            message = f"{self.name} must yield pairs or return an iterable of them ({error})"
            raise UserFailure(self._role, message) from error
        pairs: list[Pair] = []
        while some := list(islice(iterator, _SLICE)):
            pairs += some
            if len(some) == _SLICE:
                await asyncio.sleep(0)
        return pairs

    def _tell_of(self, call: Call, error: BaseException) -> None:
        if not call.closed and not isinstance(error, asyncio.CancelledError):
            _log.warning(
                "%s %s raised %s when its call for %s was cancelled",
                self._role,
                self.name,
                type(error).__name__,
                excerpt(call.record.shown),
                exc_info=error,
            )


def _pause(call: Call) -> float:
    longest = min(FIRST_PAUSE * 2.0**call.repeats, LONGEST_PAUSE)
    return longest * (0.5 + 0.5 * (call.number * _GOLDEN % 1))
