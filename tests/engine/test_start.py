"""`engine.start`: a job beside the block, which it does not outlive, and whose error somebody hears."""

from __future__ import annotations

import asyncio
import time

import pytest

import asyncmr
from asyncmr import ClosedError, Engine, Job, JobCancelled, MapperError
from tests.engine.at_rest import is_at_rest
from tests.engine.gated import numbers
from tests.engine.word_count import COUNT, STAGED, WORDS, source

SECONDS = 2.0  # what a cancellation may take on a busy machine; the promise is one
BAD = Job(mapper=lambda _, line: [(1 // 0, line)], name="bad")


async def test_awaiting_gives_the_report_of_what_was_written(engine, tmp_path):
    async with engine.start(COUNT, source(), tmp_path / "out") as running:
        report = await running
    assert report is running.report
    assert report.stages["map"].records_in == 4
    assert (tmp_path / "out" / "_SUCCESS").exists()


async def test_without_an_output_it_gives_the_pairs(engine):
    async with engine.start(COUNT, source()) as running:
        result = await running
    assert dict(result) == WORDS
    assert result.report is running.report


async def test_any_number_of_tasks_may_await_it_and_again(engine, gate):
    async with engine.start(gate.job(), numbers()) as running:
        await gate.reached()
        waiting = [asyncio.ensure_future(running) for _ in range(3)]
        gate.open()
        results = await asyncio.gather(*waiting)
        results.append(await running)
    results.append(await running)
    assert len(results) == 5
    assert all(result is results[0] for result in results)


async def test_cancelling_who_waits_does_nothing_to_the_job(engine, gate):
    async with engine.start(gate.job(), numbers()) as running:
        await gate.reached()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await running
        gate.open()
        assert dict(await running) == {0: 2, 1: 2, 2: 2, 3: 2}


@pytest.mark.both_loops
async def test_cancel_ends_it_in_a_second_and_whoever_waits_hears_of_it(gate, tmp_path):
    async with Engine(workers=2, limits=STAGED) as engine:
        async with engine.start(gate.job(), numbers(), tmp_path / "out") as running:
            await gate.reached()
            waiting = asyncio.ensure_future(running)
            began = time.monotonic()
            running.cancel()
            for _ in range(2):
                with pytest.raises(JobCancelled, match="job 'gated' was cancelled") as caught:
                    await running
            with pytest.raises(JobCancelled):
                await waiting
            assert time.monotonic() - began < SECONDS
        assert (caught.value.job, running.state) == ("gated", "cancelled")
        assert not (tmp_path / "out").exists()
        await is_at_rest(engine)


async def test_cancel_before_it_has_begun_is_a_cancellation_too(engine):
    block = engine.start(COUNT, source())
    async with block as running:
        running.cancel()
        with pytest.raises(JobCancelled):
            await running
    await is_at_rest(engine)


async def test_cancel_after_the_end_changes_nothing(engine):
    async with engine.start(COUNT, source()) as running:
        await running
        running.cancel()
        assert dict(await running) == WORDS
        assert running.state == "done"


@pytest.mark.both_loops
async def test_leaving_the_block_cancels_the_job_and_is_no_error(gate, tmp_path):
    async with Engine(workers=2, limits=STAGED) as engine:
        began = time.monotonic()
        async with engine.start(gate.job(), numbers(), tmp_path / "out") as running:
            await gate.reached()
            began = time.monotonic()
        assert time.monotonic() - began < SECONDS
        assert (running.state, engine.jobs) == ("cancelled", ())
        with pytest.raises(JobCancelled):
            await running
        assert not (tmp_path / "out").exists()
        await is_at_rest(engine)


async def test_cancelling_the_block_is_a_cancellation_there_and_a_cancelled_job_elsewhere(engine, gate):
    handles = []

    async def owner() -> None:
        async with engine.start(gate.job(), numbers()) as running:
            handles.append(running)
            await running

    task = asyncio.create_task(owner())
    await gate.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(JobCancelled, match="block was left"):
        await handles[0]
    await is_at_rest(engine)


async def test_an_error_that_nobody_awaited_comes_out_of_the_block(engine):
    with pytest.raises(MapperError, match="ZeroDivisionError"):
        async with engine.start(BAD, source()) as running:
            await running.wait()
    assert running.state == "failed"


async def test_one_that_was_awaited_does_not_come_again(engine):
    async with engine.start(BAD, source()) as running:
        for _ in range(3):
            with pytest.raises(MapperError) as caught:
                await running
            length = len(caught.traceback)
        with pytest.raises(MapperError) as caught:
            await running
        assert len(caught.traceback) == length  # it does not grow


async def test_an_error_in_the_block_comes_out_and_tells_of_the_jobs(engine):
    async def block() -> None:
        async with engine.start(BAD, source()) as running:
            await running.wait()
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        await block()
    assert any("job 'bad' had failed: MapperError" in note for note in caught.value.__notes__)
    await is_at_rest(engine)


async def test_there_is_no_report_before_the_end_nor_of_a_failure(engine, gate):
    async with engine.start(gate.job(), numbers()) as running:
        await gate.reached()
        with pytest.raises(ClosedError, match="no report yet"):
            _ = running.report
        gate.open()
        assert (await running).report is running.report
    async with engine.start(BAD, source()) as running:
        with pytest.raises(MapperError) as caught:
            await running
    with pytest.raises(ClosedError, match="since it failed") as none:
        _ = running.report
    assert none.value.__cause__ is caught.value


async def test_what_cannot_be_started_is_refused_where_the_block_begins(engine, tmp_path):
    entered = False
    with pytest.raises(asyncmr.UsageError, match="is no job"):
        async with engine.start(source, source()):
            entered = True
    with pytest.raises(asyncmr.UsageError, match="is no source"):
        engine.start(COUNT, 5)
    with pytest.raises(asyncmr.UsageError, match="output folder"):
        engine.start(COUNT, source(), resume=tmp_path / "journal")
    with pytest.raises(ClosedError, match="not open"):
        async with Engine(workers=1, executor="inline").start(COUNT, source()):
            entered = True
    assert not entered


async def test_leaving_the_engine_first_ends_the_job_with_an_error(gate):
    async def owner(engine: Engine) -> None:
        async with engine.start(gate.job(), numbers()) as running:
            await running.wait()

    async with Engine(workers=2, limits=STAGED) as engine:
        task = asyncio.create_task(owner(engine))
        await gate.reached()
    with pytest.raises(ClosedError, match="engine was left"):
        await task


async def test_resume_is_as_in_run(tmp_path):
    (tmp_path / "in").write_text("to be\n")
    async with Engine(workers=1) as engine:
        for again in (False, True):
            block = engine.start(COUNT, tmp_path / "in", tmp_path / "out", resume=tmp_path / "journal")
            async with block as running:
                await running
            assert running.report.stages["map"].records_in == 1
            assert (running.progress.stages == ()) is again  # nothing was left to do


async def test_one_job_can_be_started_without_an_engine(tmp_path):
    async with asyncmr.start(COUNT, source(), tmp_path / "out", workers=1, executor="inline") as running:
        assert (await running).stages["map"].records_in == 4
    async with asyncmr.start(COUNT, source(), workers=1, executor="inline") as listing:
        assert dict(await listing) == WORDS
