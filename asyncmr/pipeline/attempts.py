"""How a task runs in a worker: it is tried until an attempt succeeds, and only a whole attempt counts.

Everything that an attempt makes goes to its outcome, which nobody else sees. When the worker dies or takes too
long the outcome is discarded and the task begins again on another worker, up to `retries` times. A function of
the user that raises is not tried again: it would raise again.

With `backup_tasks` an attempt that is slow gets a rival on an idle worker, and the first of the two to succeed is the
task; the other is cancelled, and its outcome discarded, before anybody learns that the task is done.
(Backup tasks: Dean and Ghemawat, "MapReduce", 2004, section 3.6.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, Self, TypeVar

from anyio import CancelScope

from asyncmr.actors import TaskScope
from asyncmr.errors import AsyncMRError, TaskTimeout, UserCodeError, WorkerDied, WorkerError
from asyncmr.job import Split
from asyncmr.pipeline.blame import LineNumber, blamed
from asyncmr.pipeline.feeding import Feed, Feeding
from asyncmr.pipeline.racing import first_of
from asyncmr.pipeline.stragglers import Stragglers
from asyncmr.pipeline.tolerance import Tolerance
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


@dataclass(slots=True)
class _Running:
    """A task under way. `begun`: the loop's time at which its attempt got a worker; None before that."""

    attempts: int = 0
    rivals: int = 0
    begun: float | None = None


class Attempts:
    """Runs the tasks of one step of one job."""

    def __init__(
        self,
        pool: Pool,
        account: Account,
        program: Program,
        *,
        job: str,
        tolerance: Tolerance,
        line_number: LineNumber,
    ) -> None:
        self.pool = pool
        self._account = account
        self._program = program
        self._job = job
        self._tolerance = tolerance
        self._line_number = line_number
        self._stragglers = Stragglers()

    async def run(self, task: Task, feeding: Feeding, outcome: Callable[[int], O]) -> Done[O]:
        """Runs `task` until an attempt succeeds. `feeding` and `outcome` are called for each attempt.

        Raises:
            UserCodeError: a function of the user raised.
            WorkerDied, TaskTimeout: the retries are used up.
        """
        running = _Running()
        if self._tolerance.backup_tasks:
            done = await self._race(task, feeding, outcome, running)
        else:
            done = await self._try(task, feeding, outcome, running, self._tolerance.retries)
        done.tries = Tries(running.attempts, running.rivals)
        return done

    async def _race(
        self, task: Task, feeding: Feeding, outcome: Callable[[int], O], running: _Running
    ) -> Done[O]:
        """As `_try`, with a rival on an idle worker once the task proves slow."""

        async def rival() -> Done[O] | None:
            await self._slow(task, running)
            running.rivals += 1
            with suppress(UserCodeError, WorkerError):  # the first attempt goes on, and speaks for the task
                return await self._try(task, feeding, outcome, running, retries=0)
            return None

        return await first_of(
            lambda: self._try(task, feeding, outcome, running, self._tolerance.retries),
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
        self,
        task: Task,
        feeding: Feeding,
        outcome: Callable[[int], O],
        running: _Running,
        retries: int,
    ) -> Done[O]:
        tried = 0
        while True:
            tried += 1
            running.attempts += 1
            made = outcome(running.attempts)
            try:
                async with feeding() as feed:
                    facts, counts = await self._once(task, feed, made, running)
            except BaseException as error:
                with CancelScope(shield=True):
                    await made.discard()
                if isinstance(error, RemoteError):
                    blamed_on = await self._blamed(task, error)
                    raise blamed_on from blamed_on.__cause__
                if not isinstance(error, SlotDied | SlotTimeout):
                    raise
                if tried > retries:
                    raise self._given_up(task, error, tried) from error
            else:
                return Done(made, facts, counts, Tries())

    async def _once(
        self, task: Task, feed: Feed, outcome: Outcome, running: _Running
    ) -> tuple[dict[str, Any], dict[tuple[str, str], int]]:
        loop = asyncio.get_running_loop()
        buffers, last = await feed.round(())
        async with self.pool.session(
            self._program,
            task.method,
            task.argument,
            account=self._account,
            timeout=self._tolerance.task_timeout,
        ) as session:
            begun = loop.time()
            if not running.rivals:
                running.begun = begun
            reply = await session.open(buffers, last=last)
            while reply.state != "done":
                # The worker goes on while its last answer is stored; it is never more than one answer ahead.
                async with TaskScope() as scope:
                    if reply.items:
                        scope.spawn(partial(outcome.take, reply.items), name=f"{task.stage}.take")
                    reply = await self._go_on(session, feed, reply)
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
            error, job=self._job, stage=task.stage, split=task.split, line_number=self._line_number
        )

    def _given_up(self, task: Task, error: SlotDied | SlotTimeout, attempts: int) -> AsyncMRError:
        where = f"job {self._job!r}, stage {task.stage!r}, {task.title}"
        tried = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        if isinstance(error, SlotTimeout):
            return TaskTimeout(
                f"{where}: ran longer than task_timeout={error.seconds:g} s in {tried}; "
                "raise task_timeout, or look at what this input makes the function do",
                seconds=error.seconds,
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
