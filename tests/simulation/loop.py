"""An event loop on a virtual clock, which a seed sends through one of its many possible orders.

Time stands still but for a little at each step, and jumps to the next timer when nothing is ready. Of what is ready
the seed chooses what goes next. What asyncio promises is kept: the callbacks of one future run in the order in which
they were added, those that are no task's in the order in which they were called for, and a task has one step waiting
at most. What it does not promise, in which order different tasks go on, is the seed's.

Tasks and futures are numbered and hash by their numbers, and what one step makes ready is put in that order: addresses,
which decide the order of sets, have no say. So the same seed goes the same way, in any process; `digest` tells whether
it did.
"""

from __future__ import annotations

import asyncio
import heapq
import io
import math
import random
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple
from zlib import crc32

from anyio._backends import _asyncio as anyio_on_asyncio

# What a step takes, in seconds. Were it nothing, a task that spins until a timer is due would spin for ever.
STEP = 20e-6
# So many steps that only ask whether others have ended are enough before the clock jumps.
_SPINS = 4


class Hang(Exception):
    """Nothing can go on any more, or far too much has gone on already; the message shows the tasks' stacks."""


class Crash(Exception):
    """The process was killed, as far as anybody in the loop can tell."""


class NumberedTask(asyncio.Task[Any]):
    """A task that knows how many were made before it in its loop."""

    def __init__(self, number: int, coroutine: Any, **options: Any) -> None:
        self.number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self.number


class NumberedFuture(asyncio.Future[Any]):
    """A future that knows how many were made before it in its loop."""

    def __init__(self, number: int, **options: Any) -> None:
        self.number = number
        super().__init__(**options)

    def __hash__(self) -> int:
        return self.number


class Entry(NamedTuple):
    """Something ready. Entries of one `line` keep their order: those of a task, the callbacks of a future, and all the
    other callbacks. `rank`: which goes first of what became ready at the same time."""

    line: object
    rank: tuple[int, int]
    handle: Any


class SimulatedLoop(asyncio.BaseEventLoop):
    """`disorder`: how often, from 0 (never) to 1, something else goes next than what has waited longest. `grain`:
    timers ring at multiples of so many seconds only, and so at the same time as others.

    `unheard` collects what only the loop was told of: exceptions of tasks that nobody awaits, and the like.
    """

    def __init__(
        self,
        seed: object,
        *,
        disorder: float,
        grain: float = 0.0,
        most_steps: int = 1_000_000,
        most_seconds: float = math.inf,
    ) -> None:
        super().__init__()
        self._random = random.Random(f"{seed} loop")
        self._disorder = disorder
        self._grain = grain
        self._most_steps = most_steps
        self._most_seconds = most_seconds
        self._now = 0.0
        self._queue: list[Entry] = []
        self._fresh = 0  # where in the queue begins what the current step made ready
        self._numbers = count()
        self._readers: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self._crashed = False
        self._spun = 0  # how many steps in a row have led nowhere
        self.steps = 0
        self.digest = 0
        self.trace: Callable[[str], None] | None = None
        self.unheard: list[str] = []
        self.set_task_factory(
            lambda loop, coroutine, **options: NumberedTask(
                next(self._numbers), coroutine, loop=loop, **options
            )
        )
        self.set_exception_handler(lambda _, context: self.unheard.append(_described(context)))

    def time(self) -> float:
        return self._now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        if self._grain:
            when = math.ceil(when / self._grain) * self._grain
        return super().call_at(when, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return NumberedFuture(next(self._numbers), loop=self)

    def note(self, event: str) -> None:
        """Something that the seed decided: part of the digest, and of the trace."""
        self.digest = crc32(f"{self._now:.6f} {event}".encode(), self.digest)
        if self.trace is not None:
            self.trace(f"{self._now:10.6f} {event}")

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._enter(handle, callback, args)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    # Descriptors here are numbers that nothing stands behind.

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        self._readers[fd] = callback, args

    def remove_reader(self, fd: Any) -> bool:
        return self._readers.pop(fd, None) is not None

    def readable(self, fd: int) -> None:
        """Calls soon whoever reads this descriptor, as long as it does."""

        def read() -> None:
            if fd in self._readers:
                callback, args = self._readers[fd]
                callback(*args)

        self.call_soon(read)

    def crash(self) -> None:
        """Nothing happens any more from now on: `run_until_complete` raises Crash."""
        self._crashed = True

    def abandon(self) -> None:
        """Closes the loop; tasks that a hang or a crash has left are ended wherever they are."""
        left = asyncio.all_tasks(self)
        self.close()
        self._queue.clear()
        asyncio.set_event_loop(self)  # what they still ask for in vain is not made anew
        while left:
            task = left.pop()
            with suppress(BaseException):
                task.get_coro().close()
            # A table of anyio's, in which a task that does not end stays for ever.
            getattr(anyio_on_asyncio, "_task_states", {}).pop(task, None)
        asyncio.set_event_loop(None)

    def stacks(self) -> str:
        """Where every task stands."""
        text = io.StringIO()
        for task in sorted(asyncio.all_tasks(self), key=lambda task: getattr(task, "number", -1)):
            print(task.get_name(), file=text)
            task.print_stack(file=text)
        return text.getvalue()

    def _enter(self, handle: asyncio.Handle, callback: Any, args: tuple[Any, ...]) -> None:
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, NumberedTask):
            entry = Entry(owner, (0, owner.number), handle)
        elif args and isinstance(args[0], NumberedTask | NumberedFuture):
            entry = Entry(("of", id(args[0])), (1, args[0].number), handle)
        else:
            entry = Entry("others", (2, 0), handle)
        self._queue.append(entry)

    def _run_once(self) -> None:
        """One step; what `run_forever` calls again and again."""
        if self._crashed:
            raise Crash
        self._ring()
        entry = self._next()
        self._fresh = len(self._queue)
        self.steps += 1
        self._now += STEP
        if self.steps > self._most_steps or self._now > self._most_seconds:
            raise Hang(
                f"no end after {self.steps:,} steps, {self._now:.1f} virtual seconds:\n{self.stacks()}"
            )
        self._spun = self._spun + 1 if _spins(entry) and all(map(_spins, self._queue)) else 0
        if not entry.handle.cancelled():
            self.digest = crc32(b"%d %d %.6f" % (*entry.rank, self._now), self.digest)
            if self.trace is not None:
                self.trace(f"{self._now:10.6f} {_name(entry)}")
            entry.handle._run()
        self._settle()

    def _ring(self) -> None:
        """Makes ready what is due, or, if nothing is ready, what is due next."""
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        spinning = self._spun >= _SPINS
        if scheduled and (spinning or not self._queue):
            while scheduled and scheduled[0].cancelled():
                heapq.heappop(scheduled)
            if scheduled:
                self._now = max(self._now, scheduled[0].when())
        while scheduled and (scheduled[0].cancelled() or scheduled[0].when() <= self._now):
            handle = heapq.heappop(scheduled)
            if not handle.cancelled():
                self._enter(handle, handle._callback, handle._args)
        if not self._queue or (spinning and not scheduled and self._spun > 10 * _SPINS):
            raise Hang(f"nothing is left that could happen:\n{self.stacks()}")

    def _next(self) -> Entry:
        queue = self._queue
        at = 0
        if len(queue) > 1 and self._random.random() < self._disorder:
            at = self._random.randrange(len(queue))
            line = queue[at].line
            at = next(number for number, entry in enumerate(queue) if entry.line == line)
        return queue.pop(at)

    def _settle(self) -> None:
        """Puts what the last step made ready in an order of its own."""
        if len(self._queue) > self._fresh + 1:
            self._queue[self._fresh :] = sorted(self._queue[self._fresh :], key=lambda entry: entry.rank)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is dropped when it comes up."""

    def _process_events(self, event_list: object) -> None:
        """There are none."""


def _spins(entry: Entry) -> bool:
    """Whether this only asks again and again for something else to happen: anyio's way to cancel tasks that wait
    behind a shield."""
    return getattr(entry.handle._callback, "__name__", "") == "_deliver_cancellation"


def _name(entry: Entry) -> str:
    if isinstance(entry.line, NumberedTask):
        return f"task {entry.line.number} {entry.line.get_name()}"
    callback = entry.handle._callback
    return f"callback {getattr(callback, '__qualname__', type(callback).__name__)}"


def _described(context: dict[str, Any]) -> str:
    return (
        f"{context['message']}: {context.get('exception')!r} {context.get('task') or context.get('future')}"
    )
