"""Cancelling a job at any point: gone within a second, and nothing of it is left in the engine."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

import asyncmr
from asyncmr import ClosedError, Engine, Job
from asyncmr.connectors.part_files import PartFiles
from asyncmr.connectors.text import TextFiles
from asyncmr.kernel.formats import TextFormat
from asyncmr.pipeline.limits import Limits
from tests.engine.at_rest import is_at_rest
from tests.engine.trail import work
from tests.family import total
from tests.workers.talking import until

# Every stage has tasks of its own, and hardly anything may wait in memory.
STAGED = Limits(fused=0, fan_in=2, large_partial=0, shuffle=1000)
RECORDS = range(120)
SECONDS = 2.0  # what a cancellation may take on a busy machine; the promise is one


def staged(trail):
    """A job that leaves marks at every stage: m when mapping, c when combining, r when reducing."""

    def mapper(_key, record):
        trail.mark("m")
        work()
        yield int(record) % 20, 1
        yield int(record) % 20, 1

    def combiner(key, values):
        trail.mark("c")
        yield key, sum(values)

    def reducer(key, values):
        trail.mark("r")
        work()
        yield key, sum(values)

    return Job(mapper=mapper, combiner=combiner, reducer=reducer, partitions=5)


def source():
    return asyncmr.records(RECORDS, records_per_task=10)


async def collects(engine, job):
    await engine.collect(job, source())


async def streams(engine, job):
    async with engine.stream(job, source()) as pairs:
        async for _ in pairs:
            pass


async def writes(engine, job):
    """From a file, through shared buffers, to files."""
    folder = Path(tempfile.mkdtemp())
    (folder / "in").write_text("".join(f"{number:03}\n" for number in RECORDS))
    try:
        await engine.run(job, TextFiles(folder / "in", split_bytes=40), folder / "out")
    except asyncio.CancelledError:
        assert os.listdir(folder) == ["in"]
        raise
    finally:
        shutil.rmtree(folder)


async def cancelled(running):
    """Cancels a task and says how long it took to end."""
    running.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running
    return time.monotonic() - began


async def still_right(engine):
    job = Job(mapper=lambda _, n: [(n % 20, 1)], reducer=total)
    assert sorted(await engine.collect(job, source())) == [(key, 6) for key in range(20)]


@pytest.mark.both_loops
@pytest.mark.parametrize("way", [collects, streams, writes])
async def test_cancelling_at_any_point_of_progress_ends_the_job_in_a_second(way, trail):
    job = staged(trail)
    async with Engine(workers=2, limits=STAGED) as engine:
        await way(engine, job)
        marks = trail.marks()
        assert all(trail.marks(kind) for kind in "mcr")
        stopped = 0
        for point in range(25):
            trail.clear()
            running = asyncio.create_task(way(engine, job))
            await trail.reach(marks * point // 25 + 1)
            if not running.done():
                assert await cancelled(running) < SECONDS
                stopped += 1
            await is_at_rest(engine)
        await still_right(engine)
    assert stopped > 12  # at the last points a job may be quicker


@pytest.mark.parametrize("turns", range(12))
async def test_cancelling_before_anything_has_begun_leaves_nothing(turns):
    async with Engine(workers=2, limits=STAGED) as engine:
        running = asyncio.create_task(engine.collect(Job(mapper=lambda _, n: [(n, n)]), source()))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert await cancelled(running) < SECONDS
        await is_at_rest(engine)
        await still_right(engine)


def stuck(trail, stage):
    """A job whose function of this stage never ends, once it has left its mark."""

    def hang(_key):
        trail.mark()
        while True:
            work()

    def combiner(key, values):
        values = list(values)
        if stage == "merge" and max(values) > 1:  # what was combined before
            hang(key)
        yield key, sum(values)

    return Job(
        mapper=lambda _, n: hang(n) if stage == "map" else [(n % 4, 1), (n % 4, 1)],
        combiner=combiner,
        reducer=lambda key, values: hang(key) if stage == "reduce" else [(key, sum(values))],
    )


@pytest.mark.parametrize("stage", ["map", "merge", "reduce"])
async def test_a_function_that_never_ends_is_cancelled_in_a_second(stage, trail):
    async with Engine(workers=2, limits=STAGED) as engine:
        running = asyncio.create_task(engine.collect(stuck(trail, stage), source()))
        await until(trail.marks)
        assert await cancelled(running) < SECONDS
        await is_at_rest(engine)
        await still_right(engine)


@pytest.mark.parametrize("stage", ["map", "reduce"])
async def test_so_is_that_of_a_small_job(stage, trail):
    async with Engine(workers=2) as engine:
        running = asyncio.create_task(engine.collect(stuck(trail, stage), asyncmr.records(RECORDS)))
        await until(trail.marks)
        assert await cancelled(running) < SECONDS
        await is_at_rest(engine)
        await still_right(engine)


async def test_a_timeout_around_a_job_ends_it(trail):
    async with Engine(workers=2, limits=STAGED) as engine:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await engine.collect(stuck(trail, "map"), source())
        assert time.monotonic() - began < 0.3 + SECONDS
        await is_at_rest(engine)
        await still_right(engine)


async def test_cancelling_one_job_leaves_the_others_alone(trail):
    fine = Job(mapper=lambda _, n: [(n % 20, 1)], reducer=total)
    async with Engine(workers=2, limits=STAGED) as engine:
        doomed = asyncio.create_task(engine.collect(stuck(trail, "map"), source()))
        await until(trail.marks)
        others = [asyncio.create_task(engine.collect(fine, source())) for _ in range(4)]
        await cancelled(doomed)
        for other in others:
            assert sorted(await other) == [(key, 6) for key in range(20)]


@pytest.mark.both_loops
async def test_leaving_a_stream_early_cancels_its_job(trail):
    def reducer(key, values):
        trail.mark()
        if key >= 10:
            while True:
                work()
        yield key, sum(values)

    job = Job(
        mapper=lambda _, n: [(n % 20, 1)], reducer=reducer, partitions=2, partitioner=lambda k, n: k // 10
    )
    async with Engine(workers=2, limits=STAGED) as engine:
        async with engine.stream(job, source()) as pairs:
            async for keys, _counts in pairs.columns():
                assert sorted(keys) == list(range(10))
                break
            began = time.monotonic()
        assert time.monotonic() - began < SECONDS
        await is_at_rest(engine)
        await still_right(engine)


async def test_a_stream_that_is_never_read_can_be_left(trail):
    async with Engine(workers=2, limits=STAGED) as engine:
        async with engine.stream(stuck(trail, "map"), source()):
            await until(trail.marks)
        await is_at_rest(engine)


async def test_an_error_inside_the_block_of_a_stream_comes_out_as_it_is(trail):
    async with Engine(workers=2, limits=STAGED) as engine:
        with pytest.raises(LookupError, match="mine"):
            async with engine.stream(stuck(trail, "map"), source()):
                raise LookupError("mine")
        await is_at_rest(engine)


async def test_a_failing_job_ends_the_reader_of_its_stream():
    job = Job(mapper=lambda _, n: [(1 // (n - 50), n)], reducer=total)
    async with Engine(workers=2, limits=STAGED) as engine:
        with pytest.raises(asyncmr.MapperError, match="ZeroDivisionError"):
            await streams(engine, job)
        await is_at_rest(engine)


@pytest.mark.both_loops
async def test_leaving_the_engine_ends_its_jobs(trail):
    async with Engine(workers=2, limits=STAGED) as engine:
        running = [asyncio.create_task(engine.collect(stuck(trail, "map"), source())) for _ in range(2)]
        await until(trail.marks)
        began = time.monotonic()
    assert time.monotonic() - began < SECONDS
    for job in running:
        with pytest.raises(ClosedError):
            await job


async def writes_files(engine, job, folder):
    await engine.run(job, folder / "input", folder / "output")


async def reads_files(engine, job, folder):
    async with engine.stream(job, folder / "input") as pairs:
        async for _ in pairs:
            pass


@pytest.mark.parametrize("way", [writes_files, reads_files])
async def test_a_job_whose_engine_is_left_cleans_up_while_it_still_can(way, trail, tmp_path):
    (tmp_path / "input").write_text("a line\n" * 100)
    async with Engine(workers=2, limits=STAGED) as engine:
        running = asyncio.create_task(way(engine, stuck(trail, "map"), tmp_path))
        await until(trail.marks)
    with pytest.raises(ClosedError, match="engine was left while this job ran"):
        await running
    assert not (tmp_path / "output").exists()


class CancelsOnceCommitted(PartFiles):
    """An output whose job is cancelled as soon as it is complete."""

    job: asyncio.Task

    async def commit(self) -> None:
        await super().commit()
        asyncio.get_running_loop().call_soon(self.job.cancel)


@pytest.mark.parametrize("progress", [None, lambda progress: None])
async def test_a_job_whose_output_is_complete_is_not_cancelled_any_more(trail, tmp_path, progress):
    sink = CancelsOnceCommitted(tmp_path / "output", TextFormat())
    async with Engine(workers=2, limits=STAGED) as engine:
        execute = engine._backend.execute(staged(trail), source(), sink, progress=progress)
        sink.job = asyncio.create_task(execute)
        report = await sink.job
    assert report.stages["reduce"].pairs_out == 20
    assert (tmp_path / "output" / "_SUCCESS").exists()


async def test_cancelling_a_job_twice_is_the_same_as_once(trail):
    async with Engine(workers=2, limits=STAGED) as engine:
        running = asyncio.create_task(engine.collect(stuck(trail, "reduce"), source()))
        await until(trail.marks)
        running.cancel()
        await asyncio.sleep(0)
        assert await cancelled(running) < SECONDS
        await is_at_rest(engine)
        await still_right(engine)
