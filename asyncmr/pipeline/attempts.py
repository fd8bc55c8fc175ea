"""How a task runs in a worker: it is tried until an attempt succeeds, and only a whole attempt counts.

Everything that an attempt makes goes to its outcome, which nobody else sees. When the worker dies or takes too
long the outcome is discarded and the task begins again on another worker, up to `retries` times. A function of
the user that raises is not tried again, since it would raise again, unless the job skips what fails: then attempts
are guarded from the first failure on (see `suspects`), until one ends.

With `backup_tasks` an attempt that is slow gets a rival on an idle worker, and the first of the two to succeed is the
task; the other is cancelled, and its outcome discarded, before anybody learns that the task is done.
(Backup tasks: Dean and Ghemawat, "MapReduce", 2004, section 3.6.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, Self, TypeVar

from anyio import CancelScope

from asyncmr.actors import TaskScope
from asyncmr.errors import AsyncMRError, TaskTimeout, WorkerDied, WorkerError
from asyncmr.kernel.guarding import Guard
from asyncmr.pipeline.blame import LineNumber, blamed
from asyncmr.pipeline.feeding import Feed, Feeding
from asyncmr.pipeline.racing import first_of
from asyncmr.pipeline.stragglers import Stragglers
from asyncmr.pipeline.suspects import Suspects
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.pipeline.trails import Trail
from asyncmr.protocols import Split
from asyncmr.workers import (
    Account,
    Pool,
    Program,
    Received,
    RemoteError,
    Reply,
    Session,
    SlotDied,
    SlotTimeout,
)

Item = tuple[tuple[Any, ...], Received]

# How often a slow task looks for an idle worker, in seconds.
_LOOK = 0.05


class Outcome(Protocol):
    """What one attempt has made so far."""

    async def take(self, items: list[Item]) -> None:
        """Keeps what a worker sent."""

    async def discard(self) -> None:
        """The attempt failed: frees everything."""


O = TypeVar("O", bound=Outcome)  # noqa: E741


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a task was tried: `attempts` in all, and how many of these were `rivals` of a slow one."""

    attempts: int = 1
    rivals: int = 0

    @classmethod
    def of_one_task(cls, parts: Sequence[Self]) -> Self:
        """The tries of a task that was done in parts."""
        again = sum(tries.attempts - 1 for tries in parts)
        return cls(1 + again, sum(tries.rivals for tries in parts))


@dataclass(slots=True)
class Done(Generic[O]):
    """A successful attempt: its outcome, the facts and user counters it returned, and the tries that it took."""

    outcome: O
    facts: dict[str, Any]
    counts: dict[tuple[str, str], int]
    tries: Tries


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of work. `title` names it in errors; `split` is where its records came from, if it maps; `size` is
    what it takes in, in bytes, if tasks of this kind differ in that.
    """

    stage: str
    title: str
    method: str
    argument: Any
    split: Split | None = field(default=None, repr=False)
    size: int = 1


@dataclass(eq=False, slots=True)
class _Running:
    """A task under way. `begun`: the loop's time at which its attempt got a worker; None before that."""

    suspects: Suspects
    attempts: int = 0
    rivals: int = 0
    begun: float | None = None


class Attempts:
    """Runs the tasks of one step of one job. `trail` makes what one more attempt at a task is guarded by."""

    def __init__(
        self,
        pool: Pool,
        account: Account,
        program: Program,
        *,
        job: str,
        tolerance: Tolerance,
        trail: Callable[[Suspects], Trail],
        line_number: LineNumber,
    ) -> None:
        self.pool = pool
        self._account = account
        self._program = program
        self._job = job
        self._tolerance = tolerance
        self._trail = trail
        self._line_number = line_number
        self._stragglers = Stragglers()
        self._running: dict[_Running, str] = {}

    async def run(self, task: Task, feeding: Feeding, outcome: Callable[[int], O]) -> Done[O]:
        """Runs `task` until an attempt succeeds. `feeding` and `outcome` are called for each attempt.

        Raises:
            UserCodeError: a function of the user raised.
            WorkerDied, TaskTimeout: the retries are used up.
        """
        running = _Running(Suspects(self._tolerance))
        self._running[running] = task.stage
        try:
            if self._tolerance.backup_tasks:
                done = await self._race(task, feeding, outcome, running)
            else:
                done = await self._try(task, feeding, outcome, running)
        finally:
            del self._running[running]
        done.tries = Tries(running.attempts, running.rivals)
        return done

    def under_way(self) -> Iterator[tuple[str, bool, int]]:
        """Of each task that is not finished: its stage, whether it has a worker, how often it was tried again."""
        for running, stage in self._running.items():
            yield stage, running.begun is not None, max(0, running.attempts - running.rivals - 1)

    async def _race(
        self, task: Task, feeding: Feeding, outcome: Callable[[int], O], running: _Running
    ) -> Done[O]:
        """As `_try`, with a rival on an idle worker once the task proves slow."""

        async def rival() -> Done[O] | None:
            await self._slow(task, running)
            running.rivals += 1
            with suppress(RemoteError, WorkerError):  # the first attempt goes on, and speaks for the task
                return await self._attempt(task, feeding, outcome, running, self._trail(running.suspects))
            return None

        return await first_of(
            lambda: self._try(task, feeding, outcome, running),
            rival,
            lambda done: done.outcome.discard(),
            name=task.stage,
        )

    async def _slow(self, task: Task, running: _Running) -> None:
        """Waits until the task is slow and a worker has nothing else to do."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK)
            workers = self.pool.stats()
            if running.begun is not None and workers.idle and not workers.waiting:
                seconds = loop.time() - running.begun
                if self._stragglers.is_slow(_kind(task), task.size, seconds):
                    return

    async def _try(
        self, task: Task, feeding: Feeding, outcome: Callable[[int], O], running: _Running
    ) -> Done[O]:
        suspects = running.suspects
        while True:
            trail = self._trail(suspects)
            try:
                return await self._attempt(task, feeding, outcome, running, trail)
            except RemoteError as error:
                if not suspects.raised(error):
                    blamed_on = await self._blamed(task, error)
                    raise blamed_on from blamed_on.__cause__
            except (SlotDied, SlotTimeout) as error:
                if not suspects.died(error, trail.mark):
                    raise self._given_up(task, error, suspects.deaths) from error

    async def _attempt(
        self,
        task: Task,
        feeding: Feeding,
        outcome: Callable[[int], O],
        running: _Running,
        trail: Trail,
    ) -> Done[O]:
        running.attempts += 1
        made = outcome(running.attempts)
        try:
            async with feeding() as feed, trail:
                facts, counts = await self._once(task, feed, made, running, trail.guard)
        except BaseException:
            with CancelScope(shield=True):
                await made.discard()
            raise
        return Done(made, facts, counts, Tries())

    async def _once(
        self, task: Task, feed: Feed, outcome: Outcome, running: _Running, guard: Guard | None
    ) -> tuple[dict[str, Any], dict[tuple[str, str], int]]:
        loop = asyncio.get_running_loop()
        method, argument = task.method, task.argument
        if task.split is not None:
            method, argument = task.split.task(method, argument)
        if guard is not None:
            method, argument = "guarded", (method, argument, guard)
        if self._program.parts:
            method, argument = "prepared", (method, argument)
        buffers, last = await feed.round(())
        async with self.pool.session(
            self._program,
            method,
            argument,
            account=self._account,
            timeout=running.suspects.timeout,
            about=(self._account, task.stage, task.title),  # kept for long, so without the input
        ) as session:
            if self._program.parts:
                await session.prepare(self._tolerance.setup_timeout)
            begun = loop.time()
            if not running.rivals:
                running.begun = begun
            reply = await session.open(buffers, last, self._tolerance.setup_timeout)
            while reply.state != "done":
                # The worker goes on while its last answer is stored; it is never more than one answer ahead.
                async with TaskScope() as scope:
                    if reply.items:
                        scope.spawn(partial(outcome.take, reply.items), name=f"{task.stage}.take")
                    reply = await self._go_on(session, feed, reply)
            if guard is None:
                self._stragglers.note(_kind(task), task.size, loop.time() - begun)
            if reply.items:
                await outcome.take(reply.items)
            return reply.result, reply.counts

    @staticmethod
    async def _go_on(session: Session, feed: Feed, reply: Reply) -> Reply:
        if reply.state == "more":
            return await session.drain()
        buffers, last = await feed.round(reply.result or ())
        return await session.feed(buffers, last=last)

    async def _blamed(self, task: Task, error: RemoteError) -> AsyncMRError:
        return await blamed(
            error,
            job=self._job,
            stage=task.stage,
            split=task.split,
            line_number=self._line_number,
            skips=self._tolerance.skips,
        )

    def _given_up(self, task: Task, error: SlotDied | SlotTimeout, attempts: int) -> AsyncMRError:
        where = f"job {self._job!r}, stage {task.stage!r}, {task.title}"
        tried = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        if isinstance(error, SlotTimeout):
            seconds = self._tolerance.task_timeout or error.seconds
            what = f"ran longer than task_timeout={seconds:g} s in {tried}; raise task_timeout"
            advice = "look at what this input makes the function do"
            if error.preparing:
                seconds = error.seconds
                what = (
                    f"its setup took longer than setup_timeout={seconds:g} s in {tried}; raise setup_timeout"
                )
                advice = "look at what the setup waits for"
            return TaskTimeout(
                f"{where}: {what}, or {advice}",
                seconds=seconds,
                job=self._job,
                stage=task.stage,
                task=task.title,
                attempts=attempts,
            )
        return WorkerDied(
            f"{where}: the worker died in {tried}, {error.cause}; "
            "look for what this input makes the function do, or raise retries",
            exitcode=error.exitcode,
            job=self._job,
            stage=task.stage,
            task=task.title,
            attempts=attempts,
        )


def _kind(task: Task) -> tuple[str, str]:
    """What tasks are compared with: those that do the same."""
    return task.stage, task.method
