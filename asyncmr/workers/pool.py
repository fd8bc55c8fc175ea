"""Pool: a fixed number of workers, each leased to one session at a time.

All bookkeeping happens on the event loop, in plain methods that never await; what blocks (starting a
process, joining a dead one) runs in the pool's own threads and posts its outcome back. There are no asyncio
tasks, so nothing can be lost to a cancellation.

    starting --> idle <--> leased --> discarded (killed, joined), and another one starts

The death of a worker is noticed at once, even when idle: its sentinel becomes readable.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Literal, NamedTuple

from asyncmr.errors import ClosedError, MainGuardError, PoolStartError, StorageError, UsageError
from asyncmr.workers.background import Background
from asyncmr.workers.blocks import SHAREABLE, Probe
from asyncmr.workers.descriptors import can_listen, check_descriptors
from asyncmr.workers.failures import likely_cause
from asyncmr.workers.fairness import Account, FairQueue
from asyncmr.workers.guard import leave_if_imported_by_worker
from asyncmr.workers.memory_kills import MemoryKills
from asyncmr.workers.output import Said
from asyncmr.workers.program import Program
from asyncmr.workers.seat import Seat, Slot
from asyncmr.workers.segments import Segments
from asyncmr.workers.session import Session

Kind = Literal["process", "thread", "inline"]

MIB = 1 << 20
REPLY_LIMIT = 4 * MIB  # larger answers hold the GIL longer at a time while the host receives them
CLOSE_LIMIT = 0.5  # seconds for a generator's clean-up before its worker is killed
# Seconds before each new attempt to start a worker, until the pool says that it cannot. What kept it from starting,
# such as a forkserver that the kernel kills at this moment, needs that long to be over and done with.
START_PAUSES = (0.05, 0.25)


class PoolStats(NamedTuple):
    """`waiting` counts sessions that wait for a worker, `replaced` workers that died or were killed."""

    workers: int
    busy: int
    idle: int
    starting: int
    waiting: int
    replaced: int


class Pool:
    """Supervised workers behind `await`. Use it as `async with Pool(4) as pool:`.

    `executor`: "process"; "thread", for functions that release the GIL or only wait; "inline", in the
    event loop's own thread, for tests and debugging. `all_needed`: sessions last for ever, so that who waits while a
    worker cannot be started is told so, even if others run. `preload`: modules that all worker processes share.
    `on_output`: called on the loop with what worker processes print and log, which without it goes to standard error.
    `slots`: makes each worker, in place of what `executor` says. `threads`: makes what blocking calls run in, given how
    many threads it should have at most, and their name.
    Leaving kills what still runs, and returns when every process and thread has ended.
    """

    def __init__(
        self,
        workers: int,
        executor: Kind = "process",
        segment_size: int = 16 * MIB,
        segment_count: int | None = None,
        *,
        all_needed: bool = False,
        preload: Sequence[str] = (),
        on_output: Callable[[Said], None] | None = None,
        slots: Callable[[], Slot] | None = None,
        threads: Callable[[int, str], Executor] = ThreadPoolExecutor,
    ) -> None:
        if workers < 1:
            raise UsageError(f"workers must be at least 1, not {workers}")
        if executor not in ("process", "thread", "inline"):
            raise UsageError(f"executor must be 'process', 'thread' or 'inline', not {executor!r}")
        self.workers = workers
        self._executor = executor
        self._all_needed = all_needed
        self._preload = tuple(preload)
        self._on_output = on_output
        self._listens = False
        self._slots = slots or self._make_slot
        self._background = Background(threads(2 * workers + 2, "asyncmr-pool"))
        self._shared = executor == "process" and SHAREABLE
        self.segments = Segments(
            workers + 1 if segment_count is None else segment_count,
            segment_size,
            self._background.threads,
            shared=self._shared,
        )
        self._probe: Probe | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[Seat] = []
        self._live: set[Seat] = set()
        self._starting: set[Seat] = set()
        self._queue: FairQueue[Seat] = FairQueue()
        self._default_account = Account()
        self._kills = MemoryKills()
        self._replaced = 0
        self._pauses: dict[Seat, asyncio.TimerHandle] = {}  # of workers to be started in a moment
        self._failures = 0
        self._missing = 0  # workers that could not be started, till one can
        self._start_error: PoolStartError | None = None
        self._closing = False

    async def __aenter__(self) -> Pool:
        if self._loop is not None:
            raise ClosedError("a pool is entered once; make another one")
        if self._executor == "process":
            leave_if_imported_by_worker()
            check_descriptors(self.workers)
            self._listens = self._on_output is not None and can_listen(self.workers)
        self._loop = asyncio.get_running_loop()
        if self._shared:
            try:
                self._probe = Probe()
            except StorageError:  # a sandbox that forbids memfd_create, say
                self.segments.share_nothing()
        for _ in range(self.workers):
            self._start_one()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closing = True
        self._fail_waiting(lambda: ClosedError("the pool was closed"))
        for pause in self._pauses.values():
            pause.cancel()
        for seat in self._starting:
            seat.slot.kill()
        for seat in list(self._live):
            if seat in self._idle:
                self._retire(seat, seat.slot.stop)
            else:
                if seat.session is not None:
                    seat.session.fail(ClosedError("the pool was closed while the session ran"))
                self.discard(seat)
        try:
            await self._background.join()
        finally:
            self.segments.close()
            if self._probe is not None:
                self._probe.close()

    def session(
        self,
        program: Program,
        method: str,
        argument: Any = (),
        *,
        account: Account | None = None,
        timeout: float | None = None,
        reply_limit: int | None = None,
        about: object = None,
    ) -> Session:
        """A session on `program.method(argument, feed)`; entering it waits for a free worker.

        `timeout` bounds the worker time of the session in seconds, all calls together. `about` comes back with what
        the worker prints and logs.
        """
        return Session(
            self,
            program,
            method,
            pickle.dumps(argument, protocol=5),
            self._default_account if account is None else account,
            timeout,
            REPLY_LIMIT if reply_limit is None else reply_limit,
            about,
        )

    def stats(self) -> PoolStats:
        idle, starting = len(self._idle), len(self._starting)
        return PoolStats(
            self.workers, len(self._live) - idle, idle, starting, len(self._queue), self._replaced
        )

    def pids(self) -> list[int]:
        """The process ids of the workers that are up."""
        return [seat.slot.pid for seat in self._live if seat.slot.pid is not None]

    # What sessions call.

    async def lease(self, account: Account, program: int) -> Seat:
        """A worker for one session; one that knows the program already, if such a one is idle.

        Raises:
            ClosedError: the pool is closed, or not entered.
            PoolStartError: no worker can be started.
        """
        if self._loop is None or self._closing:
            raise ClosedError("the pool is closed; use it inside `async with Pool(...)`")
        if self._idle and not self._queue:
            seat = next((s for s in reversed(self._idle) if program in s.programs), self._idle[-1])
            self._idle.remove(seat)
            self._queue.serve(account)
            return seat
        if isinstance(self._start_error, MainGuardError):
            raise _again(self._start_error)
        if self._missing and not self._starting:
            self._missing -= 1
            self._start_one()  # whatever kept workers from starting may have passed
        waiter = self._queue.join(account)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._queue.leave(account, waiter)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise

    def release(self, seat: Seat) -> None:
        """Takes a worker back that is well and idle."""
        if seat.ended is not None:
            return
        if self._closing or seat.dead:
            self.discard(seat)
            return
        waiter = self._queue.pop()
        if waiter is not None:
            waiter.set_result(seat)
        else:
            self._idle.append(seat)

    def close_session(self, seat: Seat) -> None:
        """Ends a session whose worker waits for the next call; kills the worker if that takes too long."""
        if seat.ended is not None or self._loop is None:
            return
        try:
            future = seat.slot.call("close")
        except BrokenExecutor:
            self.discard(seat)
            return
        timer = self._loop.call_later(CLOSE_LIMIT, self.discard, seat)
        future.add_done_callback(partial(self._session_closed, seat, timer))

    def discard(self, seat: Seat, *, died: bool = False) -> asyncio.Future[int | None]:
        """Kills a worker, whatever it does, and starts another. The future is its exit code.

        `died`: it is dead already, or about to be, and its seat says why once the future is done.
        """
        if seat.ended is None:
            seat.slot.kill()
            self._replaced += 1
            self._retire(seat, partial(self._join_dead, seat) if died else seat.slot.join)
            if not self._closing:
                self._start_one()
        ended = seat.ended
        assert ended is not None
        return ended

    # What happens to slots.

    def _make_slot(self) -> Slot:
        if self._executor == "process":
            from asyncmr.workers.slot import ProcessSlot

            assert self._loop is not None
            return ProcessSlot(self._loop, self._preload, self._probe, heard=self._listens)
        from asyncmr.workers.threads import InlineSlot, ThreadSlot

        return ThreadSlot() if self._executor == "thread" else InlineSlot()

    def _start_one(self, pause: float = 0.0) -> None:
        assert self._loop is not None
        seat = Seat(self._slots())
        self._starting.add(seat)
        if pause:
            self._pauses[seat] = self._loop.call_later(pause, self._begin, seat)
        else:
            self._begin(seat)

    def _begin(self, seat: Seat) -> None:
        self._pauses.pop(seat, None)
        self._background.run(seat.slot.start, partial(self._started, seat))

    def _started(self, seat: Seat, outcome: Future[None]) -> None:
        self._starting.discard(seat)
        error = outcome.exception()
        if error is not None:
            self._start_failed(error)
            return
        self._failures = 0
        self._start_error = None
        self._live.add(seat)
        missing, self._missing = self._missing, 0
        for _ in range(0 if self._closing else missing):
            self._start_one()
        if seat.slot.sentinel is not None and self._loop is not None:
            self._loop.add_reader(seat.slot.sentinel, self._died, seat)
        if seat.slot.output is not None and self._loop is not None:
            seat.slot.output.listen(self._loop, partial(self._heard, seat, seat.slot.pid or 0))
        self.release(seat)

    def _start_failed(self, error: BaseException) -> None:
        if self._closing:
            return
        self._failures += 1
        if not isinstance(error, PoolStartError):
            wrapped = PoolStartError(f"a worker could not be started: {type(error).__name__}: {error}")
            wrapped.__cause__ = error
            error = wrapped
        if isinstance(error, MainGuardError) or self._failures > len(START_PAUSES):
            self._missing += 1
            self._start_error = cause = error
            nobody = self._all_needed or not (self._live or self._starting)
            if isinstance(error, MainGuardError) or nobody:
                self._fail_waiting(lambda: _again(cause))
        else:
            self._start_one(START_PAUSES[self._failures - 1])

    def _died(self, seat: Seat) -> None:
        """The sentinel of a worker became readable."""
        if self._loop is not None and seat.slot.sentinel is not None:
            self._loop.remove_reader(seat.slot.sentinel)
        seat.dead = True
        if seat.session is not None and seat.session.calling:
            seat.slot.disconnect()  # tells the session, perhaps by an answer that the worker still sent
        else:
            self.discard(seat, died=True)

    def _heard(self, seat: Seat, worker: int, kind: str, lines: list[bytes]) -> None:
        assert self._on_output is not None
        self._on_output(Said(seat.about, worker, kind, lines))

    def _join_dead(self, seat: Seat) -> int | None:
        code = seat.slot.join()
        seat.cause = likely_cause(code, self._kills.explain() if code == -signal.SIGKILL else None)
        return code

    def _retire(self, seat: Seat, finish: Callable[[], int | None]) -> None:
        """Takes a worker out of service and runs `finish` in a thread."""
        assert self._loop is not None
        seat.ended = self._loop.create_future()
        self._live.discard(seat)
        if seat in self._idle:
            self._idle.remove(seat)
        if seat.slot.sentinel is not None:
            self._loop.remove_reader(seat.slot.sentinel)
        seat.slot.disconnect()
        self._background.run(finish, partial(self._ended, seat))

    def _ended(self, seat: Seat, outcome: Future[int | None]) -> None:
        ended = seat.ended
        if seat.slot.output is not None:
            seat.slot.output.finish()
        if ended is not None and not ended.done():
            ended.set_result(None if outcome.exception() is not None else outcome.result())

    def _session_closed(self, seat: Seat, timer: asyncio.TimerHandle, outcome: asyncio.Future[Any]) -> None:
        timer.cancel()
        if outcome.exception() is not None:
            self.discard(seat)
        else:
            self.release(seat)

    def _fail_waiting(self, error: Callable[[], Exception]) -> None:
        while (waiter := self._queue.pop()) is not None:
            waiter.set_exception(error())


def _again(error: PoolStartError) -> PoolStartError:
    """A fresh exception for each waiter: one raised twice would grow its traceback."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
