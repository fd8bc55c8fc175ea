"""The public way to run a job: an engine, which any number of jobs share.

What an engine is made of is imported when one is made: a user's script imports this module in every worker.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from asyncmr.connectors.sources import AnySource, Path, source_of
from asyncmr.errors import UsageError
from asyncmr.job import Job
from asyncmr.progress import ProgressCallback
from asyncmr.protocols import Sink, Source
from asyncmr.report import Report
from asyncmr.result import PairStream, Result
from asyncmr.typevars import K, V

if TYPE_CHECKING:
    from asyncmr.running import RunningJob
    from asyncmr.started import StartedJob


class Engine:
    """Workers, memory and a place to spill, shared by any number of jobs at a time.

        async with Engine(workers=4, memory="512 MiB") as engine:
            result = await engine.collect(job, "books/*.txt")

    `workers`: how many processes; by default one for each CPU that this process may use.
    `memory`: bytes, or a size such as "512 MiB", that the engine may use, its workers included; by default half of
    what the machine or the container has.
    `share`: the part of the machine, up to 1, that these two defaults take: four server processes with an engine each
    give `share=1/4`. What is said of `workers` and `memory` stands as it is said.
    `spill_dir`: where that waits which finds no room in memory, by default the system's folder for temporary files,
    compressed if `spill_compression` says "lz4" or "zstd" (to be installed as
    `asyncmr[lz4]` or `asyncmr[zstd]`): that pays where this disk is slow or small.
    `retries`: how often a task is tried again whose worker died. `task_timeout`: seconds after which a task's
    worker is killed and the task tried again; None for no limit. Of an async function each call has so many seconds,
    and each call that raises or takes longer is made again so often.
    `setup_timeout`: the same for a job's `setup`, which may take longer than any task.
    `backup_tasks`: a task that takes much longer than others of its size gets a rival on a worker that has nothing else
    to do, and whichever is done first counts. That helps where a processor is slow or taken by others, costs what the
    loser did, and runs user functions twice at the same time; the result is the same.
    `verify`: the share of the keys, from 0 to 1, on which combiners, folds and aggregators are checked while jobs run:
    some of a key's values are reduced again in other groupings, and in other orders where a job says
    `commutative=True`. A job whose results would depend on how its work was cut fails with an OperatorError, which
    holds the values. The same keys are looked at on any number of workers; the output is the same to the byte, and
    counters do not count what runs again. With 0.01 a word count takes some percent more of the workers' time; an
    operator that is slow itself is called more often by up to about ten times the share.
    `on_error`: with "skip" a record on which the mapper raises is left out, whole, and so are the results of a key on
    which the reducer, or an aggregator's `finish`, raises. One that kills the worker or hangs beyond `task_timeout` is
    left out when the retries are used up. All else counts, and the reports list what was skipped. A combiner, fold,
    aggregator or partitioner that raises fails the job as ever, since what it leaves behind is no right value.
    `skip_limit`: how many records and keys a job may skip in all, or, below 1, which share of its records; a job
    that skips more fails. None for any number.
    `executor`: "process", "thread" (functions that release the GIL, or a debugger), or "inline" (in the event
    loop's own thread, which then stands still meanwhile). The results are the same to the byte.
    `hash_key`: 64 bits that make the hash of keys, and with it the order of output, private to a deployment.

    The jobs of an engine share its workers fairly: the one that has used least goes first. Leaving the block waits
    for no job: its workers are stopped. A job that is cancelled is gone within a second.

    Raises:
        UsageError: an argument that cannot work.
        MemoryBudgetError: `memory` is too little for so many workers, or more than this process's memory cgroup
            allows.
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
        on_error: Literal["fail", "skip"] = "fail",
        skip_limit: int | float | None = None,
        spill_dir: Path | None = None,
        spill_compression: Literal["none", "lz4", "zstd"] = "none",
        executor: Literal["process", "thread", "inline"] = "process",
        hash_key: int | None = None,
        **tuning: Any,
    ) -> None:
        if os.name == "nt":
            raise UsageError("asyncmr runs on Linux and macOS; on Windows use it inside WSL")
        from asyncmr.engines.early import start_early

        if executor == "process":
            start_early()
        from asyncmr.engines.local import LocalEngine

        if hash_key is not None:
            tuning["hash_key"] = hash_key
        self._backend = LocalEngine(
            workers=workers,
            memory=memory,
            share=share,
            retries=retries,
            task_timeout=task_timeout,
            setup_timeout=setup_timeout,
            backup_tasks=backup_tasks,
            verify=verify,
            on_error=on_error,
            skip_limit=skip_limit,
            spill_dir=spill_dir,
            spill_compression=spill_compression,
            executor=executor,
            **tuning,
        )

    async def __aenter__(self) -> Self:
        await self._backend.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._backend.__aexit__(kind, error, trace)

    @property
    def jobs(self) -> tuple[RunningJob, ...]:
        """The jobs that run on this engine or wait to, in the order in which they were started.

        Those of `run`, `collect` and `stream` are among them. Each has a name, a state and a progress, and can be
        cancelled.

            for job in engine.jobs:
                print(job.name, job.state, job.started, job.progress.as_dict())
        """
        return self._backend.jobs

    async def run(
        self,
        job: Job,
        source: AnySource,
        output: Path | Sink,
        *,
        format: str = "text",
        resume: Path | None = None,
        progress: ProgressCallback | None = None,
        dead_letters: Path | None = None,
    ) -> Report:
        """Runs `job` and writes its pairs as files `part-00000`, ... into the folder `output`, then `_SUCCESS`.

            report = await engine.run(job, "books/*.txt", "counts")
            print(report.stages["reduce"].pairs_out, "words in", report.seconds, "s")

        `source`: a path, a glob, a folder, `-` for standard input, a list of these, an async iterable of records,
        `asyncmr.records(...)`, `json_lines(...)`, `pairs(...)`, `documents(...)`, or any `Source`; for a job with named
        mappers, a mapping of the same names to such sources. `output` must not exist, or be empty; it may be a `Sink`
        as well. `format`: "text" for `key<TAB>value` lines, or "jsonl" for JSON lines, which keep the types;
        `pairs(...)` reads both back in. `progress` is called on the loop, some times a second, with a `Progress`.

        `dead_letters`: with `on_error="skip"`, a file that gets all that was skipped, as JSON lines, in input order;
        it must not exist. It is written at the end of the job, also if that fails because of `skip_limit`.

        If the job fails or is cancelled, nothing of it is visible in `output`.

        `resume`: a folder for the job's journal, made if it is not there: what every finished task has made. If the
        process is killed, or the job fails, the same call goes on from there, and writes the same bytes as if nothing
        had happened; `workers` and `memory` may differ. It takes disk space for everything that moves between the
        stages. When the job is done only a note of that stays, and the same call returns the report at once.

        Raises:
            InputError: the source is missing, matches nothing, or cannot be read; `RecordError`: a record of it cannot.
            ResumeError: `resume` is the journal of another job, input, output or version, or another process has it.
            OutputError: `output` is not empty, `dead_letters` exists, or one of them cannot be written;
                `FormatError`: the format has no way to write a pair.
            UserCodeError: a function of the job raised, or `verify=` found that it gives two results.
            SkipLimitError: more was skipped than `skip_limit` allows.
            WorkerDied, TaskTimeout: the retries are used up.
        """
        from asyncmr.connectors.outputs import output_of

        sink, journal = output_of(output, format, resume)
        return await self._backend.execute(
            job, _input_of(job, source), sink, progress=progress, dead_letters=dead_letters, journal=journal
        )

    async def collect(
        self,
        job: Job[K, V],
        source: AnySource,
        *,
        progress: ProgressCallback | None = None,
        dead_letters: Path | None = None,
    ) -> Result[K, V]:
        """Runs `job` and returns its pairs, all in memory: `Result`, an iterable with a `report`.

            for word, count in await engine.collect(job, asyncmr.records(["to be", "or not"])):
                print(word, count)

        The arguments and errors are those of `run`. For more pairs than memory holds use `stream` or `run`.
        """
        from asyncmr.connectors.memory import Collected

        sink = Collected()
        report = await self._backend.execute(
            job, _input_of(job, source), sink, progress=progress, dead_letters=dead_letters
        )
        return Result(await sink.columns(), report)

    @asynccontextmanager
    async def stream(
        self,
        job: Job[K, V],
        source: AnySource,
        *,
        progress: ProgressCallback | None = None,
        dead_letters: Path | None = None,
    ) -> AsyncIterator[PairStream[K, V]]:
        """Runs `job` and gives its pairs as each part of them is finished, in bounded memory.

            async with engine.stream(job, source) as pairs:
                async for key, value in pairs: ...

        Leaving the block early cancels the job. The arguments and errors are those of `run`.
        """
        from asyncio import Event

        from asyncmr.actors import TaskScope
        from asyncmr.connectors.streamed import Streamed

        async with self._backend.store() as store, TaskScope() as scope:
            sink = Streamed(store)
            done = Event()
            stream: PairStream[K, V] = PairStream(sink.columns(done))

            async def job_runs() -> None:
                stream._report = await self._backend.execute(
                    job, _input_of(job, source), sink, progress=progress, dead_letters=dead_letters
                )
                done.set()

            scope.spawn(job_runs, name="job")
            async with aclosing(stream):
                yield stream
            scope.cancel()

    @overload
    def start(
        self,
        job: Job,
        source: AnySource,
        output: Path | Sink,
        *,
        format: str = ...,
        resume: Path | None = ...,
        progress: ProgressCallback | None = ...,
        dead_letters: Path | None = ...,
    ) -> AbstractAsyncContextManager[StartedJob[Report]]: ...
    @overload
    def start(
        self,
        job: Job[K, V],
        source: AnySource,
        output: None = None,
        *,
        progress: ProgressCallback | None = ...,
        dead_letters: Path | None = ...,
    ) -> AbstractAsyncContextManager[StartedJob[Result[K, V]]]: ...
    def start(
        self,
        job: Job,
        source: AnySource,
        output: Path | Sink | None = None,
        *,
        format: str = "text",
        resume: Path | None = None,
        progress: ProgressCallback | None = None,
        dead_letters: Path | None = None,
    ) -> AbstractAsyncContextManager[StartedJob[Any]]:
        """Runs `job` beside the block, and gives a handle for it: to look at it, to wait for it, to cancel it.

            async with engine.start(job, source, "out/") as running:
                async for progress in running.updates():
                    print(progress.state, progress.seconds)
                report = await running

        Awaiting the handle gives what `run` returns or, without an `output`, the `Result` of `collect`; or it raises
        what they raise. Any number of tasks may await it.

        The job belongs to the block. Leaving that before the job's end cancels the job, and returns when it is gone. A
        job that fails does not interrupt the block; if nobody has awaited it by the end, its error is raised there.

        The arguments are those of `run` and `collect`.
        """
        from asyncmr.connectors.memory import Collected
        from asyncmr.connectors.outputs import output_of
        from asyncmr.started import started

        name = getattr(job, "title", "")  # what is no job is refused by the engine
        execute = partial(
            self._backend.execute, job, _input_of(job, source), progress=progress, dead_letters=dead_letters
        )
        if output is not None:
            sink, journal = output_of(output, format, resume)
            return started(name, lambda running: execute(sink, journal=journal, running=running))
        if resume is not None or format != "text":
            raise UsageError("resume= and format= are about files; give start() an output folder as well")

        async def collected(running: RunningJob) -> Result[K, V]:
            sink = Collected()
            report = await execute(sink, running=running)
            return Result(await sink.columns(), report)

        return started(name, collected)


def _input_of(job: Job, source: AnySource) -> Source:
    """The source, or the named sources, that a caller means for a job."""
    steps = getattr(job, "steps", ())  # what is no job is refused by the engine
    mapper = steps[0].mapper if steps else None
    if not isinstance(mapper, Mapping) and not isinstance(source, Mapping):
        return source_of(source)
    from asyncmr.connectors.named import named_sources

    return named_sources(getattr(job, "title", ""), mapper, source, source_of)
