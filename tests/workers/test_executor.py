"""The executor of one worker process, as asyncio uses any executor."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pickle import PickleBuffer

import pytest

from asyncmr.workers import entry
from asyncmr.workers.executor import WorkerExecutor
from asyncmr.workers.wire import framed
from tests.workers.talking import until


def reversed_bytes(buffers, times=1):
    return "done", str(times).encode(), [bytes(buffer)[::-1] * times for buffer in buffers]


@contextmanager
def executor_and_channel() -> Iterator[tuple[WorkerExecutor, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        executor = WorkerExecutor(ours, asyncio.get_running_loop())
        try:
            yield executor, theirs
        finally:
            executor.shutdown()


@pytest.fixture
async def executor():
    """One whose worker is a thread that serves as a process does."""
    with executor_and_channel() as (executor, channel):
        worker = threading.Thread(target=entry.answer, args=(channel,))
        worker.start()
        yield executor
        executor.shutdown()
        worker.join()


@pytest.mark.both_loops
async def test_calls_are_answered_in_order(executor):
    loop = asyncio.get_running_loop()
    calls = [loop.run_in_executor(executor, reversed_bytes, [b"ab"], times) for times in range(20)]
    answers = await asyncio.gather(*calls)
    assert answers == [("done", str(times).encode(), [b"ba" * times]) for times in range(20)]


@pytest.mark.both_loops
async def test_large_calls_and_answers_do_not_hold_up_the_loop(executor):
    turns = 0

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(turn())
    data = bytes(range(256)) * (32 << 10)
    future = executor.submit(reversed_bytes, [PickleBuffer(data)], times=2)
    _, _, [answer] = await asyncio.wrap_future(future)
    ticker.cancel()
    assert bytes(answer) == data[::-1] * 2
    assert turns > 3 * len(data) // (256 << 10)  # a call and an answer of twice its size, in pieces


async def test_a_worker_that_is_gone_fails_what_is_under_way_and_what_follows():
    with executor_and_channel() as (executor, channel):
        calls = [executor.submit(reversed_bytes, []) for _ in range(2)]
        channel.close()
        await until(lambda: all(call.done() for call in calls))
        assert [type(call.exception()) for call in calls] == [BrokenExecutor] * 2
        with pytest.raises(BrokenExecutor):
            executor.submit(reversed_bytes, [])


async def test_disconnecting_takes_the_answers_that_were_sent_already():
    with executor_and_channel() as (executor, channel):
        answered, lost = executor.submit(reversed_bytes, []), executor.submit(reversed_bytes, [])
        channel.sendmsg(framed([b"done", b"head"]))
        executor.disconnect()
        assert answered.result(0) == ("done", b"head", [])
        with pytest.raises(BrokenExecutor):
            lost.result(0)


async def test_disconnecting_from_a_worker_that_has_hung_up_is_harmless_and_may_be_repeated():
    with executor_and_channel() as (executor, channel):
        lost = executor.submit(reversed_bytes, [])
        channel.close()
        executor.disconnect()
        executor.disconnect()
        with pytest.raises(BrokenExecutor):
            lost.result(0)


async def test_a_call_that_was_sent_cannot_be_cancelled(executor):
    future = executor.submit(reversed_bytes, [b"ab"])
    assert not future.cancel()
    assert (await asyncio.wrap_future(future))[2] == [b"ba"]
