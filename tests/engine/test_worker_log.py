"""What user functions print and log reaches `logging` in the host, with job and worker named."""

from __future__ import annotations

import logging
import sys

import pytest

import asyncmr
from asyncmr import Engine, Job
from asyncmr.engines.allowance import LINES, Allowance


def speak(_key, line):
    sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"100% {line}\n")
    logging.getLogger("tests.worker_log").warning("50%% of %s", line)
    yield line, 1


def shout(_key, number):
    sys.stdout.write("x\n" * number)
    yield number, 1


def crash(_key, line):
    sys.stdout.write("farewell\n")
    raise SystemExit("end") if line else ValueError


def records_of(caplog, name):
    return [record for record in caplog.records if record.name == name]


async def test_prints_and_records_name_job_stage_and_worker(caplog):
    async with Engine(workers=1) as engine:
        await engine.collect(Job(mapper=speak, name="talker"), asyncmr.records(["hello"]))
    [out] = records_of(caplog, "asyncmr.worker.stdout")
    [err] = records_of(caplog, "asyncmr.worker.stderr")
    [log] = records_of(caplog, "tests.worker_log")
    assert (out.levelno, err.levelno, log.levelno) == (logging.INFO, logging.WARNING, logging.WARNING)
    assert out.message == f"[talker: map, worker {out.asyncmr_worker}] hello"
    assert err.message.endswith("] 100% hello")
    assert log.message.endswith("] 50% of hello")
    assert (log.asyncmr_job, log.asyncmr_stage, log.msg) == ("talker", "map", "[%s] 50%% of hello")


async def test_what_a_job_said_is_there_when_it_returns(caplog):
    async with Engine(workers=1) as engine:
        for number in range(20):
            await engine.collect(Job(mapper=speak, name=f"job {number}"), asyncmr.records(["a", "b"]))
            said = records_of(caplog, "asyncmr.worker.stdout")
            assert [record.asyncmr_job for record in said[-2:]] == [f"job {number}"] * 2
            assert len(said) == 2 * (number + 1)


async def test_what_a_job_said_is_there_when_it_fails(caplog):
    async with Engine(workers=1) as engine:
        with pytest.raises(asyncmr.MapperError):
            await engine.collect(Job(mapper=crash), asyncmr.records(["a"]))
        assert records_of(caplog, "asyncmr.worker.stdout")[0].message.endswith("farewell")


async def test_a_flood_is_cut_off_and_counted(caplog):
    """Nothing is lost that is below the limit."""
    number = 200_000
    async with Engine(workers=1) as engine:
        await engine.collect(Job(mapper=shout, name="loud"), asyncmr.records([LINES]))
        assert len(records_of(caplog, "asyncmr.worker.stdout")) == LINES
        assert not records_of(caplog, "asyncmr.worker")
        caplog.clear()
        await engine.collect(Job(mapper=shout, name="loud"), asyncmr.records([number]))
    shown = len(records_of(caplog, "asyncmr.worker.stdout"))
    notices = records_of(caplog, "asyncmr.worker")
    dropped = sum(int(record.msg.split()[1].replace(",", "")) for record in notices)
    assert shown >= LINES
    assert shown + dropped == number
    assert notices[-1].message.startswith("[loud] ")


async def test_without_logging_a_print_goes_to_standard_error(capfd, monkeypatch):
    monkeypatch.setattr(logging.getLogger("asyncmr.worker.stdout"), "propagate", False)
    async with Engine(workers=1) as engine:
        await engine.collect(Job(mapper=shout, name="quiet"), asyncmr.records([1]))
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("[quiet: map, worker ")


async def test_a_filter_that_raises_fails_no_job():
    unheard = []
    logger = logging.getLogger("asyncmr.worker.stdout")
    logger.addFilter(lambda record: 1 / 0 > 1)
    try:
        async with Engine(workers=1) as engine:
            engine._backend._worker_log._loop.set_exception_handler(
                lambda _, context: unheard.append(context)
            )
            await engine.collect(Job(mapper=shout), asyncmr.records([1]))
    finally:
        logger.filters.clear()
    assert isinstance(unheard[0]["exception"], ZeroDivisionError)


def test_an_allowance_is_of_a_second_and_tells_what_it_dropped_in_the_next():
    allowance = Allowance()
    assert allowance.take(LINES - 1, 10.0) == (LINES - 1, 0)
    assert allowance.take(5, 10.5) == (1, 0)
    assert allowance.take(5, 10.9) == (0, 0)
    assert allowance.take(5, 11.0) == (5, 9)
    assert allowance.told() == 0
