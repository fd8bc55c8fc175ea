"""A stream: a job that never ends, over feeds that never end, with state that outlives the process.

      batches          splits            runs            changes
    feeds ----> epochs ----> map workers ----> keepers ----> one transaction ----> updates
                  |                                          (state, positions)
               interval

Every arrow is bounded. An epoch is what an interval's batches come to, and is committed whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from asyncmr.actors import Receiver, TaskScope, open_channel
from asyncmr.engines.early import PRELOAD
from asyncmr.engines.local import LocalEngine
from asyncmr.engines.worker_log import WorkerLog
from asyncmr.errors import ClosedError, UsageError
from asyncmr.job import Job
from asyncmr.kernel.decoding import TextLines
from asyncmr.kernel.paned import PaneCut
from asyncmr.kernel.sketch import Sketch
from asyncmr.pipeline.resources import Resources
from asyncmr.protocols import Decoder, Split
from asyncmr.storage.disk import Disk
from asyncmr.storage.folder import SpillFolder
from asyncmr.streaming.committed import Committed, seconds
from asyncmr.streaming.division import Division
from asyncmr.streaming.epochs import Cut, Epoch, Epochs
from asyncmr.streaming.failed import FAILED, FailureLimit
from asyncmr.streaming.feed import Batch, Clock, Feed, Surroundings, SystemClock
from asyncmr.streaming.identity import identity_of
from asyncmr.streaming.keepers import Keepers
from asyncmr.streaming.mapping import MappedSplit, StreamMapper, key_groups, streamable
from asyncmr.streaming.outputs import Outputs
from asyncmr.streaming.progress import Progress
from asyncmr.streaming.readers import Readers
from asyncmr.streaming.sink import StreamSink
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.totals import Totals
from asyncmr.streaming.updates import Updates
from asyncmr.streaming.view import QueueInfo, StreamStats, Update, WindowInfo
from asyncmr.streaming.windowing import Windowing
from asyncmr.streaming.windows import RunningTotals
from asyncmr.workers import Pool

# What feeds have given and no epoch has taken yet.
_BATCHES = 8 << 20


class Stream:
    """A job over endless feeds. Use it as `async with Stream(job, feeds) as stream:`.

        async with asyncmr.streaming.Stream(wordcount, [feed], state="counts") as stream:
            async for update in stream:
                print(update.epoch, len(update.changes))
                print(await stream.top(3))

    `job`: one mapper, and a fold or an aggregator; `partitions` is how many key groups its state is divided into (64),
    which is fixed when the state is made. `feeds`: where lines come from (`Feed`), each with a name of its own.
    `state`: the folder of the state, made if it is not there. A stream goes on where the last one with this
    folder was committed; without, it begins anew, and its state is gone with it.
    `window`: what the values are of, as `Windowing.of` takes it: "1m", "10m/1m", "1m event json:time"; by default all
    time. `sinks`: where what changes is written, exactly once (`JsonLinesFile`).
    `interval`: seconds after which what was read is committed. `workers`, `retries`, `task_timeout`, `setup_timeout`,
    `verify` (where lines are mapped), `executor` and `hash_key`: as for `Engine`. `keepers`: how many more processes
    hold the state; this and `workers` may be others at each start. `memory`: what all of them may use; keepers get
    three quarters of what the workers leave. `state_memory`: the tables of all keepers take so much of it, half of that
    by default; keys for which there is no room are on disk. `max_keys`: so many keys are kept, in each pane of time
    where there are windows; new ones beyond that are left out, and counted (`StreamStats.overflow`). `on_error`: with
    "skip" a line on which the mapper raises, hangs or dies is set aside, instead of ending the stream; `skip_limit`: at
    most so many in the life of the state. `decoder`: what makes records of lines. `durable`: an epoch is forced to the
    disk when it is committed, so that no power failure takes it back; without, only the death of the process does not.

    Leaving the block stops the feeds, commits what they gave, and closes the state. When the block is left by an error
    or a cancellation, what was not committed is dropped, to be read again. A feed that fails is read again, `retries`
    times in a row; if it goes on failing, or the job fails, the block is cancelled and raises why. No signal handler is
    installed.

    Raises:
        UsageError: the job cannot be streamed, or two feeds have one name.
        MemoryBudgetError: `memory` is too little for so many workers and keepers.
        ResumeError: the folder is in use, or holds the state of another job; a sink is not what was committed.
        InputError: a feed failed; `UserCodeError`: a function of the job raised.
        StorageError: the state or a sink cannot be read or written.
        WorkerDied, TaskTimeout: the retries are used up; `SkipLimitError`: so is what may be skipped.
    """

    def __init__(
        self,
        job: Job,
        feeds: Sequence[Feed],
        *,
        sinks: Sequence[StreamSink] = (),
        window: str | Windowing | None = None,
        state: str | os.PathLike[str] | None = None,
        interval: float = 0.2,
        workers: int | None = None,
        memory: int | str | None = None,
        keepers: int = 1,
        retries: int = 3,
        task_timeout: float | None = None,
        setup_timeout: float | None = None,
        on_error: Literal["fail", "skip"] = "fail",
        skip_limit: int | None = None,
        verify: float = 0.0,
        executor: Literal["process", "thread", "inline"] = "process",
        hash_key: int | None = None,
        decoder: Decoder | None = None,
        clock: Clock | None = None,
        durable: bool = True,
        max_keys: int | None = None,
        state_memory: int | str | None = None,
        make_store: Callable[..., StateStore] = StateStore,
        **tuning: Any,
    ) -> None:
        streamable(job)
        self._job = job
        self._windowing = Windowing.of(window)
        self._windowed = not isinstance(self._windowing.windows, RunningTotals)
        if not interval > 0:
            raise UsageError(f"interval={interval} is no time; give seconds between two commits, 0.2 say")
        if isinstance(skip_limit, float):
            raise UsageError(
                f"skip_limit={skip_limit} is a share, and of a stream nobody knows the whole; give a number, for the "
                "life of the state, or None for any"
            )
        if keepers < 1:
            raise UsageError(f"keepers={keepers} leaves the state without a process; give at least 1")
        if max_keys is not None and max_keys < key_groups(job):
            raise UsageError(
                f"max_keys={max_keys} is less than one key for each of the {key_groups(job)} key groups that the state "
                "is divided into; give more, or the job fewer partitions="
            )
        self._max_keys = max_keys
        self._division = Division.of(memory, workers, keepers, state_memory)
        self._folder = None if state is None else os.fspath(state)
        self._interval = interval
        self._skip_limit = skip_limit
        self._keeper_count = keepers
        self._executor: Literal["process", "thread", "inline"] = executor
        self._decoder = decoder or TextLines()
        self._clock = clock or SystemClock()
        self._durable = durable and state is not None
        self._make_store = make_store
        if hash_key is not None:
            tuning["hash_key"] = hash_key
        self._engine = LocalEngine(
            workers=workers,
            memory=self._division.engine,
            retries=retries,
            task_timeout=task_timeout,
            setup_timeout=setup_timeout,
            on_error=on_error,
            skip_limit=skip_limit,
            verify=verify,
            executor=executor,
            **tuning,
        )
        self._stack: AsyncExitStack | None = None
        self._entered = False
        self._readers = Readers(feeds, job.title, retries=retries)
        self._updates = Updates()
        self._outputs = Outputs(tuple(sinks), job.title)
        self._queues: list[Callable[[], list[QueueInfo]]] = []

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ClosedError("a stream is entered once; make another one with the same state to go on")
        self._entered = True
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._engine)
            resources = await stack.enter_async_context(self._engine.lend())
            mapper = StreamMapper(
                self._job, resources, self._decoder, self._outputs.encoders, self._windowing.rule
            )
            stack.push_async_exit(self._keep_updates)
            if mapper.memory:
                await resources.memory.reserve(mapper.memory)
            disk = await stack.enter_async_context(
                Disk(lambda threads, name: self._engine.threads(1, "asyncmr-state"))
            )
            store = await self._open(stack, disk, resources)
            around = Surroundings(
                resources.disk,
                self._clock,
                durable=self._durable,
                known=lambda feed, token: disk.run(store.has_token, feed, token),
            )
            await self._open_outputs(stack, store, disk, around)
            log = WorkerLog()
            stack.push_async_callback(log.flush)
            pool = await stack.enter_async_context(
                Pool(
                    self._keeper_count,
                    self._executor,
                    resources.limits.split,
                    all_needed=True,
                    preload=PRELOAD,
                    on_output=log.take,
                    slots=self._engine.slots,
                    threads=self._engine.threads,
                )
            )
            keepers = Keepers(
                pool,
                mapper.program,
                mapper.partitioning,
                job=self._job.title,
                store=store,
                disk=disk,
                blocks=resources.store,
                tolerance=resources.tolerance,
                room=self._division.tables,
                most=self._max_keys,
            )
            stack.push_async_callback(keepers.close)
            await keepers.load()
            self._committed = Committed(
                store,
                disk,
                keepers,
                mapped=resources.store,
                windowing=self._windowing,
                progress=await self._progress(store, disk),
                positions=await disk.run(store.positions),
                totals=Totals.restored(await disk.run(store.noted, "totals")),
                left_out=Sketch.of_text(await disk.run(store.noted, "left out")),
                updates=self._updates,
                limit=FailureLimit(self._job.title, self._skip_limit),
                outputs=self._outputs,
                clock=self._clock,
            )
            self._mapper = mapper
            self._scope = await stack.enter_async_context(TaskScope())
            self._start(store, disk, resources, around)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        stack, self._stack = self._stack, None
        if stack is None:
            return None
        self._committed.stop()
        self._updates.end()
        self._readers.stop()
        return await stack.__aexit__(kind, error, trace)

    async def _open(self, stack: AsyncExitStack, disk: Disk, resources: Resources) -> StateStore:
        folder = self._folder
        if folder is None:
            private = SpillFolder()  # if this process is killed, the next engine sweeps it
            stack.push_async_callback(disk.run, private.leave)
            folder = os.path.join(await disk.run(private.open), "state")
        store = self._make_store(folder, durable=self._durable)
        identity = identity_of(self._job, self._windowing, self._decoder, resources.hasher)
        # First, since whoever is cancelled while it is opened is told so when it is open.
        stack.push_async_callback(disk.run, store.close)
        await disk.run(store.open, identity)
        return store

    async def _open_outputs(
        self, stack: AsyncExitStack, store: StateStore, disk: Disk, around: Surroundings
    ) -> None:
        stack.push_async_callback(self._outputs.close)
        if await self._outputs.open(await disk.run(store.noted, "sinks") or {}, around):
            await disk.run(store.note, {"sinks": self._outputs.positions})

    async def _keep_updates(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._updates.keep()

    async def _progress(self, store: StateStore, disk: Disk) -> Progress:
        idle = self._windowing.idle_ms / 1000
        saved = await disk.run(store.noted, "time")
        if saved is None:
            return Progress(idle=idle)
        return Progress.restored(saved, idle=idle, now=self._clock.time())

    def _start(self, store: StateStore, disk: Disk, resources: Resources, around: Surroundings) -> None:
        epochs = Epochs(
            self._scope,
            resources.pool.segments,
            self._clock,
            interval=self._interval,
            first=store.epoch + 1,
            concurrency=resources.pool.workers + 1,
            map=self._map,
            known=around.known,
            begin=self._committed.progress.begin,
            pane_of=self._pane_of,
            ticks=self._windowed,
            most=self._division.epoch,
        )
        batches_out, batches_in = open_channel("batches", _BATCHES, tuple[Feed, Batch])
        epochs_out, epochs_in = open_channel("epochs", 1, Epoch)
        self._queues = [
            partial(_queue, batches_in),
            epochs.queues,
            partial(_queue, epochs_in),
            self._committed.queues,
            lambda: [self._updates.queue()],
        ]
        self._readers.start(self._scope, self._committed.positions, around, batches_out)
        self._scope.spawn(lambda: epochs.collect(batches_in), name="epochs")
        self._scope.spawn(lambda: epochs.close(epochs_out), name="interval")
        self._scope.spawn(lambda: self._committed.take(epochs, epochs_in), name="commit")

    def _pane_of(self, batch: Batch) -> int:
        """The pane of all lines of a batch; any one where each line has a time of its own."""
        windowing = self._windowing
        return (
            0
            if windowing.rule is not None
            else windowing.pane_at(batch.time, self._committed.progress.watermark)
        )

    async def _map(self, split: Split, cut: Cut) -> MappedSplit:
        windowing = self._windowing
        if windowing.rule is None:
            return await self._mapper.map(split, cut.pane)
        believed = windowing.believed(self._clock.time())
        sections = tuple(end for _, end in cut.sections)
        return await self._mapper.map(split, PaneCut(windowing.open_from(cut.told), believed, sections))

    def __aiter__(self) -> AsyncGenerator[Update, None]:
        return self.updates()

    def updates(self) -> AsyncGenerator[Update, None]:
        """What each epoch changes, from now on; ends when the feeds do.

        None is lost: when eight mebibytes wait for one who iterates, the stream waits, and its feeds with it.
        """
        return self._updates()

    async def top(self, k: int, window: float | None = None) -> list[tuple[Any, Any]]:
        """The `k` keys with the largest values, largest first, equal ones in the order of the key."""
        self._check()
        if k < 1:
            raise UsageError(f"top({k}) asks for no key at all; give 1 or more")
        return await self._committed.top(k, window)

    async def get(self, key: Any, window: float | None = None) -> Any:
        """The value of a key; None if it has none.

        Raises:
            KeyTypeError: this can be no key.
        """
        self._check()
        return await self._committed.get(key, window)

    async def windows(self) -> list[WindowInfo]:
        """The windows that the state holds, oldest first."""
        self._check()
        return await self._committed.windows()

    async def set_aside(self) -> list[tuple[str, bytes]]:
        """Lines that count nowhere, each block with the reason: "late", "untimed" or "ahead", as by their time, or
        "failed", as the mapper did; the latest 64 MiB."""
        self._check()
        return await self._committed.set_aside()

    def stats(self) -> StreamStats:
        """How the stream is doing."""
        self._check()
        committed = self._committed
        store, now = committed.store, self._clock.time()
        return StreamStats(
            epoch=store.epoch,
            committed_at=store.time,
            records=store.records,
            bytes=store.bytes,
            records_per_second=committed.records_rate.per_second(now),
            keys=committed.keys,
            cold_keys=store.cold_keys,
            overflow=committed.overflow,
            pairs=committed.totals.pairs,
            pairs_per_second=committed.pairs_rate.per_second(now),
            checkpoint_age=None if store.time is None else max(0.0, now - store.time),
            commit_seconds=committed.commit_seconds,
            late=store.aside.get("late", 0),
            skipped=store.aside.get(FAILED, 0),
            counters=committed.totals.counters,
            watermark=seconds(committed.progress.watermark) if self._windowed else None,
            queues=tuple(info for queues in self._queues for info in queues()),
            state_bytes=store.size,
            sources=self._readers.infos(committed.positions),
        )

    async def listening(self) -> None:
        """Returns when the feeds that others connect to, such as `TCPFeed`, can be connected to."""
        self._check()
        await self._readers.listening()

    async def join(self) -> None:
        """Returns when every feed has ended, and all that they gave is committed."""
        self._check()
        await self._committed.ended.wait()

    async def drain(self) -> None:
        """Reads no more, and returns when all that was read is committed; questions are still answered.

        A feed that others push into is closed, and what it holds counts as read. Windows that are open stay open.
        """
        self._check()
        self._committed.stop()
        self._readers.finish()
        await self._committed.ended.wait()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[Mapping[str, Any]]:
        """The stream runs as long as a web application: `Starlette(lifespan=stream.lifespan)`, also for FastAPI.

        Requests find it as `request.state.stream`.
        """
        async with self:
            yield {"stream": self}

    def _check(self) -> None:
        if self._stack is None:
            raise ClosedError("this stream is not open; use it as `async with Stream(...) as stream:`")


def _queue(end: Receiver[Any]) -> list[QueueInfo]:
    stats = end.stats()
    return [QueueInfo(stats.name, stats.bytes, stats.capacity)]
