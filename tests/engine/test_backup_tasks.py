"""Backup tasks: what is slow gets a rival, the first of the two counts, and nothing of the other is ever seen."""

from __future__ import annotations

import os
import signal
import time

import pytest

import asyncmr
from asyncmr import Job, MapperError
from tests.engine.faulty import collected, remainders
from tests.family import listed

RECORDS = range(100)
SLOW = 57


def wait_for_ever():
    while True:
        signal.pause()


def wait_until(condition):
    while not condition():
        time.sleep(0.001)


def counting(trail, slow):
    """A job that counts its records; at the first sight of one it calls `slow()`."""

    def mapper(_key, record):
        asyncmr.counter("test", "mapped").increment()
        if record == SLOW:
            trail.mark()
            slow(trail.marks())
        yield record % 7, record

    return Job(mapper=mapper, reducer=listed, partitions=4)


async def test_a_slow_mapper_is_overtaken_by_its_rival(trail):
    job = counting(trail, lambda sight: sight == 1 and wait_for_ever())
    result = await collected(job, RECORDS, backup_tasks=True)
    assert sorted(result) == remainders(7, RECORDS)
    assert result.report.counters == {"test": {"mapped": len(RECORDS)}}
    mapped = result.report.stages["map"]
    assert (mapped.tasks, mapped.records_in, mapped.attempts, mapped.retries) == (10, 100, 11, 0)
    assert mapped.rivals == 1


async def test_a_slow_reducer_is_overtaken_by_its_rival(trail):
    def reducer(key, values):
        asyncmr.counter("test", "reduced").increment()
        if key == 3 and trail.first():
            wait_for_ever()
        yield key, list(values)

    job = Job(mapper=lambda _, n: [(n % 16, n)], reducer=reducer, partitions=16)
    result = await collected(job, RECORDS, backup_tasks=True)
    assert sorted(result) == remainders(16, RECORDS)
    assert result.report.counters == {"test": {"reduced": 16}}
    assert result.report.stages["reduce"].rivals == 1


async def test_what_a_slow_attempt_has_sent_already_does_not_appear(trail):
    def mapper(_key, record):
        for number in range(3000):
            yield (record, number), "x" * 1000  # several answers of the worker
        if record == SLOW and trail.first():
            wait_for_ever()

    result = await collected(Job(mapper=mapper), range(50, 60), per_task=1, backup_tasks=True)
    assert [key for key, _ in result] == [(record, n) for record in range(50, 60) for n in range(3000)]
    assert result.report.stages["map"].rivals == 1


async def test_a_rival_that_dies_leaves_the_task_to_the_first_attempt(trail):
    def slow(sight):
        if sight == 2:
            trail.mark("d")
            os.kill(os.getpid(), signal.SIGKILL)
        wait_until(lambda: trail.marks("d"))

    result = await collected(counting(trail, slow), RECORDS, backup_tasks=True)
    assert sorted(result) == remainders(7, RECORDS)
    assert result.report.counters == {"test": {"mapped": len(RECORDS)}}
    assert result.report.stages["map"].rivals == 1


async def test_a_rival_that_raises_leaves_the_task_to_the_first_attempt(trail):
    def slow(sight):
        if sight == 2:
            trail.mark("d")
            raise ValueError("of the rival")
        wait_until(lambda: trail.marks("d"))

    result = await collected(counting(trail, slow), RECORDS, backup_tasks=True)
    assert sorted(result) == remainders(7, RECORDS)


async def test_a_slow_attempt_that_raises_fails_the_job_while_its_rival_runs(trail):
    def slow(sight):
        if sight == 2:
            trail.mark("d")
            wait_for_ever()
        wait_until(lambda: trail.marks("d"))
        raise ValueError("of the first attempt")

    with pytest.raises(MapperError, match="of the first attempt"):
        await collected(counting(trail, slow), RECORDS, backup_tasks=True)
