"""Clients that hold a connection and ask for nothing do not keep the others out."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from asyncmr.streaming.http import Limits
from tests.streaming.http.client import answer, request

pytestmark = pytest.mark.both_loops  # uvloop has transports of its own


async def test_a_head_that_never_ends_is_cut_off(serve):
    async with serve(limits=Limits(header_seconds=0.05)) as service:
        late = await service.raw(b"GET / HTTP/1.1\r\nHost: local")
        assert late.status == 408
        assert service.app.lobby.timed_out == 1


async def test_a_head_that_comes_a_byte_at_a_time_is_cut_off(serve):
    async with serve(limits=Limits(header_seconds=0.05)) as service, service.connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        while not service.app.lobby.timed_out:
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.001)
        assert (await reader.read()).startswith(b"HTTP/1.1 408")


async def test_a_connection_that_asks_again_in_time_is_kept(serve):
    async with serve(limits=Limits(header_seconds=0.05)) as service, service.connected() as (reader, writer):
        for _ in range(2):
            writer.write(request("GET", "/healthz", {}, close=False))
            assert (await answer(reader)).status == 200
        assert await reader.read() == b""  # and ends in silence when it asks no more
        assert service.app.lobby.timed_out == 1


async def test_the_second_head_of_a_connection_has_its_time_too(serve):
    async with serve(limits=Limits(header_seconds=0.05)) as service, service.connected() as (reader, writer):
        writer.write(request("GET", "/healthz", {}, close=False) + b"GET / HT")
        assert (await answer(reader)).status == 200
        assert (await answer(reader)).status == 408


async def test_the_connection_that_waited_longest_makes_room(serve):
    async with serve(limits=Limits(connections=3)) as service, AsyncExitStack() as stack:
        held = [await stack.enter_async_context(service.connected()) for _ in range(3)]
        while len(service.app.lobby.waiting) < 3:
            await asyncio.sleep(0)
        assert (await service.get("/healthz")).status == 200
        assert service.app.lobby.evicted == 1
        assert (await answer(held[0][0])).status == 503


async def test_a_connection_that_is_answered_does_not_make_room(serve):
    async with serve(limits=Limits(connections=2)) as service, AsyncExitStack() as stack:
        both = [await stack.enter_async_context(service.events("/v1/subscribe?k=1")) for _ in range(2)]
        assert (await service.get("/healthz")).status == 503
        assert service.app.lobby.refused == 1
        for events in both:
            await anext(events)


async def test_a_good_client_is_served_among_hundreds_that_only_hold_on(serve):
    async with serve(limits=Limits(connections=50)) as service, AsyncExitStack() as stack:
        for number in range(200):
            _, writer = await stack.enter_async_context(service.connected())
            writer.write(b"POST /v1/ingest HTTP/1.1\r\nX-Slow: ")
            if number % 20 == 0:
                assert (await service.post(b"good\n")).status == 202
        assert (await service.get("/v1/count/good")).json["count"] == 10
        assert service.app.lobby.evicted >= 100


async def test_a_body_that_takes_its_time_makes_room_too(serve):
    async with serve(limits=Limits(connections=3)) as service, AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(service.connected()) for _ in range(3)]
        for _, writer in slow:
            writer.write(request("POST", "/v1/ingest", {"Content-Length": "100"}) + b"to be\n")
        while service.feed.held < 18:
            await asyncio.sleep(0)
        assert (await service.post(b"good\n")).status == 202
        assert (await answer(slow[0][0])).status == 503
        assert service.app.lobby.evicted == 1


async def test_asking_only_for_the_head_of_a_subscription_takes_no_place(service):
    assert (await service.raw(request("HEAD", "/v1/subscribe", {}))).status == 200
    assert service.app.broadcast.subscribers == 0


async def test_answers_of_a_connection_come_in_the_order_of_its_requests(service):
    service.view.add({"a": 1, "b": 2})
    async with service.connected() as (reader, writer):
        writer.write(b"".join(request("GET", f"/v1/count/{word}", {}, close=False) for word in "abab"))
        assert [(await answer(reader)).json["count"] for _ in range(4)] == [1, 2, 1, 2]


async def test_a_refused_body_does_not_become_the_next_request(service):
    smuggled = request("POST", "/v1/ingest", {"Content-Length": "5"}) + b"evil\n"
    async with service.connected() as (reader, writer):
        head = {"Content-Length": str(len(smuggled)), "Content-Encoding": "br"}
        writer.write(request("POST", "/v1/ingest", head, close=False) + smuggled)
        assert (await answer(reader)).status == 415
        writer.write(request("GET", "/v1/count/evil", {}, close=False))
        assert (await answer(reader)).json["count"] == 0
