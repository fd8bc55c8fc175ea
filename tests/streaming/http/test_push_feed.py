"""What is pushed reaches the stream whole, in order, once for a token, and is held until it is durable."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.errors import ClosedError, PushFull, UsageError
from asyncmr.streaming.http import PushFeed
from asyncmr.streaming.http.push_feed import PIECE_BYTES, pieces
from tests.streaming.http.memory_view import Reader


@given(st.lists(st.integers(0, PIECE_BYTES), max_size=6))
def test_pieces_are_whole_lines_and_nothing_is_lost(lengths):
    data = b"".join(b"x" * length + b"\n" for length in lengths)
    made = pieces(data)
    assert b"".join(made) == data
    assert all(piece.endswith(b"\n") and len(piece) <= PIECE_BYTES + 1 for piece in made)
    assert len(made) <= 2 * len(data) // PIECE_BYTES + 1


async def test_a_push_is_done_when_its_last_piece_is_durable():
    feed = PushFeed()
    reader = Reader(feed)
    done = feed.push((b"x" * 1000 + b"\n") * 2000, "one")
    first, second = await reader.take(), await reader.take()
    assert (first.token, second.token) == ("one#0", "one#1")
    reader.commit(second)
    await asyncio.sleep(0)
    assert not done.done()
    reader.commit(first)
    await done
    assert feed.held == 0
    await reader.close()


async def test_what_is_not_durable_is_given_again_to_a_stream_that_opens_its_feed_again():
    feed = PushFeed()
    one = Reader(feed)
    pushed = [feed.push(word) for word in (b"a\n", b"b\n", b"c\n")]
    first, *_ = [await one.take() for _ in range(2)]
    one.commit(first)
    await one.close()
    other = Reader(feed)
    again = [await other.take() for _ in range(2)]
    assert [batch.data for batch in again] == [b"b\n", b"c\n"]
    other.commit(*again)
    await asyncio.gather(*pushed)
    await other.close()


async def test_a_token_that_is_on_its_way_is_not_taken_twice():
    feed = PushFeed()
    reader = Reader(feed)
    both = [feed.push(b"to be\n", "one") for _ in range(2)]
    assert feed.held == feed.lag == 6
    both[0].cancel()
    reader.commit(await reader.take())
    await both[1]
    await reader.close()


async def test_a_full_feed_takes_nothing_and_one_push_that_is_larger_than_it_passes_alone():
    feed = PushFeed(capacity=10)
    reader = Reader(feed)
    done = feed.push(b"more than it holds\n")
    with pytest.raises(PushFull) as full:
        feed.push(b"x\n")
    assert (full.value.held, full.value.capacity) == (19, 10)
    reader.commit(await reader.take())
    await done
    await reader.close()


async def test_a_closed_feed_ends_behind_what_it_has():
    feed = PushFeed()
    reader = Reader(feed)
    done = feed.push(b"last\n")
    feed.close()
    with pytest.raises(ClosedError):
        feed.push(b"too late\n")
    reader.commit(await reader.take())
    await done
    with pytest.raises(StopAsyncIteration):
        await reader.take()
    await reader.close()


async def test_whoever_waits_for_a_feed_that_is_abandoned_is_told():
    feed = PushFeed()
    reader = Reader(feed)
    done, cancelled = feed.push(b"a\n"), feed.push(b"b\n")
    cancelled.cancel()
    batch = await reader.take()
    feed.abandon()
    with pytest.raises(ClosedError, match="push them again"):
        await done
    reader.commit(batch)  # it was durable after all, and nobody is left to hear of it
    assert feed.held == 0
    await reader.close()


async def test_lines_have_an_end():
    feed = PushFeed(line_limit=10)
    assert feed.push(b"").done()
    feed.push(b"x" * 10)
    with pytest.raises(UsageError, match="line 2 is longer than 10 bytes"):
        feed.push(b"x" * 10 + b"\n" + b"y" * 11 + b"\n")
    assert feed.held == 11


def test_a_feed_without_room_makes_no_sense():
    with pytest.raises(UsageError):
        PushFeed(capacity=0)
    with pytest.raises(UsageError):
        PushFeed(line_limit=PIECE_BYTES + 1)
