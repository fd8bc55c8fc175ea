"""How `asyncmr serve` ends: with everything that it has answered in its state, whoever is connected."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import pytest

from asyncmr import jobs
from asyncmr.streaming import Stream
from asyncmr.streaming.daemon import run_daemon
from asyncmr.streaming.http import Address, PushFeed
from tests.cli.test_serve import Daemon, serving
from tests.streaming.http.client import Answer, Client, answer, request

# Its workers map nothing before somebody writes to the FIFO `gate`.
GATED = """
import asyncmr

gate = []

def words(_key, line):
    if not gate:
        gate.append(open("gate").read())
    if line == "fail":
        raise ValueError("no such line")
    for word in line.split():
        yield word, 1

job = asyncmr.Job(mapper=words, aggregator=asyncmr.Sum())
"""
LINE = b"word " * 20 + b"\n"
BODY = LINE * ((1 << 20) // len(LINE))
WORDS = BODY.count(b"word")


@asynccontextmanager
async def gated(folder: Path, *arguments: str) -> AsyncIterator[tuple[Daemon, Client]]:
    (folder / "gated.py").write_text(GATED)
    if not (folder / "gate").exists():
        os.mkfifo(folder / "gate")
    async with serving(folder, "--job", "gated.py:job", "--state", "state", *arguments) as daemon:
        yield daemon, Client(Address.parse(daemon.url.removeprefix("http://")))


async def open_gate(folder: Path) -> None:
    await asyncio.to_thread((folder / "gate").write_text, "open")


async def filled(client: Client) -> list[asyncio.Task[Answer]]:
    """Posts more than the daemon has room for, until it says so."""
    posts = [asyncio.create_task(client.post(BODY)) for _ in range(24)]
    await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
    return posts


async def unready(client: Client) -> None:
    while (await client.get("/readyz")).status != 503:
        pass


async def test_a_full_daemon_with_clients_of_all_kinds_ends_in_order(tmp_path):
    async with gated(tmp_path) as (daemon, client), AsyncExitStack() as stack:
        subscribed = [await stack.enter_async_context(client.events("/v1/subscribe?k=3")) for _ in range(3)]
        for events in subscribed:
            await anext(events)
        for _ in range(50):
            await stack.enter_async_context(client.connected())
        half, sending = await stack.enter_async_context(client.connected())
        sending.write(request("POST", "/v1/ingest", {"Content-Length": "100"}) + b"half ")
        posts = await filled(client)
        ending = asyncio.create_task(daemon.ended(signal.SIGTERM))
        await unready(client)
        assert (await client.get("/healthz")).status == 200
        late = await client.post(b"late\n")
        assert (late.status, late.headers["retry-after"]) == (503, "1")
        assert (await answer(half)).status == 503
        await open_gate(tmp_path)
        statuses = [(await post).status for post in posts]
        assert {202, 429} <= set(statuses)
        counted = WORDS * statuses.count(202)
        for events in subscribed:
            last = [event async for event in events][-1]["data"]
            assert last["top"] == [{"key": "word", "value": counted}]
        assert await ending == (0, "")
    async with gated(tmp_path) as (daemon, client):
        assert (await client.get("/v1/count/word")).json["count"] == counted
        assert {(await client.get(f"/v1/count/{word}")).json["count"] for word in ("half", "late")} == {0}


@pytest.mark.parametrize("second", [False, True], ids=["in time", "by a second signal"])
async def test_an_end_that_cannot_wait_says_what_it_leaves(tmp_path, second):
    async with gated(tmp_path, "--drain-timeout", "60" if second else "0.1") as (daemon, client):
        posting = asyncio.create_task(client.post(b"word\n"))
        while not (await client.get("/v1/stats")).json["sources"][0]["lag"]:
            pass
        ending = asyncio.create_task(daemon.ended(signal.SIGTERM))
        if second:
            daemon.process.send_signal(signal.SIGTERM)  # at once, it is still the first
            assert not (await asyncio.wait([ending], timeout=0.5))[0]
            daemon.process.send_signal(signal.SIGTERM)
        status, said = await ending
        assert status == 1
        why = (
            "a second signal came, SIGTERM"
            if second
            else "that took longer than the 0.1 s of --drain-timeout"
        )
        assert said.startswith(f"asyncmr: ended before all that was read was committed: {why}")
        assert (await posting).status == 503


async def test_a_job_that_fails_leaves_nobody_waiting(tmp_path):
    async with gated(tmp_path) as (daemon, client):
        posting = asyncio.create_task(client.post(b"fail\n"))
        await open_gate(tmp_path)
        assert (await posting).status == 503
        assert daemon.process.stderr is not None
        said = (await daemon.process.stderr.read()).decode()
        assert "words raised ValueError" in said
        assert await daemon.process.wait() == 1


async def test_what_a_killed_daemon_without_a_state_leaves_is_swept_by_the_next(tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    async with serving(tmp_path, TMPDIR=str(temporary)) as daemon:
        await daemon.ended(signal.SIGKILL)
    left = set(temporary.glob("asyncmr-*"))
    assert left
    async with serving(tmp_path, TMPDIR=str(temporary)) as daemon:
        assert (await daemon.ended(signal.SIGTERM))[0] == 0
    assert not set(temporary.glob("asyncmr-*"))


class Starting(Stream):
    """A stream that is told to end while it starts."""

    async def __aenter__(self) -> Self:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
        return self


async def test_a_signal_before_it_serves_ends_it_in_order():
    push = PushFeed()
    await run_daemon(
        Starting(jobs.wordcount, [push]),
        Address("127.0.0.1", 0),
        push=push,
        token=None,
        names=(),
        drain_timeout=0.0,
        started=lambda _: pytest.fail("it served"),
    )
