"""A job that was started by `Engine.start`: one that can be awaited, and that belongs to a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Generic, TypeVar

from asyncmr.actors import TaskScope
from asyncmr.errors import JobCancelled
from asyncmr.running import RunningJob

T = TypeVar("T")


class StartedJob(RunningJob, Generic[T]):
    """What `engine.start` gives: a `RunningJob` that is awaited for what it makes.

        async with engine.start(job, source, "out/") as running:
            report = await running

    Any number of tasks may await it, any number of times: each gets the same, or the job's error. Cancelling one that
    waits does nothing to the job. Once the block is left, a job that had not ended is cancelled.

    Raises, when awaited:
        JobCancelled: it was cancelled, by `cancel()` or by leaving the block.
        Whatever `Engine.run` and `Engine.collect` raise.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, watched=True)
        self._settled = asyncio.Event()
        self._result: list[T] = []
        self._trace: TracebackType | None = None
        self._heard = False

    def __await__(self) -> Generator[Any, Any, T]:
        return self._outcome().__await__()

    async def _outcome(self) -> T:
        await self._settled.wait()
        if self._error is None:
            return self._result[0]
        self._heard = True
        if isinstance(self._error, asyncio.CancelledError):
            # Its task was cancelled, with its block; the task that waits here was not.
            raise JobCancelled(f"job {self.name!r} was cancelled, since its block was left", job=self.name)
        # Each that raises it would lengthen its traceback.
        raise self._error.with_traceback(self._trace)

    async def _live(self, work: Callable[[RunningJob], Awaitable[T]]) -> None:
        try:
            self._result.append(await work(self))
        except BaseException as error:
            self._failed(error)
            self._error, self._trace = error, error.__traceback__
            if not isinstance(error, Exception):
                raise
        finally:
            self._settled.set()

    @property
    def _unheard(self) -> BaseException | None:
        """What the job failed of, if nobody was told. That it was cancelled is no failure."""
        return None if self._heard or self._state == "cancelled" else self._error


@asynccontextmanager
async def started(name: str, work: Callable[[RunningJob], Awaitable[T]]) -> AsyncIterator[StartedJob[T]]:
    """Runs `work`, which is the job of this name, in a task of its own, as long as the block lasts."""
    job: StartedJob[T] = StartedJob(name)
    try:
        async with TaskScope() as scope:
            scope.spawn(lambda: job._live(work), name=f"job {job.name}")
            # The task gets as far as the engine: the job is one of the engine's now, or was refused.
            await asyncio.sleep(0)
            if job._unheard is not None:
                await job
            yield job
            job.cancel()
    except BaseException as error:
        if job._unheard is not None and job._unheard is not error:
            error.add_note(f"job {job.name!r} had failed: {type(job._error).__name__}: {job._error}")
        raise
    if job._unheard is not None:
        await job
