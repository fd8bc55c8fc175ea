"""A stream that is drained reads no more, has committed what it read, and still answers."""

from __future__ import annotations

import pytest

from asyncmr import jobs
from asyncmr.errors import ClosedError
from asyncmr.streaming import Stream
from asyncmr.streaming.http import PushFeed
from tests.streaming.feeds import Endless


async def test_what_was_pushed_is_committed_and_can_be_asked_for(tmp_path):
    lines, endless = PushFeed(), Endless(b"to be\n")
    async with Stream(
        jobs.wordcount, [lines, endless], state=tmp_path, executor="thread", workers=1
    ) as stream:
        await endless.durable.wait()
        pushed = [lines.push(b"or not\n" * 1_000, token=f"{number}") for number in range(4)]
        await stream.drain()
        assert all(done.done() for done in pushed)
        assert await stream.get("not") == 4_000
        assert await stream.get("be") == 1
        with pytest.raises(ClosedError):
            lines.push(b"more\n")
        await stream.drain()  # again is as good as once


async def test_windows_that_are_open_stay_open(tmp_path):
    feed = Endless(b"2026-11-21T20:59:59Z be\n")
    window = r"1h event ^(\S+)"
    async with Stream(jobs.wordcount, [feed], window=window, executor="thread", workers=1) as stream:
        await feed.durable.wait()
        await stream.drain()
        assert [info.state for info in await stream.windows()] == ["open"]
