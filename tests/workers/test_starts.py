"""Workers that cannot be started: tried again after a moment, given up at last, and all there once it works."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from multiprocessing import forkserver

import pytest

from asyncmr.errors import PoolStartError
from asyncmr.workers import Pool, Program
from asyncmr.workers.threads import ThreadSlot
from tests.workers.programs import Echo
from tests.workers.talking import talk, until

ECHO = Program(Echo())


class Starts:
    """Makes slots of which so many that are to be started next cannot be."""

    def __init__(self, failing):
        self.failing = failing

    def __call__(self):
        starts = self

        class Slot(ThreadSlot):
            def start(self):
                if starts.failing:
                    starts.failing -= 1
                    raise OSError("no more processes")

        return Slot()


def is_whole(pool):
    return pool.stats().idle == pool.workers


@pytest.mark.parametrize("failing", [1, 2])
async def test_a_start_that_fails_is_tried_again(failing):
    async with Pool(1, slots=Starts(failing)) as pool:
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        assert is_whole(pool)


@pytest.mark.both_loops
async def test_a_pool_that_could_start_some_workers_only_has_all_once_it_can():
    """The first start that works brings those that were given up."""
    starts = Starts(1000)
    async with Pool(3, slots=starts) as pool:
        with pytest.raises(PoolStartError, match="no more processes"):
            await talk(pool, ECHO, "flood", 1)
        starts.failing = 0
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        await until(lambda: is_whole(pool))


async def test_workers_that_are_left_serve_while_another_cannot_be_started():
    starts = Starts(0)
    async with Pool(2, slots=starts) as pool:
        await until(lambda: is_whole(pool))
        starts.failing = 1000
        pool.discard(pool._idle[0])
        await until(lambda: starts.failing < 1000 and not pool._starting)
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        starts.failing = 0
        # Two at once: the second has to wait, and so looks for the worker that is missing.
        await asyncio.gather(*(talk(pool, ECHO, "flood", 1) for _ in range(2)))
        await until(lambda: is_whole(pool))


async def test_leaving_does_not_wait_for_the_next_attempt():
    async with Pool(2, slots=Starts(1000)) as pool:
        await until(lambda: pool._pauses)
    assert pool.stats().idle == 0


def are_gone(pool, pids):
    return pids.isdisjoint(pool.pids())


async def test_a_pool_whose_forkserver_was_killed_is_whole_again():
    async with Pool(2) as pool:
        for _ in range(5):
            await until(lambda: is_whole(pool))
            before = set(pool.pids())
            os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]
            await until(partial(are_gone, pool, before))
            assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        await until(lambda: is_whole(pool))


async def test_where_all_are_needed_who_waits_is_told_that_one_cannot_be_started():
    starts = Starts(0)
    async with Pool(2, slots=starts, all_needed=True) as pool:
        await until(lambda: is_whole(pool))
        starts.failing = 1000
        pool.discard(pool._idle[0])
        async with pool.session(ECHO, "flood", 1):
            with pytest.raises(PoolStartError, match="no more processes"):
                await talk(pool, ECHO, "flood", 1)
