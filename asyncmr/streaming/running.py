"""A stream that runs: all that was opened for it, each on top of the one before, and the actors at work on it.

      batches          splits            runs            changes
    feeds ----> epochs ----> map workers ----> keepers ----> one transaction ----> updates
                  |                                          (state, positions)
               interval

Every arrow is bounded. An epoch is what an interval's batches come to, and is committed whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from asyncmr.actors import Receiver, TaskScope, open_channel
from asyncmr.engines.early import PRELOAD
from asyncmr.engines.local import LocalEngine
from asyncmr.engines.worker_log import WorkerLog
from asyncmr.kernel.paned import PaneCut
from asyncmr.kernel.sketch import Sketch
from asyncmr.pipeline.resources import Resources
from asyncmr.protocols import Split
from asyncmr.storage.disk import Disk
from asyncmr.storage.folder import SpillFolder
from asyncmr.streaming.committed import Committed
from asyncmr.streaming.epochs import Cut, Epoch, Epochs
from asyncmr.streaming.failed import FailureLimit
from asyncmr.streaming.feed import Batch, Feed, Surroundings
from asyncmr.streaming.identity import identity_of
from asyncmr.streaming.keepers import Keepers
from asyncmr.streaming.mapping import MappedSplit, StreamMapper
from asyncmr.streaming.outputs import Outputs
from asyncmr.streaming.progress import Progress
from asyncmr.streaming.readers import Readers
from asyncmr.streaming.settings import Settings
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.totals import Totals
from asyncmr.streaming.updates import Updates
from asyncmr.streaming.view import QueueInfo
from asyncmr.workers import Pool

# What feeds have given and no epoch has taken yet.
_BATCHES = 8 << 20


class Running:
    """What `settings` ask for, on the workers of `engine`. `committed`: the state, once it is open."""

    committed: Committed

    def __init__(
        self, settings: Settings, engine: LocalEngine, readers: Readers, updates: Updates, outputs: Outputs
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._readers = readers
        self._updates = updates
        self._outputs = outputs
        self._queues: list[Callable[[], list[QueueInfo]]] = []

    async def open(self, stack: AsyncExitStack) -> None:
        """Opens everything and starts the actors; `stack` closes what was opened, whatever happens."""
        settings = self._settings
        await stack.enter_async_context(self._engine)
        resources = await stack.enter_async_context(self._engine.lend())
        self._mapper = StreamMapper(
            settings.job, resources, settings.decoder, self._outputs.encoders, settings.windowing.rule
        )
        stack.push_async_exit(self._keep_updates)
        if self._mapper.memory:
            await resources.memory.reserve(self._mapper.memory)
        disk = await stack.enter_async_context(
            Disk(lambda threads, name: self._engine.threads(1, "asyncmr-state"))
        )
        store = await self._open_store(stack, disk, resources)
        around = Surroundings(
            resources.disk,
            settings.clock,
            durable=settings.durable,
            known=lambda feed, token: disk.run(store.has_token, feed, token),
        )
        await self._open_outputs(stack, store, disk, around)
        keepers = await self._open_keepers(stack, store, disk, resources)
        self.committed = Committed(
            store,
            disk,
            keepers,
            mapped=resources.store,
            windowing=settings.windowing,
            progress=await self._progress(store, disk),
            positions=await disk.run(store.positions),
            totals=Totals.restored(await disk.run(store.noted, "totals")),
            left_out=Sketch.of_text(await disk.run(store.noted, "left out")),
            updates=self._updates,
            limit=FailureLimit(settings.job.title, settings.skip_limit),
            outputs=self._outputs,
            clock=settings.clock,
        )
        scope = await stack.enter_async_context(TaskScope())
        self._start(scope, store, resources, around)

    def queues(self) -> tuple[QueueInfo, ...]:
        """How full the queue of each actor is."""
        return tuple(info for queues in self._queues for info in queues())

    async def _open_store(self, stack: AsyncExitStack, disk: Disk, resources: Resources) -> StateStore:
        settings = self._settings
        folder = settings.folder
        if folder is None:
            private = SpillFolder()  # if this process is killed, the next engine sweeps it
            stack.push_async_callback(disk.run, private.leave)
            folder = os.path.join(await disk.run(private.open), "state")
        store = settings.make_store(folder, durable=settings.durable)
        identity = identity_of(settings.job, settings.windowing, settings.decoder, resources.hasher)
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

    async def _open_keepers(
        self, stack: AsyncExitStack, store: StateStore, disk: Disk, resources: Resources
    ) -> Keepers:
        settings = self._settings
        log = WorkerLog()
        stack.push_async_callback(log.flush)
        pool = await stack.enter_async_context(
            Pool(
                settings.keepers,
                settings.executor,
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
            self._mapper.program,
            self._mapper.partitioning,
            job=settings.job.title,
            store=store,
            disk=disk,
            blocks=resources.store,
            tolerance=resources.tolerance,
            room=settings.division.tables,
            most=settings.max_keys,
        )
        stack.push_async_callback(keepers.close)
        await keepers.load()
        return keepers

    async def _keep_updates(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._updates.keep()

    async def _progress(self, store: StateStore, disk: Disk) -> Progress:
        idle = self._settings.windowing.idle_ms / 1000
        saved = await disk.run(store.noted, "time")
        if saved is None:
            return Progress(idle=idle)
        return Progress.restored(saved, idle=idle, now=self._settings.clock.time())

    def _start(self, scope: TaskScope, store: StateStore, resources: Resources, around: Surroundings) -> None:
        settings = self._settings
        epochs = Epochs(
            scope,
            resources.pool.segments,
            settings.clock,
            interval=settings.interval,
            first=store.epoch + 1,
            concurrency=resources.pool.workers + 1,
            map=self._map,
            known=around.known,
            begin=self.committed.progress.begin,
            pane_of=self._pane_of,
            ticks=settings.windowed,
            most=settings.division.epoch,
        )
        batches_out, batches_in = open_channel("batches", _BATCHES, tuple[Feed, Batch])
        epochs_out, epochs_in = open_channel("epochs", 1, Epoch)
        self._queues = [
            partial(_queue, batches_in),
            epochs.queues,
            partial(_queue, epochs_in),
            self.committed.queues,
            lambda: [self._updates.queue()],
        ]
        self._readers.start(scope, self.committed.positions, around, batches_out)
        scope.spawn(lambda: epochs.collect(batches_in), name="epochs")
        scope.spawn(lambda: epochs.close(epochs_out), name="interval")
        scope.spawn(lambda: self.committed.take(epochs, epochs_in), name="commit")

    def _pane_of(self, batch: Batch) -> int:
        """The pane of all lines of a batch; any one where each line has a time of its own."""
        windowing = self._settings.windowing
        return (
            0
            if windowing.rule is not None
            else windowing.pane_at(batch.time, self.committed.progress.watermark)
        )

    async def _map(self, split: Split, cut: Cut) -> MappedSplit:
        windowing = self._settings.windowing
        if windowing.rule is None:
            return await self._mapper.map(split, cut.pane)
        believed = windowing.believed(self._settings.clock.time())
        sections = tuple(end for _, end in cut.sections)
        return await self._mapper.map(split, PaneCut(windowing.open_from(cut.told), believed, sections))


def _queue(end: Receiver[Any]) -> list[QueueInfo]:
    stats = end.stats()
    return [QueueInfo(stats.name, stats.bytes, stats.capacity)]
