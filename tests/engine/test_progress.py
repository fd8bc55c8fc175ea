"""What can be seen of a job while it runs, and what of all jobs of an engine."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import weakref
from datetime import UTC, datetime, timedelta

import pytest

import asyncmr
from asyncmr import Engine, Job, JobCancelled, Progress, UsageError
from asyncmr.connectors.part_files import PartFiles
from asyncmr.engines import local
from asyncmr.kernel.formats import TextFormat
from asyncmr.pipeline.limits import Limits
from tests.engine.gated import numbers
from tests.engine.word_count import COUNT, STAGED, WORDS, source
from tests.family import listed, total
from tests.workers.talking import until


def stage(progress: Progress, name: str) -> asyncmr.StageProgress:
    return next(stage for stage in progress.stages if stage.name == name)


async def test_a_snapshot_tells_what_runs_and_what_waits(gate):
    async with Engine(workers=2, limits=STAGED) as engine, engine.start(gate.job(), numbers()) as running:
        await gate.reached(2)
        await until(lambda: stage(running.progress, "map").tasks == 1)
        seen = running.progress
        assert (seen.job, seen.state, seen.ended) == ("gated", "running", False)
        assert (seen.workers, seen.workers_busy, seen.workers_used) == (2, 2, 2)
        mapping = stage(seen, "map")
        assert (mapping.done, mapping.running, mapping.waiting) == (mapping.bytes, 2, 1)
        assert mapping.done > 0
        assert (seen.memory_total, seen.retries, seen.skipped) == (engine._backend._limits.shuffle, 0, 0)
        gate.open()
        await running
        last = running.progress
        assert (last.state, last.ended, last.workers_used) == ("done", True, 0)
        assert stage(last, "map").tasks == 4
        assert stage(last, "reduce").done == stage(last, "reduce").total


async def test_a_queue_shows_who_waits_for_room_in_it(gate):
    many = numbers(40)
    async with Engine(workers=2, limits=STAGED) as engine, engine.start(gate.job(), many) as running:
        await gate.reached(2)

        def splits() -> asyncmr.QueueProgress:
            return next(queue for queue in running.progress.queues if queue.name == "splits")

        await until(lambda: splits().blocked)
        assert splits().items == splits().capacity
        gate.open()
        await running


async def test_a_snapshot_is_ready_for_json(gate):
    async with Engine(workers=2, limits=STAGED) as engine, engine.start(gate.job(), numbers()) as running:
        await gate.reached()
        figures = running.progress.as_dict()
        assert json.loads(json.dumps(figures)) == figures
        assert {"state", "stages", "queues", "retries", "skipped", "bytes_spilled"} <= figures.keys()
        gate.open()
        await running


async def test_what_was_retried_skipped_and_spilled_shows_in_the_last_snapshot(trail):
    def mapper(_key, number):
        if number == 3:
            raise ValueError(number)
        if number == 4 and trail.first():
            os._exit(1)
        yield number % 50, f"{number:2000}"

    job = Job(mapper=mapper, reducer=listed)
    many = asyncmr.records(range(3000), records_per_task=200)
    async with Engine(workers=2, limits=Limits(fused=0, shuffle=1), on_error="skip") as engine:
        async with engine.start(job, many) as running:
            await running
        last, report = running.progress, running.report
    assert last.bytes_spilled == report.bytes_spilled > 2_000_000
    assert last.retries == sum(stage.retries for stage in report.stages.values()) >= 2
    assert last.skipped == report.skipped_in_all == 1


async def test_updates_begin_now_and_end_with_the_job(engine, gate):
    async with engine.start(gate.job(), numbers()) as running:
        await gate.reached()
        updates = running.updates(interval=0.01)
        assert (await anext(updates)).state == "running"
        assert (await anext(updates)).state == "running"
        gate.open()
        rest = [progress async for progress in updates]
        assert rest[-1].state == "done"
        assert not any(progress.ended for progress in rest[:-1])
        await running


async def test_updates_end_without_an_error_when_the_job_fails(engine):
    bad = Job(mapper=lambda _, line: [(1 // 0, line)])
    with pytest.raises(asyncmr.MapperError):
        async with engine.start(bad, source()) as running:
            assert [progress async for progress in running.updates()][-1].state == "failed"


async def test_a_slow_reader_of_updates_gets_the_end_and_not_a_backlog(engine, gate):
    async with engine.start(gate.job(), numbers()) as running:
        updates = running.updates(interval=0.001)
        assert not (await anext(updates)).ended
        await gate.reached()
        gate.open()
        await running
        assert [progress.state async for progress in updates] == ["done"]


async def test_an_interval_that_cannot_be_is_refused(engine):
    async with engine.start(COUNT, source()) as running:
        with pytest.raises(UsageError, match="interval=0"):
            running.updates(interval=0)
        await running


async def test_the_callback_gets_the_same_snapshots_and_last_of_all_the_end(engine):
    seen: list[Progress] = []
    await engine.collect(COUNT, source(), progress=seen.append)
    assert seen[-1].state == "done"
    assert stage(seen[-1], "reduce").done == stage(seen[-1], "reduce").total


async def collects(engine, job, folder):
    await engine.collect(job, numbers())


async def writes(engine, job, folder):
    await engine.run(job, numbers(), folder / "out")


async def streams(engine, job, folder):
    async with engine.stream(job, numbers()) as pairs:
        async for _ in pairs:
            pass


@pytest.mark.parametrize("way", [collects, writes, streams])
async def test_an_engine_lists_what_runs_and_any_of_it_can_be_cancelled(way, engine, gate, tmp_path):
    assert engine.jobs == ()
    before = datetime.now(UTC)
    task = asyncio.create_task(way(engine, gate.job(), tmp_path))
    await gate.reached()
    (job,) = engine.jobs
    assert (job.name, job.state) == ("gated", "running")
    assert before - timedelta(seconds=1) < job.started <= datetime.now(UTC)
    assert stage(job.progress, "map").running
    job.cancel()
    with pytest.raises(JobCancelled, match="job 'gated' was cancelled"):
        await task
    assert (engine.jobs, job.state, job.progress.state) == ((), "cancelled", "cancelled")
    assert stage(job.progress, "map").name == "map"  # how far it came
    assert dict(await engine.collect(COUNT, source())) == WORDS


async def test_a_listed_job_can_be_waited_for_and_has_its_report_then(engine, gate):
    task = asyncio.create_task(engine.collect(gate.job(), numbers()))
    await gate.reached()
    (job,) = engine.jobs
    waiting = asyncio.create_task(job.wait())
    gate.open()
    await waiting
    assert job.report is (await task).report


async def test_a_job_that_was_started_is_listed_at_once_and_the_same_handle(engine, gate):
    async with engine.start(gate.job(), numbers()) as running:
        assert engine.jobs == (running,)


async def test_a_job_that_waits_to_be_admitted_says_so(gate, monkeypatch):
    monkeypatch.setattr(local, "MOST_JOBS", 1)
    async with (
        Engine(workers=2, limits=Limits(shuffle=1000)) as engine,
        engine.start(gate.job(), numbers()) as first,
        engine.start(COUNT, source()) as second,
    ):
        await gate.reached()
        assert [job.state for job in engine.jobs] == ["running", "waiting"]
        assert second.progress.stages == ()
        gate.open()
        assert dict(await second) == WORDS
        await first


async def test_a_handle_that_outlives_its_job_keeps_nothing_of_it(engine, gate):
    job = gate.job()
    task = asyncio.create_task(engine.collect(job, numbers()))
    await gate.reached()
    (handle,) = engine.jobs
    work = weakref.ref(handle._work)
    gate.open()
    await task
    gc.collect()
    assert work() is None
    assert handle.progress.state == "done"


async def test_a_chain_shows_the_stages_of_all_its_steps():
    chain = COUNT.then(Job(mapper=lambda word, count: [(count, 1)], reducer=total))
    async with Engine(workers=2, limits=STAGED) as engine, engine.start(chain, source()) as running:
        await running
        assert {"1.map", "1.reduce", "2.map", "2.reduce"} <= {stage.name for stage in running.progress.stages}


class LooksOnCommit(PartFiles):
    """An output that notes the state of its engine's jobs when it is to be shown."""

    states: list[str]
    engine: Engine

    async def commit(self) -> None:
        self.states = [job.state for job in self.engine.jobs]
        await super().commit()


async def test_a_job_that_shows_its_output_is_committing(engine, tmp_path):
    sink = LooksOnCommit(tmp_path / "out", TextFormat())
    sink.engine = engine
    await engine._backend.execute(COUNT, source(), sink)
    assert sink.states == ["committing"]
