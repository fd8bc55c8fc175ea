"""However slow a reducer or a reader is, and however uneven the data, what waits in memory stays within the budget."""

from __future__ import annotations

import asyncio

import pytest

import asyncmr
from asyncmr import Engine, Job
from asyncmr.pipeline.limits import Limits
from asyncmr.storage.runs import BlockStore
from asyncmr.storage.spill import WRITE_BYTES
from tests.engine.at_rest import is_at_rest
from tests.engine.trail import work
from tests.family import listed

KIB = 1024
VALUE = "v" * 2000
RECORDS = 3000
SHUFFLE = 512 * KIB
LIMITS = Limits(fused=0, shuffle=SHUFFLE, split=64 * KIB, whole=64 * KIB, bucket=16 * KIB, round=32 * KIB)
# What waits for the disk without room in the budget: less than a write, and a task's output for each worker and one.
BEYOND = WRITE_BYTES + 3 * 300 * KIB


@pytest.fixture
def waiting(monkeypatch) -> list[int]:
    """The bytes in memory of a store whenever a block came to it."""
    seen: list[int] = []
    put = BlockStore.put

    async def measured(store, data, ends=None):
        try:
            return await put(store, data, ends)
        finally:
            seen.append(store.stats().memory_bytes)

    monkeypatch.setattr(BlockStore, "put", measured)
    return seen


def source(records=RECORDS):
    return asyncmr.records(range(records), records_per_task=100)


def values(result):
    return sorted((key, len(found), set(found)) for key, found in result)


async def test_a_slow_reducer_lets_the_shuffle_wait_on_disk(waiting):
    def slow(key, found):
        work()
        yield key, list(found)

    job = Job(mapper=lambda _, n: [(n % 300, VALUE)], reducer=slow, partitions=8)
    async with Engine(workers=2, limits=LIMITS) as engine:
        result = await engine.collect(job, source())
        await is_at_rest(engine)
    assert values(result) == [(key, 10, {VALUE}) for key in range(300)]
    assert result.report.bytes_spilled > RECORDS * len(VALUE) // 2
    assert max(waiting) <= SHUFFLE + BEYOND


async def test_a_reader_that_waits_lets_the_results_wait_on_disk(waiting):
    job = Job(mapper=lambda _, n: [(n, VALUE)], reducer=listed, partitions=8)
    done = asyncio.Event()

    def look(progress):
        if any(stage.name == "reduce" and stage.done == stage.total for stage in progress.stages):
            done.set()

    async with Engine(workers=2, limits=LIMITS) as engine:
        async with engine.stream(job, source(), progress=look) as pairs:
            await done.wait()  # nothing was read, and every part is there
            result = [pair async for pair in pairs]
        await is_at_rest(engine)
    assert values(result) == [(key, 1, {VALUE}) for key in range(RECORDS)]
    assert max(waiting) <= SHUFFLE + BEYOND


async def test_a_key_with_nearly_all_values_is_reduced_in_bounded_memory(waiting):
    """99% of the values have one key; its share is many times larger than what is reduced at once."""

    def count(key, found):
        yield key, sum(map(len, found))

    job = Job(mapper=lambda _, n: [(n if n % 100 == 0 else "all", VALUE)], reducer=count, partitions=4)
    async with Engine(workers=2, limits=LIMITS) as engine:
        async with asyncio.timeout(30):
            result = await engine.collect(job, source())
        await is_at_rest(engine)
    expected = {n: len(VALUE) for n in range(0, RECORDS, 100)} | {"all": RECORDS * 99 // 100 * len(VALUE)}
    assert dict(result) == expected
    assert max(waiting) <= SHUFFLE + BEYOND


@pytest.mark.parametrize("sort", [False, True])
async def test_a_record_larger_than_all_limits_passes_alone(tmp_path, sort):
    """A line of 20 MB, among small ones, where a split is 64 KiB and half a mebibyte may wait."""
    giant = "g" * 20_000_000
    (tmp_path / "in").write_text("".join(f"{n}\n" for n in range(1000)) + giant + "\nlast\n")

    def length(_key, line):
        yield line, len(line)

    def longest(key, lengths):
        yield key[:4], (len(key), max(lengths))

    job = Job(mapper=length, reducer=longest, partitions=3, sort=sort)
    async with Engine(workers=2, limits=LIMITS) as engine:
        async with asyncio.timeout(30):
            result = dict(await engine.collect(job, tmp_path / "in"))
        await is_at_rest(engine)
    assert len(result) == 1002
    assert result["gggg"] == (len(giant), len(giant))
