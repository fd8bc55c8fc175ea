"""The engine of this machine: a pool of workers, a memory budget and a place to spill, shared by all its jobs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent import futures
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from types import TracebackType
from typing import Literal, Self

from anyio import CancelScope, move_on_after

from asyncmr.actors import TaskScope
from asyncmr.connectors.dead_letters import DeadLetters
from asyncmr.engines.early import PRELOAD
from asyncmr.engines.share import limits_of, memory_of, workers_of
from asyncmr.engines.worker_log import WorkerLog
from asyncmr.errors import ClosedError, JobCancelled, UsageError
from asyncmr.job import Job
from asyncmr.kernel.hashing import DEFAULT_SECRET, KeyHasher
from asyncmr.pipeline.job_flow import JobFlow
from asyncmr.pipeline.limits import Limits
from asyncmr.pipeline.programs import Programs
from asyncmr.pipeline.resources import Resources
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.pipeline.trails import Trails
from asyncmr.progress import ProgressCallback
from asyncmr.protocols import Sink, Source
from asyncmr.report import Report
from asyncmr.running import RunningJob
from asyncmr.storage.budget import Budget, JobBudget
from asyncmr.storage.compression import Compression, codec_of
from asyncmr.storage.disk import Disk
from asyncmr.storage.durable_store import DurableStore
from asyncmr.storage.folder import SpillFolder, sweep
from asyncmr.storage.journal import Journal
from asyncmr.storage.runs import BlockStore
from asyncmr.workers import Pool
from asyncmr.workers.seat import Slot

Executor = Literal["process", "thread", "inline"]
OnError = Literal["fail", "skip"]

# What a user sees of a running job is taken this often, in seconds.
_PROGRESS_INTERVAL = 0.1
# Each job is sure of this part of the memory for what waits; more jobs than that wait to be admitted.
MOST_JOBS = 64
# Seconds for the jobs that still run when their engine is left. They need a fraction of one, unless a function of the
# user's swallows its cancellation.
_END_LIMIT = 5.0


class LocalEngine:
    """Runs jobs in the workers of this process. Use it in `async with`; its arguments are `asyncmr.Engine`'s.

    Beside these, `slots` and `threads` stand in for this machine: they make its workers and threads, as `Pool` says.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        memory: int | str | None = None,
        share: float = 1.0,
        retries: int = 3,
        task_timeout: float | None = None,
        setup_timeout: float | None = None,
        backup_tasks: bool = False,
        verify: float = 0.0,
        on_error: OnError = "fail",
        skip_limit: int | float | None = None,
        spill_dir: str | os.PathLike[str] | None = None,
        spill_compression: Compression = "none",
        executor: Executor = "process",
        hash_key: int = DEFAULT_SECRET,
        limits: Limits | None = None,
        slots: Callable[[], Slot] | None = None,
        threads: Callable[[int, str], futures.Executor] = futures.ThreadPoolExecutor,
    ) -> None:
        self.workers = workers_of(workers, share)
        if executor not in ("process", "thread", "inline"):
            raise UsageError(f'executor={executor!r} is none of "process", "thread" and "inline"')
        if on_error not in ("fail", "skip"):
            raise UsageError(f'on_error={on_error!r} is neither "fail" nor "skip"')
        self._tolerance = Tolerance(
            retries, task_timeout, backup_tasks, on_error == "skip", skip_limit, setup_timeout
        )
        self.memory = memory_of(memory, share)
        self._limits = limits or limits_of(self.memory, self.workers, share=share, default=memory is None)
        if not 0 <= verify <= 1:
            raise UsageError(f"verify={verify} is no share of the keys; give 0 (none) to 1 (all), 0.01 say")
        self._verify = verify
        self._spill_dir = None if spill_dir is None else os.fspath(spill_dir)
        self._codec = codec_of(spill_compression)
        self._executor: Executor = executor
        self.slots = slots
        self.threads = threads
        self._hasher = KeyHasher(hash_key)
        self._programs = Programs()
        self._open: AsyncExitStack | None = None
        self._users: dict[CancelScope, RunningJob | None] = {}  # in the order in which they came
        self._unused: asyncio.Event | None = None

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise ClosedError("this engine is open already; every `async with` needs an Engine of its own")
        async with AsyncExitStack() as stack:
            self._disk = await stack.enter_async_context(Disk(self.threads))
            self._worker_log = WorkerLog()
            stack.push_async_callback(self._worker_log.flush)
            self._pool = await stack.enter_async_context(
                Pool(
                    self.workers,
                    self._executor,
                    segment_size=self._limits.split,
                    preload=PRELOAD,
                    on_output=self._worker_log.take,
                    slots=self.slots,
                    threads=self.threads,
                )
            )
            self._budget = Budget(self._limits.shuffle)
            self._folder = SpillFolder(self._spill_dir)
            stack.push_async_callback(self._disk.run, self._folder.leave)
            self._trails = Trails(self._folder, self._disk)
            await self._disk.run(sweep, self._spill_dir)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._open = self._open, None
        if stack is not None:
            with CancelScope(shield=True):
                await self._end_users()
                await stack.__aexit__(kind, error, trace)

    @property
    def jobs(self) -> tuple[RunningJob, ...]:
        """The jobs that run or wait to be admitted, in the order in which they were started."""
        return tuple(job._listed() for job in self._users.values() if job is not None)

    @contextmanager
    def _used(self, job: RunningJob | None = None) -> Iterator[None]:
        """Whoever uses the engine does so in here, and is ended by a ClosedError when the engine is left."""
        if self._open is None:
            raise ClosedError("this engine is not open; use it as `async with Engine(...) as engine:`")
        with CancelScope() if job is None else job._scope as scope:
            self._users[scope] = job
            try:
                yield
            finally:
                del self._users[scope]
                if not self._users and self._unused is not None:
                    self._unused.set()
        if scope.cancelled_caught:
            if job is not None and self._open is not None:
                raise JobCancelled(f"job {job.name!r} was cancelled", job=job.name)
            raise ClosedError("the engine was left while this job ran; wait for its jobs inside the block")

    async def _end_users(self) -> None:
        """Ends the jobs that still run, which need the disk to clean up."""
        if self._users:
            self._unused = asyncio.Event()
            for scope in self._users:
                scope.cancel()
            with move_on_after(_END_LIMIT):
                await self._unused.wait()

    @asynccontextmanager
    async def store(self) -> AsyncIterator[BlockStore]:
        """A block store on what the jobs leave of this engine's memory; emptied at the end."""
        with self._used():
            async with BlockStore(self._budget, self._folder, self._disk, self._codec) as store:
                yield store

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Resources]:
        """What a job runs on, to whoever runs one in another way; a share of the memory is its own till the end."""
        with self._used(), await self._budget.lease(self._limits.shuffle // MOST_JOBS) as budget:
            async with BlockStore(budget, self._folder, self._disk, self._codec) as store, self._worker_log:
                yield self._resources(store, budget, None)

    def _resources(self, store: BlockStore, budget: JobBudget, journal: Journal | None) -> Resources:
        return Resources(
            self._pool,
            self._disk,
            store,
            budget,
            self._limits,
            self._hasher,
            self._tolerance,
            self._programs,
            self._trails,
            self._verify,
            self._codec,
            journal,
        )

    async def execute(
        self,
        job: Job,
        source: Source,
        sink: Sink,
        *,
        progress: ProgressCallback | None = None,
        dead_letters: str | os.PathLike[str] | None = None,
        journal: Journal | None = None,
        running: RunningJob | None = None,
    ) -> Report:
        """Runs a job to its end, and returns what it did. With a journal it goes on where an earlier run ended.

        Cancelling it returns at once; what its workers were doing is killed. `running`: the handle that somebody has
        already; by default it gets one for `jobs`.
        """
        if not isinstance(job, Job):
            raise UsageError(f"a {type(job).__name__} is no job; pass an asyncmr.Job, e.g. Job(mapper=...)")
        if dead_letters is not None and not self._tolerance.skips:
            raise UsageError('dead_letters= has a meaning with on_error="skip" only, which skips records')
        letters = None if dead_letters is None else DeadLetters(dead_letters)
        running = running or RunningJob(job.title, watched=progress is not None)
        try:
            with self._used(running), await self._budget.lease(self._limits.shuffle // MOST_JOBS) as budget:
                report = await self._execute(job, source, sink, progress, letters, budget, journal, running)
        except BaseException as error:
            running._failed(error)
            raise
        running._done(report)
        if progress is not None:
            progress(running.progress)
        return report

    async def _execute(
        self,
        job: Job,
        source: Source,
        sink: Sink,
        progress: ProgressCallback | None,
        letters: DeadLetters | None,
        budget: JobBudget,
        journal: Journal | None,
        running: RunningJob,
    ) -> Report:
        store = BlockStore(budget, self._folder, self._disk, self._codec)
        if journal is not None:
            store = DurableStore(journal.folder, self._disk, self._codec)
        flow = JobFlow(job, source, sink, self._resources(store, budget, journal), letters)
        running._runs(flow)
        opened = nullcontext() if journal is None else self._opened(journal)
        async with opened, flow.output(), store, self._worker_log:
            if progress is None:
                await flow.run()
            else:
                async with TaskScope() as scope:
                    scope.spawn(lambda: _tell(running, progress), name="progress")
                    await flow.run()
                    scope.cancel()
        return flow.report()

    @asynccontextmanager
    async def _opened(self, journal: Journal) -> AsyncIterator[None]:
        """A job has its journal to the end."""
        try:
            # In here, since a cancellation that comes while it opens is raised when it is open.
            await self._disk.run(journal.open)
            yield
        finally:
            with CancelScope(shield=True):
                await self._disk.run(journal.close)


async def _tell(running: RunningJob, progress: ProgressCallback) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_INTERVAL)
        progress(running.progress)
