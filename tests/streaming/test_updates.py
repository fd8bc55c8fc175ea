"""What those who iterate a stream are told."""

from __future__ import annotations

import asyncio
import operator

from asyncmr import Job
from asyncmr.streaming import Stream
from tests.streaming.feeds import Instant, Listed


def words(_key, line):
    return [(word, 1) for word in line.split()]


COUNT = Job(mapper=words, fold=operator.add, partitions=7)
MANY = [f"w{number}" for number in range(20_000)]


def stream(batches, **options):
    return Stream(COUNT, [Listed(batches)], executor="inline", workers=1, clock=Instant(), **options)


async def told(batches, **options):
    async with stream(batches, **options) as running:
        return [update async for update in running]


async def test_an_epoch_that_changes_many_keys_is_told_in_several_updates():
    updates = await told([" ".join(MANY).encode(), b"a b"])
    assert [update.last for update in updates] == [False, False, True, True]
    assert max(len(update.changes) for update in updates) < 11_000
    assert sorted(key for update in updates[:3] for key, _ in update.changes) == sorted(MANY)


async def test_the_order_of_changes_does_not_depend_on_the_keepers():
    text = [b"a b c d e f g h", b"h g f e"]
    assert await told(text, hash_key=1) == await told(text, hash_key=1, keepers=3)


async def test_what_waits_can_be_read_after_the_stream_is_left():
    async with stream([b"a b", b"a"]) as running:
        updates = running.updates()
        first = asyncio.ensure_future(anext(updates))
        await running.join()
    assert sorted((await first).changes) == [("a", 1), ("b", 1)]
    assert [update.changes async for update in updates] == [[("a", 2)]]


async def test_what_nobody_reads_any_more_leaves_the_block_store():
    async with stream([b"a b", b"a", b"b"]) as running:
        updates = running.updates()
        await anext(updates)
        await updates.aclose()
        await running.join()
        assert running._running.committed._mapped.stats().blocks == 0
