"""Tasks that take longer than `task_timeout`: tried again, and in the end an error that names them."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

import asyncmr
from asyncmr import Engine, Job, TaskTimeout
from tests.engine.faulty import STAGED, collected, remainders
from tests.family import listed, total


def sleeps():
    time.sleep(600)


def holds_the_gil():
    re.match(r"(a+)+$", "a" * 60 + "b")


@pytest.mark.parametrize("hang", [sleeps, holds_the_gil])
async def test_a_task_that_hangs_is_killed_and_tried_again(hang, trail):
    def mapper(_key, record):
        if record == 7 and trail.first():
            hang()
        yield record % 3, record

    job = Job(mapper=mapper, reducer=listed)
    async with asyncio.timeout(20):
        result = await collected(job, range(40), task_timeout=1.5, retries=9)
    assert sorted(result) == remainders(3, range(40))
    assert result.report.stages["map"].retries >= 1  # a busy machine may take as long for no reason


@pytest.mark.parametrize("hang", [sleeps, holds_the_gil])
async def test_a_task_that_always_hangs_fails_with_an_error_that_names_it(hang):
    def reducer(key, values):
        hang()
        yield key, 1

    job = Job(mapper=lambda _, n: [(n, n)], reducer=reducer, partitions=1, name="stuck")
    async with (
        asyncio.timeout(2 * (1.5 + 1) + 10),
        Engine(workers=1, retries=1, task_timeout=1.5, limits=STAGED) as engine,
    ):
        with pytest.raises(
            TaskTimeout, match=r"stuck.*reduce.*partition 0.*task_timeout=1.5.*2 attempts"
        ) as caught:
            await engine.collect(job, asyncmr.records([1]))
        [pair] = await engine.collect(job.replace(reducer=total), asyncmr.records([1]))
    error = caught.value
    assert (error.job, error.stage, error.task) == ("stuck", "reduce", "partition 0")
    assert (error.seconds, error.attempts, pair) == (1.5, 2, (1, 1))
