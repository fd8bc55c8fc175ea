"""How a task runs in a worker: it is tried until an attempt succeeds, and only a whole attempt counts.

Everything that an attempt makes goes to its outcome, which nobody else sees. When the worker dies or takes too
long the outcome is discarded and the task begins again on another worker, up to `retries` times. A function of
the user that raises is not tried again: it would raise again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from anyio import CancelScope

from asyncmr.errors import AsyncMRError, TaskTimeout, WorkerDied
from asyncmr.job import Split
from asyncmr.pipeline.blame import LineNumber, blamed
from asyncmr.pipeline.feeding import Feed
from asyncmr.workers import Account, Pool, Program, RemoteError, SlotDied, SlotTimeout

Item = tuple[tuple[Any, ...], bytes]


class Outcome(Protocol):
    """What one attempt has made so far."""

    async def take(self, items: list[Item]) -> None:
        """Keeps what a worker sent."""

    async def discard(self) -> None:
        """The attempt failed: frees everything."""


O = TypeVar("O", bound=Outcome)  # noqa: E741


@dataclass(slots=True)
class Done(Generic[O]):
    """A successful attempt: its outcome, the facts and user counters it returned, and how many tries it took."""

    outcome: O
    facts: dict[str, Any]
    counts: dict[tuple[str, str], int]
    attempts: int


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of work. `title` names it in errors; `split` is where its records came from, if it maps."""

    stage: str
    title: str
    method: str
    argument: Any
    split: Split | None = field(default=None, repr=False)


class Attempts:
    """Runs the tasks of one step of one job."""

    def __init__(
        self,
        pool: Pool,
        account: Account,
        program: Program,
        *,
        job: str,
        retries: int,
        timeout: float | None,
        line_number: LineNumber,
    ) -> None:
        self.pool = pool
        self._account = account
        self._program = program
        self._job = job
        self._retries = retries
        self._timeout = timeout
        self._line_number = line_number

    async def run(
        self,
        task: Task,
        feed: Callable[[], Feed],
        outcome: Callable[[int], O],
    ) -> Done[O]:
        """Runs `task` until an attempt succeeds. `feed` and `outcome` are made anew for each attempt.

        Raises:
            UserCodeError: a function of the user raised.
            WorkerDied, TaskTimeout: the retries are used up.
        """
        attempt = 0
        while True:
            attempt += 1
            made = outcome(attempt)
            try:
                facts, counts = await self._once(task, feed(), made)
            except BaseException as error:
                with CancelScope(shield=True):
                    await made.discard()
                if isinstance(error, RemoteError):
                    blamed_on = await self._blamed(task, error)
                    raise blamed_on from blamed_on.__cause__
                if not isinstance(error, SlotDied | SlotTimeout):
                    raise
                if attempt > self._retries:
                    raise self._given_up(task, error, attempt) from error
            else:
                return Done(made, facts, counts, attempt)

    async def _once(
        self, task: Task, feed: Feed, outcome: Outcome
    ) -> tuple[dict[str, Any], dict[tuple[str, str], int]]:
        buffers, last = await feed.round(())
        async with self.pool.session(
            self._program, task.method, task.argument, account=self._account, timeout=self._timeout
        ) as session:
            reply = await session.open(buffers, last=last)
            while True:
                if reply.items:
                    await outcome.take(reply.items)
                if reply.state == "done":
                    return reply.result, reply.counts
                if reply.state == "more":
                    reply = await session.drain()
                else:
                    buffers, last = await feed.round(reply.result or ())
                    reply = await session.feed(buffers, last=last)

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
