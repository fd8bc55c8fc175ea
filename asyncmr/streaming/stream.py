"""A stream: a job that never ends, over feeds that never end, with state that outlives the process."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Self

from asyncmr.engines.local import LocalEngine
from asyncmr.errors import ClosedError, UsageError
from asyncmr.job import Job
from asyncmr.kernel.decoding import TextLines
from asyncmr.protocols import Decoder
from asyncmr.streaming.committed import seconds
from asyncmr.streaming.division import Division
from asyncmr.streaming.failed import FAILED
from asyncmr.streaming.feed import Clock, Feed, SystemClock
from asyncmr.streaming.outputs import Outputs
from asyncmr.streaming.readers import Readers
from asyncmr.streaming.running import Running
from asyncmr.streaming.settings import Settings
from asyncmr.streaming.sink import StreamSink
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.updates import Updates
from asyncmr.streaming.view import StreamStats, Update, WindowInfo
from asyncmr.streaming.windowing import Windowing


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
        self._settings = Settings(
            job,
            Windowing.of(window),
            Division.of(memory, workers, keepers, state_memory),
            state,
            interval=interval,
            keepers=keepers,
            executor=executor,
            max_keys=max_keys,
            skip_limit=skip_limit,
            decoder=decoder or TextLines(),
            clock=clock or SystemClock(),
            durable=durable and state is not None,
            make_store=make_store,
        )
        if hash_key is not None:
            tuning["hash_key"] = hash_key
        engine = LocalEngine(
            workers=workers,
            memory=self._settings.division.engine,
            retries=retries,
            task_timeout=task_timeout,
            setup_timeout=setup_timeout,
            on_error=on_error,
            skip_limit=skip_limit,
            verify=verify,
            executor=executor,
            **tuning,
        )
        self._readers = Readers(feeds, job.title, retries=retries)
        self._updates = Updates()
        outputs = Outputs(tuple(sinks), job.title)
        self._running = Running(self._settings, engine, self._readers, self._updates, outputs)
        self._stack: AsyncExitStack | None = None
        self._entered = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ClosedError("a stream is entered once; make another one with the same state to go on")
        self._entered = True
        async with AsyncExitStack() as stack:
            await self._running.open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        stack, self._stack = self._stack, None
        if stack is None:
            return None
        self._running.committed.stop()
        self._updates.end()
        self._readers.stop()
        return await stack.__aexit__(kind, error, trace)

    def __aiter__(self) -> AsyncGenerator[Update, None]:
        return self.updates()

    def updates(self) -> AsyncGenerator[Update, None]:
        """What each epoch changes, from when the first is asked for; ends when the feeds do.

        None is lost: when eight mebibytes wait for one who iterates, the stream waits, and its feeds with it.
        """
        return self._updates()

    async def top(self, k: int, window: float | None = None) -> list[tuple[Any, Any]]:
        """The `k` keys with the largest values, largest first, equal ones in the order of the key."""
        self._check()
        if k < 1:
            raise UsageError(f"top({k}) asks for no key at all; give 1 or more")
        return await self._running.committed.top(k, window)

    async def get(self, key: Any, window: float | None = None) -> Any:
        """The value of a key; None if it has none.

        Raises:
            KeyTypeError: this can be no key.
        """
        self._check()
        return await self._running.committed.get(key, window)

    async def windows(self) -> list[WindowInfo]:
        """The windows that the state holds, oldest first."""
        self._check()
        return await self._running.committed.windows()

    async def set_aside(self) -> list[tuple[str, bytes]]:
        """Lines that count nowhere, each block with the reason: "late", "untimed" or "ahead", as by their time, or
        "failed", as the mapper did; the latest 64 MiB."""
        self._check()
        return await self._running.committed.set_aside()

    def stats(self) -> StreamStats:
        """How the stream is doing."""
        self._check()
        committed = self._running.committed
        store, now = committed.store, self._settings.clock.time()
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
            watermark=seconds(committed.progress.watermark) if self._settings.windowed else None,
            queues=self._running.queues(),
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
        await self._running.committed.ended.wait()

    async def drain(self) -> None:
        """Reads no more, and returns when all that was read is committed; questions are still answered.

        A feed that others push into is closed, and what it holds counts as read. Windows that are open stay open.
        """
        self._check()
        self._running.committed.stop()
        self._readers.finish()
        await self._running.committed.ended.wait()

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
