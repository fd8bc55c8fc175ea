"""The bytes that an engine may hold, shared by its jobs.

Strategy. A job leases a minimum when it is admitted. What it holds counts against that minimum first, and
beyond it against the common rest. Requests for the common rest are served first come, first served; a
request that its job's own minimum can serve never queues behind them, so a job that stays within its minimum
always gets on. Whoever may also do without (`try_reserve`: a block can go to disk) is refused while others
wait, or it would starve them.

A request that could never fit, however much is given back, is admitted once nothing of the common rest is
held: one oversize record overruns the budget, instead of waiting for ever.

What this cannot know is what holds the bytes. A job that lets waiting data fill its minimum, and then waits
for room for the work that would free it, waits for ever: reserve what the work needs before data may wait.

Every decision is made in one step between awaits, and belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple, Self

from asyncmr.errors import ClosedError, MemoryBudgetError, UsageError


class BudgetStats(NamedTuple):
    """`held` bytes are reserved, `leased` are set aside as minimums, `waiting` requests queue."""

    total: int
    held: int
    leased: int
    waiting: int


@dataclass(eq=False, slots=True)
class _Request:
    job: JobBudget
    size: int
    granted: asyncio.Future[None]
    lease: bool = False


class Budget:
    """`total` bytes, to be reserved directly or leased to jobs. Sizes are in bytes."""

    def __init__(self, total: int) -> None:
        if total <= 0:
            raise UsageError(f"a memory budget of {total} bytes holds nothing; give a positive size")
        self.total = total
        self._held = 0
        self._leased = 0
        self._beyond = 0  # the part of the common rest in use: what jobs hold beyond their minimums
        self._queue: list[_Request] = []
        self._direct = JobBudget(self, 0)

    def try_reserve(self, size: int) -> bool:
        """Takes `size` bytes if they are free and nobody waits; otherwise takes nothing and says False."""
        return self._direct.try_reserve(size)

    async def reserve(self, size: int) -> None:
        """Takes `size` bytes, waiting until they are free. Cancelled, it takes nothing."""
        await self._direct.reserve(size)

    def release(self, size: int) -> None:
        """Gives back `size` bytes that were reserved here."""
        self._direct.release(size)

    async def lease(self, minimum: int) -> JobBudget:
        """A job's share, with `minimum` bytes set aside for it alone; waits until they can be.

        Raises:
            MemoryBudgetError: when `minimum` is more than the whole budget.
        """
        if minimum > self.total:
            raise MemoryBudgetError(
                f"the job needs at least {minimum:,} bytes, and memory= allows {self.total:,} in all; "
                "raise memory=, or use fewer workers"
            )
        job = JobBudget(self, minimum)
        if not self._queue and minimum <= self._free:
            self._leased += minimum
            return job
        await self._wait(_Request(job, minimum, asyncio.get_running_loop().create_future(), lease=True))
        return job

    def stats(self) -> BudgetStats:
        return BudgetStats(self.total, self._held, self._leased, len(self._queue))

    @property
    def _free(self) -> int:
        return self.total - self._leased - self._beyond

    def _extra(self, job: JobBudget, size: int) -> int:
        """What of `size` more bytes the job's own minimum cannot serve."""
        return max(0, job.held + size - max(job.held, job.minimum))

    def _move(self, job: JobBudget, size: int) -> None:
        before = max(0, job.held - job.minimum)
        job.held += size
        self._held += size
        self._beyond += max(0, job.held - job.minimum) - before

    async def _wait(self, request: _Request) -> None:
        self._queue.append(request)
        self._admit()
        try:
            await request.granted
        except asyncio.CancelledError:
            if request in self._queue:
                self._queue.remove(request)
                self._admit()
            elif request.granted.cancelled() or request.granted.exception() is not None:
                pass  # the share was closed meanwhile, and nothing was granted
            elif request.lease:
                request.job.close()
            else:
                request.job.release(request.size)
            raise

    def _admit(self) -> None:
        """Grants what can be granted now: the queue from its head, and what a job's own minimum serves."""
        waiting: list[_Request] = []
        first = True
        for request in self._queue:
            if not request.granted.done() and self._grant(request, first):
                request.granted.set_result(None)
                continue
            waiting.append(request)
            first = first and request.granted.cancelled()  # its own task is about to take it out
        self._queue = waiting

    def _grant(self, request: _Request, first: bool) -> bool:
        job, size = request.job, request.size
        if request.lease:
            if not first or size > self._free:
                return False
            self._leased += size
            return True
        extra = self._extra(job, size)
        never_fits = size > job.minimum + self.total - self._leased
        if extra and not (first and (extra <= self._free or (never_fits and self._beyond == 0))):
            return False
        self._move(job, size)
        return True

    def _fail(self, job: JobBudget, error: Exception) -> None:
        for request in [request for request in self._queue if request.job is job]:
            self._queue.remove(request)
            if not request.granted.done():
                request.granted.set_exception(error)


class JobBudget:
    """A job's share of a `Budget`: `minimum` bytes of its own, and what is free of the common rest.

    `held`: the bytes that it holds now. Closing it, or leaving its `with`, gives everything back; what is
    released later counts for nothing.
    """

    __slots__ = ("_budget", "_closed", "held", "minimum")

    def __init__(self, budget: Budget, minimum: int) -> None:
        self._budget = budget
        self._closed = False
        self.minimum = minimum
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def try_reserve(self, size: int) -> bool:
        """Takes `size` bytes if they are free and nobody waits; otherwise takes nothing and says False."""
        self._check(size)
        budget = self._budget
        extra = budget._extra(self, size)
        if extra and (budget._queue or extra > budget._free):
            return False
        budget._move(self, size)
        return True

    async def reserve(self, size: int) -> None:
        """Takes `size` bytes, waiting until they are free. Cancelled, it takes nothing.

        Raises:
            ClosedError: when the share is closed, also while waiting.
        """
        self._check(size)
        if not self.try_reserve(size):
            future = asyncio.get_running_loop().create_future()
            await self._budget._wait(_Request(self, size, future))

    def stats(self) -> BudgetStats:
        """Of the whole budget."""
        return self._budget.stats()

    def release(self, size: int) -> None:
        """Gives back `size` bytes, at once and without fail also in clean-up after `close`."""
        if self._closed:
            return
        if not 0 <= size <= self.held:
            raise UsageError(f"{size:,} bytes released, and {self.held:,} are held")
        self._budget._move(self, -size)
        self._budget._admit()

    def close(self) -> None:
        """Gives back the minimum and everything held. May be called again."""
        if self._closed:
            return
        self._closed = True
        budget = self._budget
        budget._fail(
            self, ClosedError("the job's share of the memory budget was closed while it waited for room")
        )
        budget._move(self, -self.held)
        budget._leased -= self.minimum
        budget._admit()

    def _check(self, size: int) -> None:
        if self._closed:
            raise ClosedError("the job's share of the memory budget is closed; lease another")
        if size < 0:
            raise UsageError(f"cannot reserve {size} bytes")
