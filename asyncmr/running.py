"""A job that runs on an engine, seen from outside: how far it is, its end, and a way to cancel it.

Nobody has to look. A job that nobody looks at makes no snapshot, and its handle goes with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from time import perf_counter, time
from typing import Protocol, Self

from anyio import CancelScope, move_on_after

from asyncmr.errors import ClosedError, JobCancelled, UsageError
from asyncmr.progress import JobState, Progress
from asyncmr.report import Report


class Work(Protocol):
    """What a handle needs of the job itself."""

    @property
    def committing(self) -> bool:
        """Whether it shows its output."""

    def progress(self, state: JobState, seconds: float) -> Progress:
        """A snapshot. `state`, `seconds`: as the handle has them."""


class RunningJob:
    """One of `engine.jobs`: a job on its way, however it was started.

        for job in engine.jobs:
            print(job.name, job.state, job.started)
            if job.progress.seconds > 3600:
                job.cancel()

    `name`: the job's. It belongs to the event loop of its engine, like everything here: from another thread use
    `loop.call_soon_threadsafe(job.cancel)`. It can be kept after the job's end, and is small then.
    """

    def __init__(self, name: str, *, watched: bool = False) -> None:
        self.name = name
        self._scope = CancelScope()
        self._started = time()
        self._began = perf_counter()
        self._took: float | None = None
        self._state: JobState = "waiting"
        self._work: Work | None = None
        self._watched = watched
        self._last: Progress | None = None
        self._report: Report | None = None
        self._error: BaseException | None = None
        self._over: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self._state}>"

    @property
    def state(self) -> JobState:
        """What the job does: see `JobState`."""
        committing = self._state == "running" and self._work is not None and self._work.committing
        return "committing" if committing else self._state

    @property
    def started(self) -> datetime:
        """When it was started, in UTC."""
        return datetime.fromtimestamp(self._started, UTC)

    @property
    def progress(self) -> Progress:
        """How far it is, now; after its end, how far it came."""
        if self._last is not None:
            return self._last
        self._watched = True
        seconds = perf_counter() - self._began if self._took is None else self._took
        if self._work is None:
            return Progress(self.name, self._state, seconds)
        return self._work.progress(self.state, seconds)

    @property
    def report(self) -> Report:
        """What the job did.

        Raises:
            ClosedError: it has not ended, or ended without a report because it failed or was cancelled; the cause says
                by what.
        """
        if self._report is not None:
            return self._report
        if not self._over_now:
            raise ClosedError(f"job {self.name!r} has no report yet; it is there when the job is done")
        raise ClosedError(f"job {self.name!r} has no report, since it {self._ending}") from self._error

    def cancel(self) -> None:
        """Cancels the job, and returns at once; within a second it is gone. After its end this does nothing.

        Whoever waits for it gets a `JobCancelled`. Of a job whose output is just being shown nothing is undone: it ends
        as done, or as cancelled with no output.
        """
        self._scope.cancel()

    async def wait(self) -> None:
        """Waits until the job has ended, in whatever way. Cancelling the wait does nothing to the job."""
        if not self._over_now:
            if self._over is None:
                self._over = asyncio.Event()
            await self._over.wait()

    def updates(self, interval: float = 0.5) -> AsyncIterator[Progress]:
        """Snapshots: one now, one every `interval` seconds, and a last one when the job has ended.

        A reader who is slow gets fewer of them, and holds up nobody. They end with the job, also with one that fails:
        the error is raised where the job is awaited.

            async for progress in running.updates(interval=1):
                print(progress.as_dict())

        Raises:
            UsageError: `interval` is not positive.
        """
        if interval <= 0:
            raise UsageError(f"interval={interval} is no time between two snapshots; give seconds, 0.5 say")
        return _Updates(self, interval)

    @property
    def _over_now(self) -> bool:
        return self._state in ("done", "failed", "cancelled")

    @property
    def _ending(self) -> str:
        return "was cancelled" if self._state == "cancelled" else "failed"

    # What its engine calls.

    def _listed(self) -> Self:
        """Somebody has it now, and may look at it also when it has ended."""
        self._watched = True
        return self

    def _runs(self, work: Work) -> None:
        """It was admitted."""
        self._state = "running"
        self._work = work

    def _done(self, report: Report) -> None:
        self._report = report
        self._end("done")

    def _failed(self, error: BaseException) -> None:
        if self._watched:  # the error holds its frames, and they hold this
            self._error = error
        self._end("cancelled" if isinstance(error, asyncio.CancelledError | JobCancelled) else "failed")

    def _end(self, state: JobState) -> None:
        if self._over_now:
            return
        self._state = state
        self._took = perf_counter() - self._began
        if self._watched:
            self._last = self.progress
        self._work = None  # lets go of everything that the job was made of
        if self._over is not None:
            self._over.set()


class _Updates:
    """An iterator of snapshots. Not a generator: one that is left half-way has to be closed."""

    def __init__(self, job: RunningJob, interval: float) -> None:
        self._job = job
        self._interval = interval
        self._last: Progress | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Progress:
        if self._last is not None:
            if self._last.ended:
                raise StopAsyncIteration
            with move_on_after(self._interval):
                await self._job.wait()
        self._last = self._job.progress
        return self._last
