"""Cancelling at any turn of the loop: what was cancelled has not happened, and nobody else notices."""

from __future__ import annotations

import asyncio

import pytest

from asyncmr.actors import open_channel
from tests.actors.until import turns, until

pytestmark = pytest.mark.both_loops

TURNS = range(12)


@pytest.mark.parametrize("turn", TURNS)
async def test_a_cancelled_send_has_not_sent(turn: int):
    """While a receiver makes room; whatever the turn, the item is there if and only if send returned."""
    sender, receiver = open_channel("words", 1, str)
    with receiver:
        with sender:
            await sender.send("a", 1)
            send = asyncio.ensure_future(sender.send("b", 1))
            receive = asyncio.ensure_future(anext(receiver))
            await turns(turn)
            send.cancel()
            await asyncio.wait([send, receive])
        expected = [] if send.cancelled() else ["b"]
        assert [item async for item in receiver] == expected
        assert (receiver.stats().bytes, receiver.stats().waiting_senders) == (0, 0)


async def test_those_turns_reach_both_ends_of_a_send():
    """The control of the test above: its first turn is early enough to cancel, its last too late."""
    outcomes = []
    for turn in TURNS:
        sender, receiver = open_channel("words", 1, str)
        with sender, receiver:
            send = asyncio.ensure_future(sender.send("a", 1))
            await turns(turn)
            send.cancel()
            await asyncio.wait([send])
            outcomes.append(send.cancelled())
    assert outcomes[0]
    assert not outcomes[-1]


@pytest.mark.parametrize("turn", TURNS)
async def test_a_cancelled_receive_loses_no_item(turn: int):
    sender, receiver = open_channel("words", 10, str)
    with receiver:
        receive = asyncio.ensure_future(anext(receiver))
        with sender:
            send = asyncio.ensure_future(sender.send("a", 1))
            await turns(turn)
            receive.cancel()
            await asyncio.wait([send, receive])
        taken = [] if receive.cancelled() else [receive.result()]
        assert taken + [item async for item in receiver] == ["a"]
        assert (receiver.stats().bytes, receiver.stats().waiting_receivers) == (0, 0)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_cancelling_one_of_the_line_keeps_the_order_of_the_others(turn: int, place: int):
    sender, receiver = open_channel("words", 10, str)
    with receiver:
        with sender:
            await sender.send("a", 10)
            line = [asyncio.ensure_future(sender.send(word, 10)) for word in "bcd"]
            await until(lambda: sender.stats().waiting_senders == 3)
            first = asyncio.ensure_future(anext(receiver))
            await turns(turn)
            line[place].cancel()
            rest = asyncio.ensure_future(_take(receiver, 4))
            await asyncio.wait([first, *line])
        expected = [word for word, send in zip("bcd", line, strict=True) if not send.cancelled()]
        assert [await first, *await rest] == ["a", *expected]


async def _take(receiver, count: int) -> list[str]:
    return [item async for item in receiver][:count]


async def test_a_cancelled_receiver_passes_its_wake_up_on():
    """Two wait, one item comes, and the one that it woke is cancelled in the same turn."""
    sender, receiver = open_channel("words", 10, str)
    with sender, receiver:
        first, second = (asyncio.ensure_future(anext(receiver)) for _ in range(2))
        await until(lambda: receiver.stats().waiting_receivers == 2)
        await sender.send("a", 1)
        first.cancel()
        assert await second == "a"
        assert first.cancelled()
