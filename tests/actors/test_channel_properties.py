"""For any sizes, capacity, ends and interleaving: bounded, nothing lost, nothing doubled, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.actors import Channel, Receiver, Sender
from tests.actors.until import turns


class Message(NamedTuple):
    sender: int
    number: int


class Plan(NamedTuple):
    """`senders`: for each, the size of every item and the turns before it. `receivers`: for each, the turns
    between two items. `impatience`: the turns after which a send is cancelled and repeated; 0 for never."""

    capacity: int
    senders: list[list[tuple[int, int]]]
    receivers: list[int]
    impatience: int


plans = st.builds(
    Plan,
    capacity=st.integers(1, 30),
    senders=st.lists(
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4)), max_size=12), min_size=1, max_size=4
    ),
    receivers=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    impatience=st.integers(0, 9),
)


async def carry_out(plan: Plan, channel: Channel[Message]) -> list[list[Message]]:
    """Sends and receives as planned, checks the bound at each item, and returns what each receiver got."""
    receiver = Receiver(channel)
    received: list[list[Message]] = [[] for _ in plan.receivers]

    async def send(number: int, sender: Sender[Message]) -> None:
        with sender:
            for index, (size, pause) in enumerate(plan.senders[number]):
                await turns(pause)
                await persist(partial(sender.send, Message(number, index), size))
                stats = channel.stats()
                assert stats.bytes <= plan.capacity or stats.items == 1

    async def persist(attempt: Callable[[], Awaitable[None]]) -> None:
        """Gives up by cancelling after some turns, then tries again with more patience."""
        patience = plan.impatience
        while True:
            sending = asyncio.ensure_future(attempt())
            try:
                for _ in range(patience):
                    await asyncio.sleep(0)
                if patience:
                    sending.cancel()
                await asyncio.wait([sending])
            finally:
                sending.cancel()
            if not sending.cancelled():
                return sending.result()
            patience = patience * 2 if patience < 500 else 0

    async def receive(number: int, pause: int) -> None:
        async for message in receiver:
            received[number].append(message)
            await turns(pause)

    with receiver:
        async with anyio.create_task_group() as group:
            senders = [Sender(channel) for _ in plan.senders]
            for number, sender in enumerate(senders):
                group.start_soon(send, number, sender)
            for number, pause in enumerate(plan.receivers):
                group.start_soon(receive, number, pause)
        stats = channel.stats()
    assert (stats.items, stats.bytes, stats.waiting_senders, stats.waiting_receivers) == (0, 0, 0, 0)
    return received


def check(plan: Plan, received: list[list[Message]]) -> None:
    everything = sorted(message for messages in received for message in messages)
    assert everything == [
        Message(sender, number) for sender, items in enumerate(plan.senders) for number in range(len(items))
    ]
    for messages in received:
        for sender in range(len(plan.senders)):
            numbers = [message.number for message in messages if message.sender == sender]
            assert numbers == sorted(numbers)


@pytest.mark.both_loops
@given(plan=plans)
@settings(max_examples=100, deadline=None)
async def test_any_interleaving_is_bounded_complete_and_in_order(plan: Plan):
    check(plan, await carry_out(plan, Channel("words", plan.capacity)))


GREEDY = Plan(capacity=5, senders=[[(4, 0)] * 4, [(4, 0)] * 4], receivers=[3], impatience=0)


class Boundless(Channel[Message]):
    def _fits(self, charge: int) -> bool:
        return True


async def test_the_property_catches_a_channel_without_a_bound():
    with pytest.raises(BaseExceptionGroup) as caught:
        await carry_out(GREEDY, Boundless("words", GREEDY.capacity))
    assert caught.group_contains(AssertionError)


class Forgetful(Channel[Message]):
    def _put(self, item: Message, charge: int) -> None:
        if item != Message(1, 2):
            super()._put(item, charge)


async def test_the_property_catches_a_channel_that_loses_an_item():
    with pytest.raises(AssertionError):
        check(GREEDY, await carry_out(GREEDY, Forgetful("words", GREEDY.capacity)))
