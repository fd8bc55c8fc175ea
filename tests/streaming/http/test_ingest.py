"""Lines come in once, are bounded, and are answered when they are durable."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from asyncmr.streaming.http import Limits
from tests.streaming.http.client import request

pytestmark = pytest.mark.both_loops  # uvloop has transports of its own


async def test_lines_are_counted_and_answered_with_how_many(service):
    answer = await service.post(b"to be\nor not to be")
    assert (answer.status, answer.json) == (202, {"lines": 2, "bytes": 18})
    assert (await service.get("/v1/count/be")).json["count"] == 2


async def test_the_answer_waits_until_the_lines_are_durable(serve):
    async with serve(commits=False) as service:
        posting = asyncio.create_task(service.post(b"to be\n"))
        batch = await service.reader.take()
        assert (await service.get("/v1/top")).json["top"] == []  # others are answered meanwhile
        assert not posting.done()
        service.reader.commit(batch)
        assert (await posting).status == 202


async def test_a_request_that_is_repeated_with_its_key_counts_once(service):
    for _ in range(3):
        assert (await service.post(b"to be\n", Idempotency_Key="one")).status == 202
    assert (await service.get("/v1/count/be")).json["count"] == 1


async def test_a_key_that_comes_with_another_body_is_refused_and_counts_nothing(serve):
    async with serve(commits=False) as service:
        posting = asyncio.create_task(service.post(b"to be\n", Idempotency_Key="one"))
        batch = await service.reader.take()
        assert (await service.post(b"or not\n", Idempotency_Key="one")).status == 422  # on its way
        service.reader.commit(batch)
        assert (await posting).status == 202
        repeating = asyncio.create_task(service.post(b"or not\n", Idempotency_Key="one"))
        taking = asyncio.create_task(service.reader.take())
        assert (await repeating).status == 422  # durable
        assert service.feed.held == 0
        taking.cancel()


async def test_gzip_in_several_members_is_read(service):
    body = gzip.compress(b"to be\n") + gzip.compress(b"or not\n")
    assert (await service.post(body, Content_Encoding="gzip")).json == {"lines": 2, "bytes": 13}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(bytes(3 << 20)), 413),  # a thousand to one
        (gzip.compress(b"to be\n")[:-4], 400),
        (gzip.compress(b"to be\n") + b"more", 400),
        (b"to be\n", 400),
    ],
    ids=["bomb", "cut short", "with a tail", "not gzip"],
)
async def test_gzip_that_is_none_or_grows_without_end_is_refused(service, body, status):
    answer = await service.post(body, Content_Encoding="gzip")
    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert service.feed.held == 0


async def test_a_body_that_says_that_it_is_too_long_is_refused_unread(serve):
    async with serve(limits=Limits(body_bytes=1000, text_bytes=1000)) as service:
        answer = await service.raw(request("POST", "/v1/ingest", {"Content-Length": "1001"}))
        assert answer.status == 413


async def test_a_body_that_does_not_say_how_long_it_is_is_bounded_too(serve):
    async with serve(limits=Limits(body_bytes=1000, text_bytes=1000)) as service:
        head = request("POST", "/v1/ingest", {"Transfer-Encoding": "chunked"})
        answer = await service.raw(head + b"400\r\n" + bytes(0x400) + b"\r\n0\r\n\r\n")
        assert answer.status == 413
        assert service.feed.held == 0


async def test_a_line_that_does_not_end_is_refused(service):
    answer = await service.post(b"a\n" + b"x" * ((1 << 20) + 1))
    assert answer.status == 413
    assert "line 2" in answer.json["error"]


async def test_a_full_stream_says_when_to_come_again(serve):
    async with serve(commits=False, capacity=10) as service:
        posting = asyncio.create_task(service.post(b"to be or\n"))
        batch = await service.reader.take()
        answer = await service.post(b"not to be\n")
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        service.reader.commit(batch)
        await posting
        assert service.feed.held == 0


async def test_lines_that_are_not_durable_in_time_are_not_called_so(serve):
    async with serve(commits=False, limits=Limits(commit_seconds=0.01)) as service:
        answer = await service.post(b"to be\n")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "Idempotency-Key" in answer.json["error"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Content_Type": "multipart/form-data"}, 415),
        ({"Content_Encoding": "br"}, 415),
        ({"Idempotency_Key": "x" * 201}, 400),
        ({"Idempotency_Key": "\xe9"}, 400),
    ],
)
async def test_headers_that_mean_something_else_are_refused(service, header, status):
    assert (await service.post(b"to be\n", **header)).status == status


async def test_a_body_that_comes_too_slowly_is_given_up(serve):
    async with serve(limits=Limits(piece_seconds=0.01)) as service:
        answer = await service.raw(request("POST", "/v1/ingest", {"Content-Length": "10"}) + b"to")
        assert answer.status == 408
        assert service.feed.held == 0


async def test_a_client_that_goes_away_in_the_middle_leaves_no_lines(service):
    async with service.connected() as (_, writer):
        writer.write(request("POST", "/v1/ingest", {"Content-Length": "100"}) + b"to be\n")
        while not service.feed.held:
            await asyncio.sleep(0)
    while service.feed.held:
        await asyncio.sleep(0)
    assert service.view.epoch == 0
