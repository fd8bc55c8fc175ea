"""What the two ends of a channel promise, one at a time."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from asyncmr.actors import Channel, ChannelClosed, ChannelStats, Receiver, Sender, open_channel
from asyncmr.errors import ClosedError, UsageError
from tests.actors.until import turns, until

pytestmark = pytest.mark.both_loops


async def all_of(receiver: Receiver[str]) -> list[str]:
    return [item async for item in receiver]


async def test_items_arrive_in_order_and_the_last_close_ends_the_stream():
    sender, receiver = open_channel("words", 100, str)
    with receiver:
        with sender:
            for word in ("a", "b", "c"):
                await sender.send(word, 1)
        assert await all_of(receiver) == ["a", "b", "c"]
        assert await all_of(receiver) == []  # and stays ended


async def test_a_stream_lasts_until_every_clone_is_closed():
    sender, receiver = open_channel("words", 100, str)
    clone = sender.clone()
    sender.close()
    sender.close()
    with receiver, clone:
        await clone.send("a", 1)
        assert await anext(receiver) == "a"
        assert not receiver.stats().closed
        clone.close()
        assert await all_of(receiver) == []


async def test_a_full_channel_makes_the_sender_wait_until_an_item_is_received():
    sender, receiver = open_channel("words", 10, str)
    with sender, receiver:
        await sender.send("a", 6)
        async with anyio.create_task_group() as group:
            group.start_soon(sender.send, "b", 5)
            await until(lambda: sender.stats().waiting_senders)
            await turns(20)
            assert sender.stats().items == 1
            assert await anext(receiver) == "a"
        assert sender.stats().bytes == 5


async def test_an_exact_fit_does_not_wait():
    sender, receiver = open_channel("words", 10, str)
    with sender, receiver:
        await sender.send("a", 6)
        await sender.send("b", 4)
        assert sender.stats().bytes == 10


async def test_an_oversize_item_passes_alone():
    sender, receiver = open_channel("words", 10, str)
    with sender, receiver:
        await sender.send("a", 1)
        async with anyio.create_task_group() as group:
            group.start_soon(sender.send, "whale", 1_000)
            await until(lambda: sender.stats().waiting_senders)
            assert await anext(receiver) == "a"
        assert sender.stats().bytes == 1_000
        assert await anext(receiver) == "whale"


async def test_small_items_do_not_overtake_a_large_one_that_waits():
    sender, receiver = open_channel("words", 10, str)
    with sender, receiver:
        await sender.send("a", 8)
        async with anyio.create_task_group() as group:
            for word, size in (("large", 9), ("b", 1), ("c", 1)):
                group.start_soon(sender.send, word, size)
                await turns(5)
            assert sender.stats().waiting_senders == 3
            assert [await anext(receiver) for _ in range(4)] == ["a", "large", "b", "c"]


async def test_a_send_that_comes_while_another_is_let_in_stays_behind_it():
    sender, receiver = open_channel("words", 10, str)
    with sender, receiver:
        await sender.send("a", 10)
        async with anyio.create_task_group() as group:
            group.start_soon(sender.send, "b", 1)
            await until(lambda: sender.stats().waiting_senders)
            group.start_soon(sender.send, "c", 1)
            await turns(1)  # "c" is about to look for room in the very turn in which "b" gets some
            assert [await anext(receiver) for _ in range(3)] == ["a", "b", "c"]


async def test_empty_items_are_bounded_too():
    sender, receiver = open_channel("words", 2, str)
    with sender, receiver:
        await sender.send("", 0)
        await sender.send("", 0)
        async with anyio.create_task_group() as group:
            group.start_soon(sender.send, "", 0)
            await until(lambda: sender.stats().waiting_senders)
            await anext(receiver)


async def test_several_tasks_share_one_receiver():
    sender, receiver = open_channel("words", 100, str)
    taken: list[str] = []

    async def take() -> None:
        async for word in receiver:
            taken.append(word)  # noqa: PERF401 - the two tasks fill one list

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        group.start_soon(take)
        await until(lambda: receiver.stats().waiting_receivers == 2)
        with sender:
            for word in "abcdef":
                await sender.send(word, 1)
    receiver.close()
    assert taken == list("abcdef")


async def test_closing_the_receiver_turns_senders_away_also_those_that_wait():
    sender, receiver = open_channel("words", 1, str)
    with sender:
        await sender.send("a", 1)
        waiting = [asyncio.ensure_future(sender.send(word, 1)) for word in "bc"]
        await until(lambda: sender.stats().waiting_senders == 2)
        receiver.close()
        receiver.close()
        for send in waiting:
            with pytest.raises(ChannelClosed, match="receiver is closed"):
                await send
        with pytest.raises(ClosedError, match="'words': its receiver is closed"):
            await sender.send("d", 1)
        assert (sender.stats().items, sender.stats().bytes, sender.stats().waiting_senders) == (0, 0, 0)


async def test_closing_the_receiver_turns_away_a_task_that_iterates_it():
    sender, receiver = open_channel("words", 1, str)
    with sender:
        receiving = asyncio.ensure_future(all_of(receiver))
        await until(lambda: receiver.stats().waiting_receivers)
        receiver.close()
        with pytest.raises(ChannelClosed, match="this receiver is closed"):
            await receiving


async def test_closing_a_sender_turns_away_its_own_waiting_sends_only():
    sender, receiver = open_channel("words", 1, str)
    other = sender.clone()
    with receiver, other:
        await sender.send("a", 1)
        mine = asyncio.ensure_future(sender.send("mine", 1))
        theirs = asyncio.ensure_future(other.send("theirs", 1))
        await until(lambda: sender.stats().waiting_senders == 2)
        sender.close()
        with pytest.raises(ChannelClosed, match="this sender is closed"):
            await mine
        assert [await anext(receiver), await anext(receiver)] == ["a", "theirs"]
        await theirs


async def test_a_closed_sender_neither_sends_nor_clones():
    sender, receiver = open_channel("words", 1, str)
    receiver.close()
    sender.close()
    with pytest.raises(ChannelClosed, match="this sender is closed"):
        await sender.send("a", 1)
    with pytest.raises(ChannelClosed, match="cannot be cloned"):
        sender.clone()


async def test_a_failure_reaches_the_receiver_before_what_is_held():
    sender, receiver = open_channel("words", 10, str)
    with receiver:
        await sender.send("a", 1)
        sender.fail(ValueError("bad disk"))
        for _ in range(2):
            with pytest.raises(ValueError, match="bad disk"):
                await anext(receiver)
        assert (receiver.stats().items, receiver.stats().bytes, receiver.stats().senders) == (0, 0, 0)


async def test_a_failure_wakes_every_receiver_and_turns_other_senders_away():
    sender, receiver = open_channel("words", 1, str)
    other = sender.clone()
    with receiver, other:
        receiving = [asyncio.ensure_future(anext(receiver)) for _ in range(2)]
        await until(lambda: receiver.stats().waiting_receivers == 2)
        sender.fail(ValueError("bad disk"))
        for receive in receiving:
            with pytest.raises(ValueError, match="bad disk"):
                await receive
        with pytest.raises(ChannelClosed, match="another sender failed") as caught:
            await other.send("a", 1)
        assert isinstance(caught.value.__cause__, ValueError)


async def test_the_first_failure_stays():
    sender, receiver = open_channel("words", 1, str)
    other = sender.clone()
    with receiver:
        sender.fail(ValueError("first"))
        other.fail(KeyError("second"))
        with pytest.raises(ValueError, match="first"):
            await anext(receiver)


async def test_leaving_a_sender_by_an_exception_fails_the_channel():
    sender, receiver = open_channel("words", 10, str)
    with receiver:
        await sender.send("a", 1)
        with pytest.raises(ValueError, match="half-way"), sender:
            raise ValueError("half-way")
        with pytest.raises(ValueError, match="half-way"):
            await anext(receiver)


async def test_leaving_a_sender_by_a_cancellation_does_not_look_like_the_end():
    sender, receiver = open_channel("words", 10, str)
    with receiver:
        with pytest.raises(asyncio.CancelledError), sender:
            raise asyncio.CancelledError
        with pytest.raises(ChannelClosed, match="left by CancelledError"):
            await anext(receiver)


async def test_two_ends_that_never_wait_still_let_others_run():
    sender, receiver = open_channel("words", 1_000_000, str)
    turned = 0

    async def neighbour() -> None:
        nonlocal turned
        while True:
            await asyncio.sleep(0)
            turned += 1

    async with anyio.create_task_group() as group:
        group.start_soon(neighbour)
        with receiver:
            with sender:
                for _ in range(50):
                    await sender.send("a", 1)
            assert turned >= 45
            await all_of(receiver)
        assert turned >= 90
        group.cancel_scope.cancel()


async def test_stats_say_what_is_held_and_who_waits():
    sender, receiver = open_channel("words", 10, str)
    with sender, receiver, sender.clone():
        await sender.send("a", 3)
        await sender.send("b", 4)
        await anext(receiver)
        assert receiver.stats() == ChannelStats(
            name="words", capacity=10, items=1, bytes=4, senders=2, waiting_senders=0, waiting_receivers=0,
            closed=False, total_items=2, total_bytes=7,
        )  # fmt: skip
        assert sender.stats() == sender.channel.stats()


@pytest.mark.parametrize("capacity", [0, -1])
async def test_a_channel_without_room_is_refused(capacity: int):
    with pytest.raises(UsageError, match="give it at least 1"):
        open_channel("words", capacity)


async def test_a_negative_size_is_refused():
    sender, receiver = open_channel("words", 1, str)
    with sender, receiver, pytest.raises(UsageError, match="-1 bytes"):
        await sender.send("a", -1)


async def test_an_end_that_is_forgotten_warns():
    channel: Channel[str] = Channel("words", 1)
    with pytest.warns(ResourceWarning, match="a sender of channel 'words' was never closed"):
        Sender(channel)
    with pytest.warns(ResourceWarning, match="the receiver of channel 'words' was never closed"):
        Receiver(channel)


@pytest.mark.parametrize("end", ["receiver closes", "sender fails"])
async def test_items_that_nobody_will_receive_are_handed_to_dropped(end):
    dropped: list[str] = []
    sender, receiver = open_channel("words", 100, str, dropped=dropped.append)
    with sender, receiver:
        for word in ("a", "b", "c"):
            await sender.send(word, 1)
        assert await anext(receiver) == "a"
        receiver.close() if end == "receiver closes" else sender.fail(ValueError("no more"))
        assert dropped == ["b", "c"]


async def test_items_that_were_received_are_not_dropped():
    dropped: list[str] = []
    sender, receiver = open_channel("words", 100, str, dropped=dropped.append)
    with receiver:
        with sender:
            await sender.send("a", 1)
        assert await all_of(receiver) == ["a"]
    assert dropped == []
