"""Calls of an async function: many under way at a time, taken in the order in which they began.

Each call is a task of its own, and so has context variables of its own, which is how its user counters are told from
others'. What has begun and was not taken yet is bounded, in calls and in bytes: `begin` waits for room. A call that
raises or takes too long is made again after a pause, which doubles each time; meanwhile it keeps its place, so that a
server in trouble is not asked by others in its stead. The first call that fails for good ends all.

Leaving `async with` cancels what still runs, and waits for it for a moment: nobody can end a task that swallows its
cancellation.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Self

from anyio import CancelScope

from asyncmr.counters import Counts, counting
from asyncmr.kernel.failures import UserFailure, check_keys, check_pairs, excerpt, name_of
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.protocols import Pair

_log = logging.getLogger("asyncmr")

# What calls that were not taken yet may hold: records and pairs, by estimate. One call is let in whatever it holds.
WINDOW_BYTES = 8 << 20
# What a task, its stack and its context take.
_CALL_BYTES = 4096
# So many times as many calls as run at a time may wait behind one that is slow.
_BEHIND = 4
# Pairs that are drawn from a plain iterable, or looked at, between two turns of the loop.
_SLICE = 1024

# The pause before a call is made again, in seconds: doubled each time, from the first to the longest.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
# Spreads the pauses of calls that failed together: its multiples lie evenly between 0 and 1.
_GOLDEN = 0.618034

_ENDS = (KeyboardInterrupt, GeneratorExit)

# Seconds that a call has to end after it was cancelled.
END_SECONDS = 0.5


class Record(NamedTuple):
    """What a function is called with. `position`: where it lies in its split; None for a key and its values.
    `size`: what it takes in memory. `faults`: errors of ours that the function met when it asked for values."""

    key: Any
    value: Any
    position: int | None
    size: int
    faults: Sequence[Exception] = ()

    @property
    def shown(self) -> Any:
        """What errors and dead letters show of it."""
        if self.position is None:
            return self.key
        return self.value if self.key is None else (self.key, self.value)


@dataclass(slots=True, eq=False)
class Call:
    """One record, and what became of it: `pairs` and `counts`, or the `error` of the last attempt.

    `repeats`: how many attempts there were after the first. `timed_out`: it took too long. `fatal`: it cannot be left
    out. `is_final`: it fails the job. `size`: what its pairs take in memory.
    """

    record: Record
    number: int
    pairs: list[Pair] = field(default_factory=list)
    counts: Counts = field(default_factory=dict)
    error: BaseException | None = None
    repeats: int = 0
    timed_out: bool = False
    fatal: bool = False
    is_final: bool = False
    ended: bool = False
    size: int = 0


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
        self._function = function
        self._role = role
        self.name = name_of(function)
        self.most = concurrency * _BEHIND
        self._concurrency = concurrency
        self._tolerance = tolerance
        self._hashes = hashes
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

    @property
    def running(self) -> int:
        """How many calls have begun and not ended."""
        return self._running

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
        task = asyncio.create_task(self._run(call), name=f"{self._role} {self.name}, call {call.number}")
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
            await self._try(call)
            call.size = estimate_bytes(call.pairs)
            self._held += call.size
            call.ended = True
        except BaseException as error:
            if self._ending or isinstance(error, _ENDS):
                raise
            call.error, call.fatal = error, True
        finally:
            self._running -= 1
            self._room.set()
        if call.fatal or (call.error is not None and not self._tolerance.skips):
            self._fail(call)
        self._turn.set()

    def _fail(self, call: Call) -> None:
        self._failed = self._failed or call
        self._failed.is_final = True
        self._turn.set()

    async def _try(self, call: Call) -> None:
        limit, task = self._tolerance.task_timeout, asyncio.current_task()
        assert task is not None
        while True:
            call.timed_out = False
            call.counts = {}
            try:
                with counting(call.counts), self._watch(call, limit):
                    async with asyncio.timeout(limit) as timer:
                        call.pairs = await self._called(call.record)
                call.error = None
            except UserFailure as failure:  # what it gave is no pairs, and would be none again
                call.error = failure
                return
            except BaseException as error:
                if isinstance(error, _ENDS):
                    raise
                if self._ending:
                    self._tell_of(call, error)
                    raise asyncio.CancelledError from error
                while (
                    task.cancelling()
                ):  # what it awaited was cancelled, or it did that itself: a failure like others
                    task.uncancel()
                call.error = error
                call.timed_out = isinstance(error, TimeoutError) and timer.expired()
            if call.record.faults:  # whatever the function made of it
                call.error, call.fatal = call.record.faults[0], True
            if call.error is None or call.fatal or call.repeats == self._tolerance.retries:
                return
            await asyncio.sleep(_pause(call))
            call.repeats += 1

    async def _called(self, record: Record) -> list[Pair]:
        made = self._function(record.key, record.value)
        if inspect.isawaitable(made):
            made = await made
        if hasattr(made, "__aiter__"):
            pairs = [pair async for pair in made]
        else:
            pairs = await self._drawn(made)
        for at in range(0, len(pairs), _SLICE):
            if at:
                await asyncio.sleep(0)
            some = pairs[at : at + _SLICE]
            check_pairs(self._role, self._function, some)
            if self._hashes:
                check_keys(key for key, _ in some)
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

    @contextmanager
    def _watch(self, call: Call, limit: float | None) -> Iterator[None]:
        """Fails the call if it goes on although its time is up."""
        if limit is None:
            yield
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(limit + END_SECONDS, self._hangs, call)
        try:
            yield
        finally:
            timer.cancel()

    def _hangs(self, call: Call) -> None:
        call.error = TimeoutError(f"it went on for {END_SECONDS:g} s after it was cancelled")
        call.timed_out = call.fatal = True
        self._fail(call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        with CancelScope(shield=True):
            await asyncio.wait(tasks, timeout=END_SECONDS)
        if self._tasks:
            first = next(iter(self._tasks.values()))
            _log.warning(
                "%s %s: %d of its calls went on for %g s after they were cancelled, the first of them for %s; they are "
                "left to themselves. Does it swallow asyncio.CancelledError, in a bare `except:` say?",
                self._role,
                self.name,
                len(self._tasks),
                END_SECONDS,
                excerpt(first.record.shown),
            )

    def _tell_of(self, call: Call, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            _log.warning(
                "%s %s raised %s when its call for %s was cancelled",
                self._role,
                self.name,
                type(error).__name__,
                excerpt(call.record.shown),
                exc_info=error,
            )


def _held(call: Call) -> int:
    return _CALL_BYTES + call.record.size + call.size


def _pause(call: Call) -> float:
    longest = min(FIRST_PAUSE * 2.0**call.repeats, LONGEST_PAUSE)
    return longest * (0.5 + 0.5 * (call.number * _GOLDEN % 1))
