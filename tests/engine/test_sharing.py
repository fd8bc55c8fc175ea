"""How jobs share an engine, and how one job spreads over its workers."""

from __future__ import annotations

import asyncio
import itertools
import operator
import os

import pytest

import asyncmr
from asyncmr import Engine, Job
from tests.engine.trail import work
from tests.engine.word_count import COUNT, WORDS, source
from tests.family import listed
from tests.workers.talking import until


async def test_a_small_job_finishes_beside_one_that_never_ends(trail):
    def endless(_key, record):
        trail.mark()
        work()
        yield record % 10, 1

    async with Engine(workers=1) as engine:
        forever = asyncio.create_task(
            engine.collect(
                Job(mapper=endless, fold=operator.add),
                asyncmr.records(itertools.count(), records_per_task=20),
            )
        )
        await until(trail.marks)
        for _ in range(5):
            assert dict(await engine.collect(COUNT, source())) == WORDS
        assert not forever.done()
        forever.cancel()
        with pytest.raises(asyncio.CancelledError):
            await forever


async def test_many_jobs_at_once_share_an_engine(engine):
    def job(number):
        return Job(mapper=lambda _, n: [(n % 7, n * number)], fold=operator.add)

    results = await asyncio.gather(
        *(engine.collect(job(number), asyncmr.records(range(50), records_per_task=9)) for number in range(20))
    )
    for number, result in enumerate(results):
        assert dict(result) == {rest: number * sum(range(rest, 50, 7)) for rest in range(7)}


async def test_a_job_may_run_many_times_at_once_and_one_after_the_other(engine):
    once = list(await engine.collect(COUNT, source()))
    again = await asyncio.gather(*(engine.collect(COUNT, source()) for _ in range(5)))
    assert all(list(result) == once for result in again)


def expensive(_key, record):
    work(800_000)  # shares of a split are worth about 0.1 s
    yield record % 5, (record, os.getpid())


async def test_slow_records_of_one_split_are_mapped_by_all_workers(engine):
    result = await engine.collect(Job(mapper=expensive), asyncmr.records(range(60)))
    assert [record for _, (record, _) in result] == list(range(60))
    assert len({pid for _, (_, pid) in result}) == 2
    assert result.report.stages["map"].records_in == 60


async def test_slow_records_give_what_they_give_on_one_worker(engine):
    def counted(_key, record):
        asyncmr.counter("records", "mapped").increment()
        return [(key, number) for key, (number, _) in expensive(_key, record)]

    job = Job(mapper=counted, reducer=listed, partitions=3)
    spread = await engine.collect(job, asyncmr.records(range(60)))
    alone = await asyncmr.collect(job, asyncmr.records(range(60)), workers=1)
    assert list(spread) == list(alone)
    assert spread.report.counters == alone.report.counters == {"records": {"mapped": 60}}


async def test_slow_keys_are_reduced_by_all_workers(engine):
    def slow(key, values):
        work(200_000)
        yield key, os.getpid()

    job = Job(mapper=lambda _, n: [(n, n)], reducer=slow, partitions=8)
    result = await engine.collect(job, asyncmr.records(range(60)))
    assert len({pid for _, pid in result}) == 2
