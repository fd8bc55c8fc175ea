"""Subscribers get every change once, those who come back get what they missed, and slow ones are dropped."""

from __future__ import annotations

import asyncio

import pytest

from asyncmr.streaming.http import Limits
from tests.streaming.http.client import request

pytestmark = pytest.mark.both_loops  # uvloop has transports of its own


async def test_each_change_is_told(service):
    async with service.events() as events:
        await service.view.listening.wait()
        service.view.add({"to": 2, "be": 1})
        event = await anext(events)
        assert event["event"] == "changes"
        assert event["data"] == {
            "epoch": 1,
            "window": None,
            "changes": [["to", 2], ["be", 1]],
            "final": False,
        }


async def test_a_large_epoch_comes_in_several_events(service):
    async with service.events() as events:
        await service.view.listening.wait()
        service.view.add({str(number): number for number in range(1200)})
        told = [(await anext(events))["data"]["changes"] for _ in range(3)]
        assert [key for part in told for key, _ in part] == [str(number) for number in range(1200)]


async def test_who_comes_back_gets_what_it_missed(service):
    async with service.events() as events:
        await service.view.listening.wait()
        service.view.add({"a": 1})
        last = (await anext(events))["id"]
        service.view.add({"b": 1})
        service.view.add({"c": 1})
        await anext(events)
    async with service.events(Last_Event_ID=last) as events:
        assert [(await anext(events))["data"]["epoch"] for _ in range(2)] == [2, 3]


async def test_who_comes_back_too_late_or_from_another_life_is_told_so(serve):
    async with serve(limits=Limits(replay_bytes=100)) as service:
        async with service.events() as events:
            await service.view.listening.wait()
            ids = []
            for word in "abcd":
                service.view.add({word: 1})
                ids.append((await anext(events))["id"])
        for last in (ids[0], "another-1", "x", f"{ids[0]}0"):
            async with service.events(Last_Event_ID=last) as events:
                assert (await anext(events))["event"] == "reset"


async def test_a_subscriber_that_does_not_read_is_dropped_and_told(serve):
    async with serve(limits=Limits(subscriber_bytes=2000)) as service, service.events() as events:
        await service.view.listening.wait()
        number = 0
        while not service.app.broadcast.dropped:
            number += 1
            service.view.add({"x" * 100 + str(number + more): 1 for more in range(100)})
            await asyncio.sleep(0)
        told = [event["event"] async for event in events]
        assert told[-1] == "dropped"
        assert service.app.broadcast.subscribers == 0


async def test_a_connection_that_is_not_read_is_cut_off(serve):
    limits = Limits(write_seconds=0.05, subscriber_bytes=1 << 30)
    async with serve(limits=limits) as service, service.connected() as (_, writer):
        writer.transport.pause_reading()
        writer.write(request("GET", "/v1/subscribe", {}))
        await service.view.listening.wait()
        while service.app.broadcast.subscribers:
            service.view.add({"x" * 1000 + str(number): 1 for number in range(500)})
            await asyncio.sleep(0.001)
        assert (await service.get("/healthz")).status == 200


async def test_the_page_gets_the_whole_picture_every_time(service):
    service.view.add({"be": 2, "to": 1})
    async with service.events("/v1/subscribe?k=1") as events:
        first = (await anext(events))["data"]
        assert first["top"] == [{"key": "be", "value": 2}]
        assert first["stats"]["epoch"] == 1
        service.view.add({"to": 5})
        async for event in events:
            if event["data"]["epoch"] == 2:
                assert event["data"]["top"] == [{"key": "to", "value": 6}]
                break


async def test_there_is_room_for_so_many_subscribers(serve):
    async with serve(limits=Limits(subscribers=1)) as service:
        async with service.events():
            answer = await service.get("/v1/subscribe")
            assert (answer.status, "retry-after" in answer.headers) == (503, True)
        while service.app.broadcast.subscribers:
            await asyncio.sleep(0)
        async with service.events():
            pass


async def test_subscriptions_end_with_the_stream(service):
    async with service.events() as events, service.events("/v1/subscribe?k=1") as tops:
        await service.view.listening.wait()
        await anext(tops)
        service.view.end()
        assert [event async for event in events] == []
        assert all([event["event"] == "top" async for event in tops])


async def test_nobody_asks_the_stream_for_changes_that_nobody_wants(service):
    async with service.events("/v1/subscribe?k=1") as events:
        await anext(events)
        assert not service.view.listening.is_set()
