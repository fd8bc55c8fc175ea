"""Keepers that hang, cannot be started, or have more to say than fits an answer."""

from __future__ import annotations

import asyncio
import operator

import pytest

from asyncmr import Job, PoolStartError, TaskTimeout
from asyncmr.streaming import Stream
from asyncmr.workers import pool
from asyncmr.workers.threads import InlineSlot
from tests.streaming.feeds import Instant, Listed
from tests.workers.talking import until


def words(_key, line):
    return [(word, 1) for word in line.split()]


COUNT = Job(mapper=words, fold=operator.add, partitions=3)


class HangingKeepers:
    """Makes one worker, and then keepers of which so many never answer what they are fed at last."""

    def __init__(self, times: int) -> None:
        self.times = times
        self._made = 0

    def __call__(self):
        self._made += 1
        keeps, slots = self._made > 1, self

        class Slot(InlineSlot):
            def call(self, operation, *arguments):
                if keeps and slots.times and operation == "feed":
                    slots.times -= 1
                    return asyncio.get_running_loop().create_future()
                return super().call(operation, *arguments)

        return Slot()


async def counted(job, **options):
    async with Stream(
        job, [Listed([b"a\n"] * 4)], workers=1, executor="inline", clock=Instant(), **options
    ) as stream:
        await stream.join()
        return await stream.top(9)


async def test_a_keeper_that_hangs_is_ended_and_started_again():
    slots = HangingKeepers(2)
    assert await counted(COUNT, task_timeout=0.1, slots=slots) == [("a", 4)]
    assert slots.times == 0


async def test_a_keeper_that_hangs_too_often_ends_the_stream():
    with pytest.raises(
        TaskTimeout, match=r"keeps the state took longer than task_timeout=0.1 s .* 2 attempts"
    ):
        await counted(COUNT, task_timeout=0.1, retries=1, slots=HangingKeepers(9))


async def test_whoever_asks_a_keeper_that_hangs_can_be_cancelled():
    slots = HangingKeepers(0)
    batches = [b"a\n"] * 4
    async with Stream(
        COUNT, [Listed(batches)], workers=1, executor="inline", clock=Instant(), slots=slots
    ) as stream:
        await stream.join()
        slots.times = 1
        asking = asyncio.create_task(stream.top(9))
        await until(lambda: not slots.times)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await stream.top(9) == [("a", 4)]


async def test_keepers_that_cannot_all_be_started_end_the_stream():
    made = []

    def slots():
        class Slot(InlineSlot):
            def start(self):
                made.append(self)
                if len(made) > 2:  # the worker and one keeper can be
                    raise OSError("no more processes")

        return Slot()

    with pytest.raises(PoolStartError, match="no more processes"):
        await counted(COUNT, keepers=3, slots=slots)


async def test_keepers_say_what_they_loaded_in_as_many_answers_as_it_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "REPLY_LIMIT", 1)
    batches = [f"{word}\n".encode() for word in "abcdefgh"]
    options = {"state": tmp_path / "state", "executor": "inline", "workers": 1, "clock": Instant()}
    for _ in range(2):
        async with Stream(COUNT, [Listed(batches)], **options) as stream:
            await stream.join()
            assert stream.stats().keys == 8
            assert [await stream.get(word) for word in "abcdefgh"] == [1] * 8
