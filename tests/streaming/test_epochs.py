"""Epochs are closed and sent on, whenever the feeds end."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from asyncmr.actors import TaskScope, open_channel
from asyncmr.streaming.epochs import Epoch, Epochs
from asyncmr.streaming.feed import Batch, Feed
from asyncmr.streaming.mapping import MappedSplit
from asyncmr.workers import Segments
from tests.streaming.feeds import Instant, Listed
from tests.workers.talking import until


async def test_the_last_epoch_is_closed_if_the_feeds_end_while_it_waits_for_a_worker():
    free = asyncio.Event()

    async def map(split, cut):
        await free.wait()
        return MappedSplit(1, 1, [])

    async def known(feed, token):
        return False

    async with TaskScope() as scope:
        threads = ThreadPoolExecutor(1)
        epochs = Epochs(
            scope,
            Segments(1, 1, threads, shared=False),
            Instant(),
            interval=1.0,
            first=1,
            concurrency=1,
            map=map,
            known=known,
            begin=lambda split: None,
            pane_of=lambda batch: int(batch.partition),
        )
        batches_out, batches_in = open_channel("batches", 1000, tuple[Feed, Batch])
        epochs_out, epochs_in = open_channel("epochs", 1, Epoch)
        scope.spawn(lambda: epochs.collect(batches_in), name="epochs")
        scope.spawn(lambda: epochs.close(epochs_out), name="interval")
        with batches_out:
            for pane in ("0", "1"):  # a split each, and one worker
                await batches_out.send((Listed([]), Batch(b"a\n", pane, None, 0.0)), 2)
            await until(epochs._guard.locked)
        await until(lambda: epochs._ended)
        free.set()
        with epochs_in:
            assert [(epoch.number, len(epoch.cuts)) async for epoch in epochs_in] == [(1, 2)]
