from __future__ import annotations

import asyncio
import json

import pytest

from asyncmr.errors import InputError
from asyncmr.streaming.feeds.tail import TailFeed
from tests.streaming.sources.surroundings import Pulled


async def test_what_is_written_comes_and_what_is_rotated_too(tmp_path, disk):
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\n")
    feed = TailFeed(path)
    async with Pulled(feed, disk) as pulled:
        assert await pulled.until(2) == [b"1", b"2"]
        assert feed.lag == 0
        with path.open("ab") as file:
            file.write(b"3\n")
        path.rename(tmp_path / "app.log.1")
        path.write_bytes(b"4\n")
        assert await pulled.until(4) == [b"1", b"2", b"3", b"4"]


async def test_it_goes_on_behind_the_committed_position(tmp_path, disk):
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n2\n")
    async with Pulled(TailFeed(path), disk) as pulled:
        await pulled.until(2)
    positions = json.loads(json.dumps(pulled.positions))
    with path.open("ab") as file:
        file.write(b"3\n")
    path.rename(tmp_path / "app.log-20261121")
    path.write_bytes(b"4\n")
    async with Pulled(TailFeed(path), disk, positions) as pulled:
        assert await pulled.until(2) == [b"3", b"4"]


async def test_the_first_position_is_there_before_the_first_line(tmp_path, disk):
    """So that a log which is rotated while nobody reads it is read nevertheless."""
    path = tmp_path / "app.log"
    path.touch()
    async with Pulled(TailFeed(path), disk) as pulled:
        batch = await pulled.next()
    assert batch.data == b""
    path.write_bytes(b"1\n")
    path.rename(tmp_path / "app.log.1")
    path.write_bytes(b"2\n")
    async with Pulled(TailFeed(path), disk, pulled.positions) as pulled:
        assert await pulled.until(2) == [b"1", b"2"]


async def test_how_far_it_has_been_read_is_told_for_people(tmp_path, disk):
    path = tmp_path / "app.log"
    path.write_bytes(b"12\n" * 500)
    feed = TailFeed(path)
    assert feed.place({}) == "nothing yet"
    async with Pulled(feed, disk) as pulled:
        await pulled.until(500)
        assert feed.place(pulled.positions) == "byte 1,500"
        path.rename(tmp_path / "app.log.1")
        path.write_bytes(b"3\n")
        await pulled.until(501)
    assert feed.place(pulled.positions) == "byte 2, and 1 rotated before it"


async def test_a_log_that_is_not_there_is_waited_for(tmp_path, disk, caplog):
    path = tmp_path / "app.log"
    async with Pulled(TailFeed(path), disk) as pulled:
        pulling = asyncio.ensure_future(pulled.until(1))
        await pulled.clock.asleep.wait()
        path.write_bytes(b"1\n")
        assert await pulling == [b"1"]
    assert caplog.text.count("is not there, or not a file; it is read as soon as it is") == 1


async def test_a_folder_that_is_not_there_is_told(tmp_path, disk):
    path = tmp_path / "none" / "app.log"
    feed = TailFeed(path)
    async with Pulled(feed, disk, {"": {"files": [mark()]}}) as pulled:
        with pytest.raises(InputError, match=f"could not follow '{path}': there is no such file or folder"):
            await pulled.next()


async def test_cancelled_it_leaves_nothing(tmp_path, disk):
    path = tmp_path / "app.log"
    path.write_bytes(b"1\n")
    async with Pulled(TailFeed(path), disk) as pulled:
        await pulled.until(1)
        pulling = asyncio.ensure_future(pulled.next())
        await pulled.clock.asleep.wait()
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling


def mark():
    return {"device": 1, "inode": 1, "offset": 1, "head": "", "seam": ""}
