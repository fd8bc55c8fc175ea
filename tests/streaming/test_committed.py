"""What is asked of a stream while it commits, and what a window shows that is retained no longer."""

from __future__ import annotations

import asyncio
import operator
import threading

import pytest

from asyncmr import Job, StorageError
from asyncmr.streaming import Stream, Windowing
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.windows import Window
from tests.streaming.feeds import Endless, Instant


def words(_key, line):
    return [(word, 1) for word in line.split()[1:]]


JOB = Job(mapper=words, fold=operator.add, partitions=4)


def stream(feed, **options):
    return Stream(JOB, [feed], executor="inline", workers=1, clock=Instant(), **options)


async def test_what_is_not_committed_is_not_told():
    committing = asyncio.Event()
    go = threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(StateStore):
        def commit(self, commit):
            loop.call_soon_threadsafe(committing.set)
            go.wait(30)
            super().commit(commit)

    lines = b"1000000000000 a b\n", b"1000000009000 c\n"
    window = "1s retain all ahead any event ^(\\d+)"
    async with stream(Endless(*lines), window=window, make_store=Slow) as running:
        await committing.wait()
        assert (running.stats().keys, await running.windows()) == (0, [])
        go.set()
        assert len(await running.top(9, 1e9)) == 2


async def test_a_stream_that_is_cancelled_while_it_opens_gives_its_folder_back(tmp_path):
    opening = asyncio.Event()
    go = threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(StateStore):
        def open(self, identity):
            super().open(identity)
            loop.call_soon_threadsafe(opening.set)
            go.wait(30)

    async def run(**options):
        feed = Endless(b"0 a\n")
        async with stream(feed, state=tmp_path / "state", **options):
            await feed.durable.wait()

    task = asyncio.create_task(run(make_store=Slow))
    await opening.wait()
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await run()


async def test_a_stream_that_finds_no_place_for_its_state_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StorageError, match="could not make a folder for temporary files"):
        async with stream(Endless(b"")):
            pass


def test_a_window_of_which_panes_may_be_gone_is_not_shown():
    windowing = Windowing("3s/1s", retain="1s")
    panes = [3, 4, 5]
    assert windowing.held(panes, 4999) == windowing.windows.over(panes)
    assert windowing.expired(panes, 7000) == [3]
    shown = windowing.held(panes, 7000)
    assert shown == [Window(4000, 7000), Window(5000, 8000)]
    assert not any(3 in windowing.windows.panes_of(window) for window in shown)
