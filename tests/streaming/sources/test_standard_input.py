from __future__ import annotations

import asyncio
import os

import pytest

from asyncmr.errors import InputError
from asyncmr.streaming.feeds.standard_input import StandardInputFeed
from tests.streaming.sources.surroundings import Pulled


@pytest.fixture
def pipe():
    """A pipe that is standard input; what writes to it."""
    before = os.dup(0)
    read, write = os.pipe()
    os.dup2(read, 0)
    os.close(read)
    writer = os.fdopen(write, "wb", buffering=0)
    yield writer
    writer.close()
    os.dup2(before, 0)
    os.close(before)


async def test_it_is_read_to_its_end_and_the_last_line_may_lack_its_own(pipe, disk):
    async with Pulled(StandardInputFeed(), disk) as pulled:
        pipe.write(b"1\n2")
        assert (await pulled.next()).data == b"1\n"
        pipe.write(b"2\n3")
        pipe.close()
        assert await pulled.rest() == [b"1", b"22", b"3"]


async def test_a_line_that_is_too_long_is_left_out(pipe, disk, caplog):
    feed = StandardInputFeed()
    async with Pulled(feed, disk, line_limit=10) as pulled:
        pipe.write(b"1\n" + b"x" * 11)
        assert (await pulled.next()).data == b"1\n"
        pipe.write(b"x\n2\n")
        pipe.close()
        assert await pulled.rest() == [b"1", b"2"]
    assert feed.refused == 1
    assert "a line was left out: it is longer than the limit, 10 bytes" in caplog.text


async def test_while_it_is_not_pulled_the_writer_waits(pipe, disk):
    async with Pulled(StandardInputFeed(), disk) as pulled:
        pipe.write(b"1\n")
        await pulled.next()
        os.set_blocking(pipe.fileno(), False)
        while pipe.write(b"2\n" * 2048):  # None: the pipe is full
            pass
        assert await pulled.next()
        assert pipe.write(b"3\n") == 2


async def test_a_file_is_standard_input_too(tmp_path, disk):
    path = tmp_path / "lines"
    path.write_bytes(b"1\n2\n")
    before = os.dup(0)
    file = os.open(path, os.O_RDONLY)
    os.dup2(file, 0)
    os.close(file)
    try:
        async with Pulled(StandardInputFeed(), disk) as pulled:
            assert await pulled.rest() == [b"1", b"2"]
    finally:
        os.dup2(before, 0)
        os.close(before)


async def test_one_that_is_closed_is_told(disk):
    before = os.dup(0)
    os.close(0)
    try:
        async with Pulled(StandardInputFeed(), disk) as pulled:
            with pytest.raises(InputError, match="could not read '<stdin>': Bad file descriptor"):
                await pulled.next()
    finally:
        os.dup2(before, 0)
        os.close(before)


@pytest.mark.both_loops
async def test_cancelled_it_leaves_nothing(pipe, disk):
    async with Pulled(StandardInputFeed(), disk) as pulled:
        pulling = asyncio.ensure_future(pulled.next())
        await pulled.clock.asleep.wait()
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
