"""A stream: a job that never ends, over feeds that never end, with state that outlives the process.

      batches          splits            runs            changes
    feeds ----> epochs ----> map workers ----> keepers ----> one transaction ----> updates
                  |                                          (state, positions)
               interval

Every arrow is bounded. An epoch is what an interval's batches come to, and is committed whole or not at all.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from anyio import CancelScope

from asyncmr.actors import Receiver, Sender, TaskScope, open_channel
from asyncmr.engines.early import PRELOAD
from asyncmr.engines.local import LocalEngine
from asyncmr.engines.worker_log import WorkerLog
from asyncmr.errors import AsyncMRError, ClosedError, InputError, UsageError
from asyncmr.job import Job
from asyncmr.kernel.decoding import TextLines
from asyncmr.pipeline.fingerprint import described, encoding
from asyncmr.pipeline.resources import Resources
from asyncmr.protocols import Decoder, Split
from asyncmr.storage.disk import Disk
from asyncmr.streaming.emission import is_final
from asyncmr.streaming.epochs import Cut, Epoch, Epochs
from asyncmr.streaming.feed import Batch, Clock, Feed, Surroundings, SystemClock
from asyncmr.streaming.keepers import Keepers
from asyncmr.streaming.mapping import MappedSplit, StreamMapper, streamable
from asyncmr.streaming.progress import Moved, Progress
from asyncmr.streaming.store import Commit, StateStore
from asyncmr.streaming.updates import Blocks, Changed, Updates
from asyncmr.streaming.view import QueueInfo, SourceInfo, StreamStats, Update, WindowInfo
from asyncmr.streaming.windowing import Windowing
from asyncmr.streaming.windows import RunningTotals, Window
from asyncmr.workers import Pool

# What feeds have given and no epoch has taken yet.
_BATCHES = 8 << 20
# Records a second are those of so many seconds.
_RATE_SECONDS = 5.0


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
    time.
    `interval`: seconds after which what was read is committed. `workers`, `memory`, `retries`, `task_timeout`,
    `setup_timeout`, `executor` and `hash_key`: as for `Engine`. `keepers`: how many more processes hold the state; this
    and `workers` may be others at each start. `decoder`: what makes records of lines. `durable`: an epoch is forced to
    the disk when it is committed, so that no power failure takes it back; without, only the death of the process does
    not.

    Leaving the block stops the feeds, commits what they gave, and closes the state. When the block is left by an error
    or a cancellation, what was not committed is dropped, to be read again. If a feed or the job fails, the block is
    cancelled and raises why. No signal handler is installed.

    Raises:
        UsageError: the job cannot be streamed, or two feeds have one name.
        ResumeError: the folder is in use, or holds the state of another job.
        InputError: a feed failed; `UserCodeError`: a function of the job raised.
        StorageError: the state cannot be read or written.
        WorkerDied, TaskTimeout: the retries are used up.
    """

    def __init__(
        self,
        job: Job,
        feeds: Sequence[Feed],
        *,
        window: str | Windowing | None = None,
        state: str | os.PathLike[str] | None = None,
        interval: float = 0.2,
        workers: int | None = None,
        memory: int | str | None = None,
        keepers: int = 1,
        retries: int = 3,
        task_timeout: float | None = None,
        setup_timeout: float | None = None,
        executor: Literal["process", "thread", "inline"] = "process",
        hash_key: int | None = None,
        decoder: Decoder | None = None,
        clock: Clock | None = None,
        durable: bool = True,
        make_store: Callable[..., StateStore] = StateStore,
    ) -> None:
        streamable(job)
        self._job = job
        self._feeds = tuple(feeds)
        self._windowing = Windowing.of(window)
        self._windowed = not isinstance(self._windowing.windows, RunningTotals)
        names = [feed.name for feed in self._feeds]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(
                f"two feeds are called {min(twice)!r}, and positions are kept by that name; give each its own"
            )
        if not interval > 0:
            raise UsageError(f"interval={interval} is no time; give seconds between two commits, 0.2 say")
        if keepers < 1:
            raise UsageError(f"keepers={keepers} leaves the state without a process; give at least 1")
        self._folder = None if state is None else os.fspath(state)
        self._interval = interval
        self._keeper_count = keepers
        self._executor: Literal["process", "thread", "inline"] = executor
        self._decoder = decoder or TextLines()
        self._clock = clock or SystemClock()
        self._durable = durable and state is not None
        self._make_store = make_store
        tuning: dict[str, Any] = {} if hash_key is None else {"hash_key": hash_key}
        self._engine = LocalEngine(
            workers=workers,
            memory=memory,
            retries=retries,
            task_timeout=task_timeout,
            setup_timeout=setup_timeout,
            executor=executor,
            **tuning,
        )
        self._stack: AsyncExitStack | None = None
        self._entered = False
        self._reading: list[CancelScope] = []
        self._turn = asyncio.Lock()  # of the keepers: an answer is never of an epoch that may yet be lost
        self._updates = Updates()
        self._ended = asyncio.Event()
        self._rates: deque[tuple[float, int]] = deque()
        self._queues: list[Callable[[], QueueInfo]] = []

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ClosedError("a stream is entered once; make another one with the same state to go on")
        self._entered = True
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._engine)
            resources = await stack.enter_async_context(self._engine.lend())
            mapper = StreamMapper(self._job, resources, self._decoder)
            if mapper.memory:
                await resources.memory.reserve(mapper.memory)
            self._state_disk = await stack.enter_async_context(
                Disk(lambda threads, name: ThreadPoolExecutor(1, "asyncmr-state"))
            )
            await self._open(stack, mapper, resources)
            log = WorkerLog()
            stack.push_async_callback(log.flush)
            pool = await stack.enter_async_context(
                Pool(
                    self._keeper_count,
                    self._executor,
                    resources.limits.split,
                    preload=PRELOAD,
                    on_output=log.take,
                )
            )
            self._keepers = Keepers(
                pool,
                mapper.program,
                mapper.partitioning,
                job=self._job.title,
                store=self._store,
                disk=self._state_disk,
                blocks=resources.store,
                tolerance=resources.tolerance,
            )
            stack.push_async_callback(self._keepers.close)
            await self._keepers.load()
            self._positions = await self._state_disk.run(self._store.positions)
            idle = self._windowing.idle_ms / 1000
            saved = await self._state_disk.run(self._store.noted, "time")
            self._progress = (
                Progress(idle=idle)
                if saved is None
                else Progress.restored(saved, idle=idle, now=self._clock.time())
            )
            self._mapper = mapper
            self._resources = resources
            self._scope = await stack.enter_async_context(TaskScope())
            self._start(mapper, resources)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        stack, self._stack = self._stack, None
        if stack is None:
            return None
        self._updates.end()
        for scope in self._reading:
            scope.cancel()
        return await stack.__aexit__(kind, error, trace)

    async def _open(self, stack: AsyncExitStack, mapper: StreamMapper, resources: Resources) -> None:
        folder, disk = self._folder, self._state_disk
        if folder is None:
            folder = await disk.run(tempfile.mkdtemp, prefix="asyncmr-state-")
            stack.push_async_callback(disk.run, shutil.rmtree, folder, ignore_errors=True)
        self._store = self._make_store(folder, durable=self._durable)
        identity = {
            **encoding(resources.hasher),
            **described(self._job),
            "the number of key groups": str(mapper.partitioning.partitions),
            "the format of the input": repr(self._decoder),
            **self._windowing.fingerprint(),
        }
        await disk.run(self._store.open, identity)
        stack.push_async_callback(disk.run, self._store.close)

    def _start(self, mapper: StreamMapper, resources: Resources) -> None:
        disk = self._state_disk
        epochs = Epochs(
            self._scope,
            resources.pool.segments,
            self._clock,
            interval=self._interval,
            first=self._store.epoch + 1,
            concurrency=resources.pool.workers + 1,
            map=self._map,
            known=lambda feed, token: disk.run(self._store.has_token, feed, token),
            begin=self._progress.begin,
            pane_of=self._pane_of,
            ticks=self._windowed,
        )
        batches_out, batches_in = open_channel("batches", _BATCHES, tuple[Feed, Batch])
        epochs_out, epochs_in = open_channel("epochs", 1, Epoch)
        for end in (batches_in, epochs_in):
            self._queues.append(partial(_queue, end))
        around = Surroundings(resources.disk, self._clock)
        with batches_out:
            for feed in self._feeds:
                scope = CancelScope()
                self._reading.append(scope)
                read = partial(self._read, feed, around, batches_out.clone(), scope)
                self._scope.spawn(read, name=f"feed {feed.name}")
        self._scope.spawn(lambda: epochs.collect(batches_in), name="epochs")
        self._scope.spawn(lambda: epochs.close(epochs_out), name="interval")
        self._scope.spawn(lambda: self._commit_all(epochs, epochs_in), name="commit")

    async def _read(
        self, feed: Feed, around: Surroundings, outlet: Sender[tuple[Feed, Batch]], scope: CancelScope
    ) -> None:
        with outlet:
            try:
                with scope:
                    async with aclosing(feed.batches(self._positions.get(feed.name, {}), around)) as batches:
                        async for batch in batches:
                            await outlet.send((feed, batch), len(batch.data))
            except AsyncMRError as error:
                error.add_note(f"in the feed {feed.name!r} of job {self._job.title!r}")
                raise
            except Exception as error:
                raise InputError(
                    f"job {self._job.title!r}: the feed {feed.name!r} raised {type(error).__name__}: {error}; what it "
                    "gave before is committed or will be read again"
                ) from error

    def _pane_of(self, batch: Batch) -> int:
        """The pane of all lines of a batch; any one where each line has a time of its own."""
        windowing = self._windowing
        return 0 if windowing.rule is not None else windowing.pane_at(batch.time, self._progress.watermark)

    async def _map(self, split: Split, cut: Cut) -> MappedSplit:
        windowing = self._windowing
        if windowing.rule is None:
            return await self._mapper.map(split, cut.pane)
        return await self._mapper.map_panes(
            split,
            windowing.rule,
            open_from=windowing.open_from(cut.told),
            believed=windowing.believed(self._clock.time()),
            sections=[end for _, end in cut.sections],
        )

    async def _commit_all(self, epochs: Epochs, inlet: Receiver[Epoch]) -> None:
        number = self._store.epoch
        with inlet:
            async for epoch in inlet:
                for cut in epoch.cuts:
                    await cut.done.wait()
                number = epoch.number
                blocks = await self._commit(epoch, self._moved(epoch))
                epochs.committed(epoch)
                for tell in epoch.told:
                    tell()
                await self._updates.publish(number, blocks)
        if self._windowed and self._stack is not None:  # the feeds have ended, rather than been stopped
            moved = self._progress.finish(self._windowing.ended(self._keepers.panes))
            await self._updates.publish(number + 1, await self._commit(Epoch(number + 1), moved))
        self._updates.end()
        self._ended.set()

    def _moved(self, epoch: Epoch) -> Moved:
        """How far the epoch brings time."""
        now = self._clock.time()
        latest: dict[tuple[str, str], int | None] = {}
        if self._windowing.rule is None:
            latest["", "clock"] = math.floor(now * 1000)
        for cut in epoch.cuts:
            for (place, _), time in zip(cut.sections, cut.mapped.latest if cut.mapped else (), strict=False):
                before = latest.get(place)
                latest[place] = before if time is None else time if before is None else max(before, time)
        return self._progress.commit([cut.number for cut in epoch.cuts], latest, now)

    async def _commit(self, epoch: Epoch, moved: Moved) -> Blocks:
        store, disk, windowing = self._store, self._state_disk, self._windowing
        splits = [cut.mapped for cut in epoch.cuts if cut.mapped is not None]
        mapped = [paned for split in splits for paned in split.panes]
        panes = sorted({*self._keepers.panes, *(pane for pane, _ in mapped)})
        final = windowing.final(panes, *moved)
        expired = windowing.expired(panes, moved.after)
        if not (mapped or epoch.positions or epoch.tokens or final or expired):
            return []
        wanted: list[Window] = []
        if self._updates.wanted:
            changed = windowing.changed({pane for pane, _ in mapped}) if windowing.emit == "updates" else []
            wanted = [*(window for window in changed if window not in final), *final]
        async with self._turn:
            specs = [(self._panes_of(window, panes), window in final) for window in wanted]
            changes = await self._keepers.apply(mapped, store.outgrown(), specs)
            commit = Commit(
                epoch.number,
                self._clock.time(),
                records=sum(split.records for split in splits),
                bytes=epoch.bytes,
                deltas=[delta for delta in changes.deltas if delta.place[1] not in expired],
                positions=epoch.positions,
                tokens=epoch.tokens,
                dropped=expired,
                aside=[aside for split in splits for aside in split.aside],
                notes={"time": self._progress.saved()} if self._windowed else {},
            )
            await disk.run(store.commit, commit)
            if expired:
                await self._keepers.drop(expired)
        for _, one in mapped:
            for pieces in one.stored:
                self._resources.store.free(pieces.block)
        for (feed, partition), position in epoch.positions.items():
            self._positions.setdefault(feed, {})[partition] = position
        self._rates.append((commit.time, commit.records))
        while self._rates[0][0] < commit.time - _RATE_SECONDS:
            self._rates.popleft()
        return [
            Changed(_seconds(window.start), window in final, changes.results.get(index, []))
            for index, window in enumerate(wanted)
        ]

    def _panes_of(self, window: Window, panes: Sequence[int]) -> list[int]:
        """Those of these panes that are in a window."""
        of = self._windowing.windows.panes_of(window)
        return [pane for pane in panes if pane in of]

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
        async with self._turn:
            return await self._keepers.top(k, self._panes(window))

    async def get(self, key: Any, window: float | None = None) -> Any:
        """The value of a key; None if it has none.

        Raises:
            KeyTypeError: this can be no key.
        """
        self._check()
        async with self._turn:
            return await self._keepers.get(key, self._panes(window))

    async def windows(self) -> list[WindowInfo]:
        """The windows that the state holds, oldest first; keys that are in several panes of a window count in each."""
        self._check()
        frontier = self._windowing.frontier(self._progress.final)
        keys: dict[int, int] = {}
        for (_, pane), number in self._keepers.keys.items():
            keys[pane] = keys.get(pane, 0) + number
        return [
            WindowInfo(
                _seconds(window.start),
                _seconds(window.end),
                sum(keys[pane] for pane in self._panes_of(window, sorted(keys))),
                "closed" if is_final(window, frontier) else "open",
            )
            for window in self._windowing.windows.over(sorted(keys))
        ]

    async def set_aside(self) -> list[tuple[str, bytes]]:
        """Lines that count nowhere, each block with the reason: "late", "untimed" or "ahead"; the latest 64 MiB."""
        self._check()
        return await self._state_disk.run(self._store.set_aside)

    def stats(self) -> StreamStats:
        """How the stream is doing."""
        self._check()
        store = self._store
        seconds = self._clock.time() - self._rates[0][0] if self._rates else 0.0
        records = sum(records for _, records in self._rates)
        return StreamStats(
            epoch=store.epoch,
            committed_at=store.time,
            records=store.records,
            bytes=store.bytes,
            records_per_second=records / max(seconds, self._interval),
            keys=sum(self._keepers.keys.values()),
            late=store.aside.get("late", 0),
            watermark=_seconds(self._progress.watermark) if self._windowed else None,
            queues=tuple(queue() for queue in self._queues),
            state_bytes=store.size,
            sources=tuple(map(self._source, self._feeds)),
        )

    async def join(self) -> None:
        """Returns when every feed has ended, and all that they gave is committed."""
        self._check()
        await self._ended.wait()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[Mapping[str, Any]]:
        """The stream runs as long as a web application: `Starlette(lifespan=stream.lifespan)`, also for FastAPI.

        Requests find it as `request.state.stream`.
        """
        async with self:
            yield {"stream": self}

    def _panes(self, start: float | None) -> list[int]:
        """The panes of the window that starts then; by default of the latest."""
        panes = self._keepers.panes
        windows = self._windowing.windows.over(panes)
        if not self._windowed and start is not None:
            raise UsageError(f"window={start}: this stream has no windows, but running totals; leave it out")
        found = windows[-1:] if start is None else [w for w in windows if _seconds(w.start) == start]
        return self._panes_of(found[0], panes) if found else []

    def _source(self, feed: Feed) -> SourceInfo:
        positions = self._positions.get(feed.name, {})
        lag, place = getattr(feed, "lag", None), getattr(feed, "place", None)
        text = ", ".join(f"{partition}: {position}" for partition, position in sorted(positions.items())[:3])
        return SourceInfo(
            feed.name,
            feed.guarantee,
            len(positions),
            place(positions) if callable(place) else text,
            lag() if callable(lag) else lag,
        )

    def _check(self) -> None:
        if self._stack is None:
            raise ClosedError("this stream is not open; use it as `async with Stream(...) as stream:`")


def _queue(end: Receiver[Any]) -> QueueInfo:
    stats = end.stats()
    return QueueInfo(stats.name, stats.bytes, stats.capacity)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
