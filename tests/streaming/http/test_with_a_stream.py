"""A real stream behind the server: what is posted is counted, once, and is still there after a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from asyncmr.jobs import wordcount
from asyncmr.streaming.http import Address, PushFeed, application, serving
from tests.streaming.http.client import Client

stream = pytest.importorskip("asyncmr.streaming.stream", reason="the stream itself is not here yet")


@asynccontextmanager
async def served(state, **options):
    feed = PushFeed()
    async with (
        stream.Stream(
            wordcount, [feed], state=state, interval=0.02, executor="thread", workers=1, **options
        ) as running,
        application(running, feed, interval=0.02) as app,
        serving(app, Address("127.0.0.1", 0)) as address,
    ):
        yield Client(address)


async def test_what_is_posted_is_counted_once_also_over_a_restart(tmp_path):
    for _ in range(2):
        async with served(tmp_path / "state") as client:
            async with client.events() as events:
                posting = asyncio.gather(
                    client.post(b"to be or\nnot to be\n", Idempotency_Key="one"),
                    client.post(b"to see\n"),
                )
                told = (await anext(events))["data"]["changes"]
                assert [answer.status for answer in await posting] == [202, 202]
            assert dict(told)["to"] >= 1
            top = (await client.get("/v1/top?k=9")).json["top"]
    counts = Counter(["to", "be", "or", "not", "to", "be", *["to", "see"] * 2])
    assert {row["key"]: row["value"] for row in top} == counts


async def test_a_key_that_comes_again_with_another_body_is_refused_also_after_a_restart(tmp_path):
    async with served(tmp_path / "state") as client:
        assert (await client.post(b"to be\n", Idempotency_Key="one")).status == 202
        assert (await client.post(b"or not\n", Idempotency_Key="one")).status == 422
    async with served(tmp_path / "state") as client:
        assert (await client.post(b"or not\n", Idempotency_Key="one")).status == 422
        assert (await client.post(b"to be\n", Idempotency_Key="one")).status == 202
        top = (await client.get("/v1/top?k=9")).json["top"]
    assert top == [{"key": "be", "value": 1}, {"key": "to", "value": 1}]


async def test_a_restart_keeps_what_was_answered(tmp_path):
    lines = [f"word{number % 7} all".encode() for number in range(40)]
    async with served(tmp_path / "state") as client:
        answers = await asyncio.gather(*(client.post(line) for line in lines))
        assert {answer.status for answer in answers} == {202}
    async with served(tmp_path / "state") as client:
        assert (await client.get("/v1/count/all")).json["count"] == 40
        assert (await client.get("/v1/stats")).json["records"] == 40
        assert (await client.get("/v1/windows")).json["windows"][0]["keys"] == 8


async def test_a_window_where_there_are_none_is_refused(tmp_path):
    async with served(tmp_path / "state") as client:
        assert (await client.get("/v1/top?window=60")).status == 400


async def test_each_window_is_asked_for_by_its_start(tmp_path):
    async with served(tmp_path / "state", window="1h") as client:
        await client.post(b"to be\n")
        *_, window = (await client.get("/v1/windows")).json["windows"]
        assert (window["end"] - window["start"], window["state"]) == (3600, "open")
        top = (await client.get(f"/v1/top?window={window['start']}")).json["top"]
        assert [row["key"] for row in top] == ["be", "to"]
        assert (await client.get(f"/v1/count/be?window={window['start']}")).json["count"] == 1
