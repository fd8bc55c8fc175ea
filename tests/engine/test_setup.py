"""Jobs with a setup: it runs once a worker, its value is there for the job's own functions, and for no others."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from functools import partial

import pytest

import asyncmr
from asyncmr import Engine, Job, ResumeError, SetupError, TaskTimeout, UsageError, WorkerDied
from asyncmr.pipeline.limits import Limits
from asyncmr.testing import check_reducer
from asyncmr.workers.worker import PROGRAM_LIMIT
from tests.engine.faulty import STAGED
from tests.family import listed, total

NUMBERS = list(range(200))


def added(_key, number):
    yield number % 7, number + asyncmr.context()


def total_and_context(key, values):
    yield key, (sum(values), asyncmr.context())


def expected(offset):
    return {rest: sum(n + offset for n in NUMBERS if n % 7 == rest) for rest in range(7)}


class Shifted:
    """An aggregator all of whose methods look at the context."""

    def zero(self):
        return 0 * asyncmr.context()

    def add(self, acc, value):
        return acc + value + 0 * asyncmr.context()

    def merge(self, left, right):
        return left + right + 0 * asyncmr.context()

    def finish(self, acc):
        return acc - asyncmr.context()


def with_context(a, b):
    return a + b + 0 * asyncmr.context()


def by_context(key, partitions):
    return (key + asyncmr.context()) % partitions


def checked_total(key, values):
    yield key, sum(values) + 0 * asyncmr.context()


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
@pytest.mark.parametrize("limits", [None, Limits(fused=0, least_partitions=3)])
async def test_every_function_of_the_job_sees_what_its_setup_returned(executor, limits):
    jobs = [
        Job(mapper=added, reducer=checked_total, combiner=checked_total, setup=lambda: 5),
        Job(mapper=added, fold=with_context, setup=lambda: 5),
        Job(mapper=added, reducer=total, partitioner=by_context, partitions=3, setup=lambda: 5),
        Job(mapper=added, fold=with_context, sort="total", setup=lambda: 5),
    ]
    async with Engine(workers=2, executor=executor, limits=limits, verify=1) as engine:
        for job in jobs:
            assert dict(await engine.collect(job, asyncmr.records(NUMBERS))) == expected(5)
        job = Job(mapper=added, aggregator=Shifted(), setup=lambda: 5)
        shifted = {rest: value - 5 for rest, value in expected(5).items()}
        assert dict(await engine.collect(job, asyncmr.records(NUMBERS))) == shifted


async def test_it_runs_once_in_a_worker_however_many_tasks_and_jobs_have_it(trail):
    def load():
        trail.mark()
        return 5

    async with Engine(workers=2, limits=STAGED) as engine:
        for size in (2, 200, 5000):  # several programs: more partitions, more tasks
            source = asyncmr.records(range(size), records_per_task=50)
            await engine.collect(Job(mapper=added, reducer=total, setup=load), source)
        chain = Job(mapper=added, reducer=total, setup=load).then(Job(mapper=listed_alone, setup=load))
        await engine.collect(chain, asyncmr.records(NUMBERS))
        assert 1 <= trail.marks() <= 2


def listed_alone(key, value):
    yield key, [value]


async def test_the_value_goes_with_the_last_program_that_holds_it(trail):
    class Model:
        def __del__(self):
            trail.mark("d")

    def load():
        trail.mark("l")
        return Model()

    def mapper(_key, n):
        yield n, type(asyncmr.context()).__name__

    job = Job(mapper=mapper, setup=load)
    async with Engine(workers=1) as engine:
        assert list(await engine.collect(job, asyncmr.records([1]))) == [(1, "Model")]
        for number in range(PROGRAM_LIMIT):
            other = Job(mapper=listed_alone, name=str(number), partitions=number + 1)
            await engine.collect(other, asyncmr.records([1]))
        assert (trail.marks("l"), trail.marks("d")) == (1, 1)
        again = job.replace(partitions=3)  # another program, and the engine thinks that the value is there
        assert list(await engine.collect(again, asyncmr.records([2]))) == [(2, "Model")]
        assert (trail.marks("l"), trail.marks("d")) == (2, 1)
        assert list(await engine.collect(job, asyncmr.records([3]))) == [(3, "Model")]
        assert (trail.marks("l"), trail.marks("d")) == (2, 1)


async def test_what_it_holds_is_pickled_once_whatever_the_inputs():
    table = {number: f"{number:099}" for number in range(1000)}

    def looked_up(_key, number):
        yield asyncmr.context()[number % 1000], number

    job = Job(mapper=looked_up, aggregator=asyncmr.Count(), setup=lambda: table)
    async with Engine(workers=2) as engine:
        for size in (2, 2000):
            assert len(await engine.collect(job, asyncmr.records(range(size)))) == min(size, 1000)
        shipped = sorted(len(program.data) for program in engine._backend._programs._of[id(job)].values())
    assert len(shipped) == 3
    assert shipped[-1] > 100_000 > 10 * shipped[-2]


def seen(key, value):
    try:
        yield key, asyncmr.context()
    except UsageError:
        yield key, "nothing"


@pytest.mark.parametrize("size", [10, 2000])  # in tasks of its own, and in those of the reducers before it
@pytest.mark.parametrize(("first", "second"), [(lambda: 5, None), (None, lambda: 7), (lambda: 5, lambda: 7)])
async def test_each_step_of_a_chain_sees_its_own(engine, size, first, second):
    def of_both(key, before):
        [(_, own)] = seen(key, before)
        yield key, (before, own)

    chain = Job(mapper=lambda _, n: [(n % 7, n)], reducer=seen, setup=first).then(
        Job(mapper=of_both, setup=second)
    )
    result = await engine.collect(chain, asyncmr.records(range(size)))
    pair = (5 if first else "nothing", 7 if second else "nothing")
    assert dict(result) == dict.fromkeys(range(7), pair)


@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
async def test_jobs_at_the_same_time_see_their_own(executor):
    jobs = [Job(mapper=added, reducer=total, setup=partial(int, number)) for number in range(6)]
    async with Engine(workers=2, executor=executor, limits=STAGED) as engine:
        sources = [asyncmr.records(NUMBERS, records_per_task=20) for _ in jobs]
        results = await asyncio.gather(*map(engine.collect, jobs, sources))
    assert [dict(result) for result in results] == [expected(number) for number in range(6)]


def fails():
    raise FileNotFoundError("model.bin")


@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
async def test_one_that_raises_ends_the_job_and_says_so(executor, on_error, trail):
    def load():
        trail.mark()
        fails()

    job = Job(mapper=added, reducer=total, setup=load, name="scores")
    async with Engine(workers=1, executor=executor, on_error=on_error) as engine:
        with pytest.raises(SetupError, match=r"'scores'.*'map'.*load raised FileNotFoundError") as caught:
            await engine.collect(job, asyncmr.records(NUMBERS))
        assert trail.marks() == 1
        fine = job.replace(setup=lambda: 5)
        assert dict(await engine.collect(fine, asyncmr.records(NUMBERS))) == expected(5)
    error = caught.value
    assert (error.job, error.stage, error.exception) == ("scores", "map", "FileNotFoundError")
    assert "in fails" in str(error.__cause__)


async def test_it_stays_where_a_function_failed(trail):
    def load():
        trail.mark()
        return 5

    def picky(key, number):
        yield number % 7, 10 // (number % 50) * 0 + number + asyncmr.context()

    job = Job(mapper=picky, reducer=total, setup=load)
    async with Engine(workers=1, on_error="skip", limits=STAGED) as engine:
        result = await engine.collect(job, asyncmr.records(NUMBERS, records_per_task=60))
    left = [n for n in NUMBERS if n % 50]
    assert dict(result) == {rest: sum(n + 5 for n in left if n % 7 == rest) for rest in range(7)}
    assert (result.report.skipped_in_all, trail.marks()) == (4, 1)


async def test_one_of_a_step_that_only_maps_is_told_of_that_step(engine):
    chain = Job(mapper=lambda _, n: [(n % 7, n)], reducer=total).then(Job(mapper=seen, setup=fails))
    with pytest.raises(SetupError, match=r"stage '2\.map'"):
        await engine.collect(chain, asyncmr.records(range(2000)))


async def test_one_that_cannot_be_pickled_is_refused(engine):
    lock = threading.Lock()
    with pytest.raises(UsageError, match=r"setup of job 'added' cannot be sent.*lock"):
        await engine.collect(Job(mapper=added, setup=lambda: lock), asyncmr.records([1]))


async def test_its_time_is_no_time_of_the_task(trail):
    def load():
        begun = time.monotonic()
        while time.monotonic() - begun < 1.5:
            trail.mark()
        return 5

    job = Job(mapper=added, reducer=total, setup=load)
    async with Engine(workers=1, task_timeout=0.7, retries=0) as engine:
        assert dict(await engine.collect(job, asyncmr.records(NUMBERS))) == expected(5)


@pytest.mark.parametrize("on_error", ["fail", "skip"])
async def test_one_that_kills_its_worker_is_tried_again_but_not_for_ever(trail, on_error):
    def load(lives):
        trail.mark()
        if trail.marks() <= lives:
            os._exit(3)
        return 5

    job = Job(mapper=added, reducer=total, setup=lambda: load(1))
    async with Engine(workers=1, retries=2, on_error=on_error) as engine:
        assert dict(await engine.collect(job, asyncmr.records(NUMBERS))) == expected(5)
        trail.clear()
        with pytest.raises(WorkerDied, match=r"3 attempts.*in its setup"):
            await engine.collect(job.replace(setup=lambda: load(9)), asyncmr.records(NUMBERS))
        assert trail.marks() == 3


async def test_a_cancelled_one_is_gone(trail):
    def load():
        trail.mark()
        while True:
            time.sleep(60)

    async with Engine(workers=1) as engine:
        task = asyncio.create_task(engine.collect(Job(mapper=added, setup=load), asyncmr.records([1])))
        await trail.reach(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(5):
                await task
        assert len(await engine.collect(Job(mapper=listed_alone), asyncmr.records([1]))) == 1


async def test_a_value_that_threads_may_share_serves_all_stages(engine):
    """A reducer that is fed in rounds runs in a thread of its own; see docs/jobs.md."""

    def connect():
        database = sqlite3.connect(":memory:", check_same_thread=False)
        database.execute("create table offsets as select 5 as value")
        return database

    def offset():
        return asyncmr.context().execute("select value from offsets").fetchone()[0]

    def mapper(_key, n):
        yield n % 7, n + offset()

    job = Job(mapper=mapper, reducer=lambda key, values: [(key, sum(values) + 0 * offset())], setup=connect)
    assert dict(await engine.collect(job, asyncmr.records(NUMBERS))) == expected(5)


def test_check_reducer_gives_the_functions_what_the_setup_returns(trail):
    def load():
        trail.mark()
        return 5

    job = Job(mapper=added, combiner=checked_total, reducer=checked_total, setup=load)
    check_reducer(job, [1, 2, 6], records=[1, 2, 3])
    check_reducer(job.then(Job(mapper=listed_alone, reducer=listed)), records=[1, 2, 3])
    assert trail.marks() == 2


async def test_a_journal_is_of_one_setup(tmp_path):
    lines = tmp_path / "lines"
    lines.write_text("1\n2\n")
    job = Job(mapper=lambda _, line: [(line, asyncmr.context())], setup=partial(int, 5))
    paths = lines, tmp_path / "out"
    async with Engine(workers=1) as engine:
        await engine.run(job, *paths, resume=tmp_path / "journal")
        await engine.run(job.replace(setup=partial(int, 5)), *paths, resume=tmp_path / "journal")
        with pytest.raises(ResumeError, match="the setup 'partial' has changed"):
            await engine.run(job.replace(setup=partial(int, 6)), *paths, resume=tmp_path / "journal")


async def test_for_async_functions_it_runs_on_their_loop_and_in_no_worker_that_does_not_need_it(trail):
    def connect():
        trail.mark()
        return asyncio.get_running_loop()  # as many clients do when they are made

    async def mapper(_key, n):
        yield n % 7, (n, asyncmr.context() is asyncio.get_running_loop())

    async def fails_late(_key, n):
        yield n, 1

    job = Job(mapper=mapper, partitions=3, setup=connect)
    async with Engine(workers=2) as engine:
        result = await engine.collect(job, asyncmr.records(range(20)))
        assert sorted(result) == sorted((n % 7, (n, True)) for n in range(20))
        assert trail.marks() == 1
        with pytest.raises(UsageError):
            asyncmr.context()
        with pytest.raises(SetupError, match=r"stage 'map': the setup fails raised FileNotFoundError"):
            await engine.collect(Job(mapper=fails_late, setup=fails), asyncmr.records([1]))


async def test_one_that_hangs_has_a_limit_of_its_own(trail):
    def hangs_once():
        if trail.first():
            hang()
        return 5

    job = Job(mapper=added, reducer=total, setup=hangs_once)
    async with Engine(workers=1, setup_timeout=0.3, task_timeout=50) as engine:
        result = await engine.collect(job, asyncmr.records([1, 2]))
        assert dict(result) == {1: 6, 2: 7}
        with pytest.raises(
            TaskTimeout, match=r"its setup took longer than setup_timeout=0.3 s in 4 attempts"
        ):
            await engine.collect(job.replace(setup=hang), asyncmr.records([1]))


def hang():
    threading.Event().wait()
