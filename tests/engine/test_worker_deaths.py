"""Workers that are killed or crash while a job runs: the output is exact, or one error says why there is none."""

from __future__ import annotations

import asyncio
import os
import signal
from multiprocessing import forkserver

import pytest

import asyncmr
from asyncmr import Engine, Job, Source, WorkerDied
from asyncmr.connectors.text import TextFiles
from asyncmr.pipeline.attempts import Attempts
from asyncmr.pipeline.limits import Limits
from asyncmr.pipeline.made import Made
from tests.engine.at_rest import is_at_rest
from tests.engine.faulty import STAGED, collected, remainders, retries
from tests.engine.trail import work
from tests.family import listed, total
from tests.workers.talking import alive


def die(signum=signal.SIGKILL):
    os.kill(os.getpid(), signum)
    signal.pause()


def by_remainder(trail):
    """A job whose mapper leaves a mark and counts, for every record that it sees."""

    def mapper(_key, record):
        trail.mark()
        work()
        asyncmr.counter("test", "mapped").increment()
        yield int(record) % 97, int(record)

    return Job(mapper=mapper, reducer=listed, partitions=8)


async def killing(engine, trail, records, points):
    """Kills a worker at every one of so many points of the mapping."""
    for point in range(points):
        await trail.reach(records * (2 * point + 1) // (2 * points))
        pids = engine._backend._pool.pids()
        if pids:
            os.kill(pids[point % len(pids)], signal.SIGKILL)


@pytest.mark.parametrize("source", ["memory", "file"])
async def test_killing_workers_at_twenty_points_changes_neither_the_output_nor_the_counters(
    source, trail, tmp_path
):
    records = range(3000)
    (tmp_path / "numbers").write_text("".join(f"{number:04}\n" for number in records))
    sources: dict[str, Source] = {
        "memory": asyncmr.records(records, records_per_task=30),
        "file": TextFiles(tmp_path / "numbers", split_bytes=150),
    }
    job = by_remainder(trail)
    async with Engine(workers=2, retries=20, limits=STAGED) as engine:
        undisturbed = list(await engine.collect(job, sources[source]))
        trail.clear()
        killer = asyncio.create_task(killing(engine, trail, len(records), 20))
        result = await engine.collect(job, sources[source])
        await killer
        await is_at_rest(engine)
    assert sorted(result) == remainders(97, records)
    assert list(result) == undisturbed
    assert retries(result.report) > 0
    assert result.report.counters == {"test": {"mapped": len(records)}}
    # The control of the line above: some records were mapped again, and could have counted twice.
    assert trail.marks() > len(records)


def dying_half_way(trail):
    """A job that only maps; its worker dies when megabytes of a task's output have been sent already."""

    def mapper(_key, record):
        for part in range(12_000):
            if part == 11_000 and record == 1 and trail.first():
                die()
            yield (record, part), "x" * 1000

    return Job(mapper=mapper)


async def keys_although_it_dies(trail):
    return [key for key, _ in await collected(dying_half_way(trail), range(3), per_task=1)]


EXPECTED_KEYS = [(record, part) for record in range(3) for part in range(12_000)]


async def test_what_a_task_sent_before_its_worker_died_is_dropped(trail):
    assert await keys_although_it_dies(trail) == EXPECTED_KEYS


async def test_without_dropping_it_that_output_appears_twice(trail, monkeypatch):
    """The negative control of the test above: the attempts of a task share one outcome, which nobody discards."""
    run = Attempts.run

    async def discards_nothing(made):
        return None

    async def run_with_one_outcome(attempts, task, feed, outcome):
        made = outcome(1)
        return await run(attempts, task, feed, lambda attempt: made)

    monkeypatch.setattr(Made, "discard", discards_nothing)
    monkeypatch.setattr(Attempts, "run", run_with_one_outcome)
    assert len(await keys_although_it_dies(trail)) > len(EXPECTED_KEYS)


async def test_a_task_that_dies_once_counts_once(trail):
    def mapper(_key, record):
        asyncmr.counter("test", "mapped").increment()
        if record == 7 and trail.first():
            die()
        yield record % 3, record

    job = Job(mapper=mapper, reducer=listed)
    result = await collected(job, range(40))
    assert sorted(result) == remainders(3, range(40))
    assert result.report.counters == {"test": {"mapped": 40}}
    assert result.report.stages["map"].records_in == 40
    assert (result.report.stages["map"].retries, result.report.stages["map"].attempts) == (1, 5)


async def test_a_small_job_in_one_task_survives_as_well(trail):
    def reducer(key, values):
        if key == 2 and trail.first():
            die()
        yield key, sum(values)

    result = await collected(Job(mapper=lambda _, n: [(n % 3, n)], reducer=reducer), range(9), limits=None)
    assert dict(result) == {0: 9, 1: 12, 2: 15}
    assert retries(result.report) == 1


async def test_a_worker_killed_while_reducing_is_replaced(trail):
    def reducer(key, values):
        asyncmr.counter("test", "reduced").increment()
        if key % 10 == 3 and trail.first(key):
            die()
        yield key, list(values)

    job = Job(mapper=lambda _, n: [(n % 50, n)], reducer=reducer, partitions=5)
    result = await collected(job, range(200))
    assert sorted(result) == remainders(50, range(200))
    assert result.report.counters == {"test": {"reduced": 50}}
    assert result.report.stages["reduce"].retries == 5


async def test_a_worker_killed_while_the_combiner_merges_is_replaced(trail):
    def combiner(key, values):
        values = list(values)
        if max(values) > 1 and trail.first():  # what was combined before: this merges
            die()
        yield key, sum(values)

    job = Job(mapper=lambda _, n: [(n % 4, 1)] * 5, combiner=combiner, reducer=total)
    result = await collected(job, range(64), per_task=8, limits=Limits(fused=0, fan_in=2, large_partial=0))
    assert sorted(result) == [(key, 80) for key in range(4)]
    assert result.report.stages["combine"].retries == 1


async def test_a_split_that_always_crashes_its_worker_fails_with_an_error_that_names_it():
    def mapper(_key, record):
        if record == 35:
            die(signal.SIGSEGV)
        yield record, record

    job = Job(mapper=mapper, reducer=listed, name="poisoned")
    async with Engine(workers=2, retries=2, limits=STAGED) as engine:
        with pytest.raises(WorkerDied, match=r"poisoned.*map.*split 3.*3 attempts.*SIGSEGV") as caught:
            await engine.collect(job, asyncmr.records(range(60), records_per_task=10))
        await is_at_rest(engine)
        assert len(await engine.collect(job, asyncmr.records(range(30)))) == 30
    error = caught.value
    assert (error.job, error.stage, error.task, error.attempts) == ("poisoned", "map", "split 3", 3)
    assert error.exitcode == -signal.SIGSEGV


async def test_the_error_names_the_file_of_a_split_that_crashes(tmp_path):
    (tmp_path / "a.txt").write_text("fine\n" * 10)
    (tmp_path / "b.txt").write_text("poison\n")

    def mapper(_key, line):
        if line == "poison":
            die(signal.SIGSEGV)
        yield line, 1

    source = TextFiles([tmp_path / "a.txt", tmp_path / "b.txt"], split_bytes=50)
    async with Engine(workers=1, retries=0, limits=STAGED) as engine:
        with pytest.raises(WorkerDied, match=r"split 1 \(.*b\.txt from byte 0\)"):
            await engine.collect(Job(mapper=mapper, reducer=listed), source)


async def test_a_partition_that_always_crashes_its_worker_is_named():
    def reducer(key, values):
        if key == 3:
            die(signal.SIGABRT)
        yield key, 1

    job = Job(mapper=lambda _, n: [(n, n)], reducer=reducer, partitions=4, partitioner=lambda key, n: key % n)
    with pytest.raises(WorkerDied, match=r"reduce.*partition 3.*2 attempts.*SIGABRT") as caught:
        await collected(job, range(8), retries=1)
    assert (caught.value.stage, caught.value.task) == ("reduce", "partition 3")


async def test_without_retries_the_first_death_is_the_last(trail):
    def mapper(_key, record):
        trail.mark()
        os._exit(3)

    with pytest.raises(WorkerDied, match=r"1 attempt.*_exit") as caught:
        await collected(Job(mapper=mapper), [1], retries=0)
    assert (caught.value.attempts, caught.value.exitcode, trail.marks()) == (1, 3, 1)


async def test_when_the_forkserver_dies_its_workers_are_replaced_and_the_job_goes_on(trail):
    """The kernel may choose it when memory runs out. Workers then have no parent that could tell how they end."""
    records = range(2000)
    job = by_remainder(trail)
    async with Engine(workers=2, retries=20, limits=STAGED) as engine:
        running = asyncio.create_task(engine.collect(job, asyncmr.records(records, records_per_task=30)))
        await trail.reach(200)
        before = set(engine._backend._pool.pids())
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]
        result = await running
        await is_at_rest(engine)
        assert before.isdisjoint(engine._backend._pool.pids())
    assert sorted(result) == remainders(97, records)
    assert not any(map(alive, before))
