"""Setups for async functions: made on their event loop, entered once for a run of the job, and left at its end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import asyncmr
from asyncmr import Engine, Job, MapperError, SetupError, UsageError
from asyncmr.asynchronous import is_async_setup
from tests.engine.at_rest import is_at_rest
from tests.family import total

NUMBERS = range(20)


class Client:
    """What a setup makes; it writes down what happens to it."""

    def __init__(self, story):
        self.story = story

    async def __aenter__(self):
        self.story.append("entered")
        return self

    async def __aexit__(self, kind, error, trace):
        await asyncio.sleep(0)
        self.story.append(f"left by {kind}")

    async def get(self, number):
        await asyncio.sleep(0)
        if number is None:
            raise OSError("no")
        return number * 2


async def doubled(_key, number):
    yield number % 3, await asyncmr.context().get(number)


EXPECTED = {rest: 2 * sum(range(rest, 20, 3)) for rest in range(3)}


async def run(job, records=NUMBERS, **options):
    async with Engine(workers=1, executor="inline", retries=0, **options) as engine:
        try:
            return await engine.collect(job, asyncmr.records(records))
        finally:
            await is_at_rest(engine)


def ways(story):
    """The forms that a setup for async functions may have."""

    async def opened():
        return Client(story)

    @asynccontextmanager
    async def managed():
        async with Client(story) as client:
            yield client

    return {"plain": lambda: Client(story), "coroutine": opened, "managed": managed}


@pytest.mark.both_loops
@pytest.mark.parametrize("way", ["plain", "coroutine", "managed"])
async def test_what_it_makes_is_entered_once_and_left_when_the_job_is_done(way):
    story: list[str] = []
    result = await run(Job(mapper=doubled, combiner=total, reducer=total, setup=ways(story)[way]))
    assert dict(result) == EXPECTED
    assert story == ["entered", "left by None"]


@pytest.mark.parametrize("way", ["plain", "managed"])
async def test_it_is_left_as_if_all_had_gone_well_when_the_job_fails(way):
    story: list[str] = []
    with pytest.raises(MapperError, match="unsupported operand"):
        await run(Job(mapper=doubled, setup=ways(story)[way]), [1, None])
    assert story == ["entered", "left by None"]


async def test_it_is_left_when_the_job_is_cancelled():
    story: list[str] = []
    begun = asyncio.Event()

    async def waits(_key, _number):
        begun.set()
        await asyncio.Event().wait()

    async with Engine(workers=1, executor="inline") as engine:
        running = asyncio.create_task(
            engine.collect(Job(mapper=waits, setup=ways(story)["plain"]), asyncmr.records(NUMBERS))
        )
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert story == ["entered", "left by None"]
        await is_at_rest(engine)


async def test_a_context_manager_cannot_hide_that_the_job_failed():
    @asynccontextmanager
    async def swallows():
        with suppress(Exception):
            yield Client([])

    with pytest.raises(MapperError):
        await run(Job(mapper=doubled, setup=swallows), [None])


async def test_mapper_and_reducer_each_have_one_of_their_own():
    story: list[str] = []

    async def reduced(key, values):
        yield key, sum(values) + await asyncmr.context().get(1)

    result = await run(Job(mapper=doubled, reducer=reduced, setup=ways(story)["managed"]))
    assert dict(result) == {key: value + 2 for key, value in EXPECTED.items()}
    assert story == ["entered", "left by None"] * 2


async def fails_at_first():
    raise OSError("no route")


@asynccontextmanager
async def fails_at_last():
    yield Client([])
    raise OSError("no route")


@pytest.mark.parametrize("setup", [fails_at_first, fails_at_last])
async def test_one_that_raises_fails_the_job(setup):
    with pytest.raises(
        SetupError, match=rf"stage 'map': the setup {setup.__name__} .*\n  OSError: no route"
    ) as caught:
        await run(Job(mapper=doubled, setup=setup))
    assert isinstance(caught.value.__cause__, OSError)


async def test_one_that_cannot_be_left_after_a_failure_is_told(caplog):
    with caplog.at_level(logging.WARNING, "asyncmr"), pytest.raises(MapperError):
        await run(Job(mapper=doubled, setup=fails_at_last), [None])
    assert "fails_at_last made raised when it was left" in caplog.text


async def test_one_that_takes_too_long_to_leave_is_given_up(caplog, monkeypatch):
    monkeypatch.setattr("asyncmr.pipeline.setups.END_SECONDS", 0.01)

    @asynccontextmanager
    async def lingers():
        yield Client([])
        await asyncio.Event().wait()

    with caplog.at_level(logging.WARNING, "asyncmr"), pytest.raises(MapperError):
        await run(Job(mapper=doubled, setup=lingers), [None])
    assert "longer than 0.01 s to be left" in caplog.text


def test_where_no_function_is_async_it_is_refused():
    setups: list[Any] = [ways([])["coroutine"], ways([])["managed"], Client]
    for setup in setups:
        assert is_async_setup(setup)
        with pytest.raises(UsageError, match="async mappers and reducers"):
            Job(mapper=lambda key, value: [(key, value)], setup=setup)
