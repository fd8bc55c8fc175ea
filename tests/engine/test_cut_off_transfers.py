"""Workers that are killed while bytes are on their way to them or from them: the task is tried again."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

import asyncmr
from asyncmr import Engine, Job, WorkerDied
from asyncmr.workers import pool as pool_module
from tests.engine.at_rest import is_at_rest
from tests.engine.faulty import STAGED, retries
from tests.family import total
from tests.workers.talking import until

MIB = 1 << 20


def seats(engine):
    return [seat for seat in engine._backend._pool._live if seat.session is not None]


async def test_a_worker_killed_while_it_sends_its_result_is_retried():
    """Its task makes 64 MB, and it dies with a part of an answer sent."""
    killed: list[int] = []

    def receiving():
        return [seat.slot for seat in seats(engine) if seat.slot._executor._inbox._room is not None]

    async def kill():
        while not killed:
            for slot in receiving():
                killed.append(slot.pid)
                os.kill(slot.pid, signal.SIGKILL)
            await asyncio.sleep(0)

    job = Job(mapper=lambda _, number: [((number, part), bytes([number]) * MIB) for part in range(64)])
    async with Engine(workers=2, limits=STAGED) as engine:
        killer = asyncio.create_task(kill())
        async with asyncio.timeout(20):
            async with engine.stream(job, asyncmr.records(range(2), records_per_task=1)) as pairs:
                seen = [(key, len(value), value[0]) async for key, value in pairs]
        await killer
        await is_at_rest(engine)
    assert seen == [((number, part), MIB, number) for number in range(2) for part in range(64)]
    assert retries(pairs.report) == 1


async def test_a_worker_killed_while_it_is_sent_its_input_is_retried(tmp_path, monkeypatch):
    """Its input goes through a socket, as where nothing can be shared; it is stopped, and dies with a part received."""
    monkeypatch.setattr(pool_module, "SHAREABLE", False)
    (tmp_path / "in").write_text(f"{'x' * 99}\n" * 40_000)

    def sending():
        return [seat.slot for seat in seats(engine) if seat.slot._executor._unsent]

    job = Job(mapper=lambda _, line: [(len(line), 1)], combiner=total, reducer=total)
    async with Engine(workers=2, limits=STAGED) as engine:
        await until(lambda: engine._backend._pool.stats().idle == 2)
        stopped = engine._backend._pool.pids()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        running = asyncio.create_task(engine.collect(job, tmp_path / "in"))
        await until(sending)
        victim, other = sorted(stopped, key=lambda pid: pid != sending()[0].pid)
        os.kill(victim, signal.SIGKILL)
        os.kill(other, signal.SIGCONT)
        async with asyncio.timeout(20):
            result = await running
        await is_at_rest(engine)
    assert dict(result) == {99: 40_000}
    assert retries(result.report) >= 1


async def test_a_worker_killed_while_it_reads_shared_memory_is_retried(tmp_path, trail):
    (tmp_path / "in").write_text("".join(f"{number:09}\n" for number in range(40_000)))

    def mapper(_key, line):
        if line == "000020000" and trail.first():
            os.kill(os.getpid(), signal.SIGKILL)
        yield len(line), 1

    job = Job(mapper=mapper, combiner=total, reducer=total)
    async with Engine(workers=2, limits=STAGED) as engine:
        result = await engine.collect(job, tmp_path / "in")
        await is_at_rest(engine)
    assert dict(result) == {9: 40_000}
    assert retries(result.report) == 1


@pytest.mark.both_loops
async def test_sigterm_to_a_worker_is_its_death_alone(trail):
    """The handlers of the application stay silent, and the task is tried again."""
    heard: list[int] = []

    def mapper(_key, record):
        if record == 5 and trail.first():
            trail.mark()
            signal.pause()
        yield record, os.getpid()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, heard.append, signal.SIGTERM)
    try:
        async with Engine(workers=1, limits=STAGED) as engine:
            running = asyncio.create_task(
                engine.collect(Job(mapper=mapper), asyncmr.records(range(9), records_per_task=3))
            )
            await trail.reach(1)
            os.kill(engine._backend._pool.pids()[0], signal.SIGTERM)
            result = await running
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
    assert [key for key, _ in result] == list(range(9))
    assert retries(result.report) == 1
    assert heard == []


async def test_without_retries_the_error_names_the_signal(trail):
    def mapper(_key, record):
        trail.mark()
        signal.pause()

    async with Engine(workers=1, limits=STAGED, retries=0) as engine:
        running = asyncio.create_task(engine.collect(Job(mapper=mapper), asyncmr.records([1])))
        await trail.reach(1)
        os.kill(engine._backend._pool.pids()[0], signal.SIGTERM)
        with pytest.raises(WorkerDied, match=r"stage 'map', split 0: .*signal 15 \(SIGTERM\)") as caught:
            await running
    assert caught.value.exitcode == -signal.SIGTERM
