from __future__ import annotations

import pytest

from asyncmr.errors import InputError, UsageError
from asyncmr.streaming.feeds.feed_of_items import FeedOf
from tests.streaming.sources.surroundings import Pulled

TOPIC = ["a", "b", "c", "d", "e"]


class Reading:
    """Two records at a time behind an offset, as a broker gives them. `closed`: once its reader let go of it."""

    closed = False

    async def __call__(self, positions):
        offset = positions.get("", 0)
        try:
            while offset < len(TOPIC):
                records = TOPIC[offset : offset + 2]
                offset += len(records)
                yield records, offset
        finally:
            self.closed = True


async def test_it_goes_on_behind_the_committed_position(disk):
    async with Pulled(FeedOf("topic", Reading()), disk) as pulled:
        await pulled.next()
    assert pulled.positions == {"": 2}
    async with Pulled(FeedOf("topic", Reading()), disk, pulled.positions) as pulled:
        assert await pulled.rest() == [b"c", b"d", b"e"]


async def test_what_it_reads_from_is_closed(disk):
    reading = Reading()
    async with Pulled(FeedOf("topic", reading), disk) as pulled:
        await pulled.next()
        assert not reading.closed
    assert reading.closed


async def test_partitions_have_positions_of_their_own(disk):
    async def read(positions):
        yield b"x", 7, "0"
        yield [b"y", b"z"], [1, 2], "1"

    async with Pulled(FeedOf("topic", read), disk) as pulled:
        await pulled.next()
        await pulled.next()
    assert pulled.positions == {"0": 7, "1": [1, 2]}
    assert pulled.lines == [b"x", b"y", b"z"]


async def test_an_iterable_that_cannot_go_back_is_at_most_once(disk):
    async def items():
        yield "x", 7

    feed = FeedOf("topic", items())
    assert feed.guarantee == "at-most-once"
    async with Pulled(feed, disk) as pulled:
        assert (await pulled.next()).position is None


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("lines", r"item 0 of the feed 'topic' is not \(records, position\)"),
        (([1], 2), "is not .* with records of str or bytes"),
        (("a", object()), "a position for JSON: Object of type object is not JSON serializable"),
        (("a", 1, 2), "a partition is a str, not int"),
        ((["a\nb"], 1), "a record in item 0 of the feed 'topic' has a line end within"),
        (("a" * 50, 1), "item 0 of the feed 'topic' has 51 bytes, more than the 40 that one may have"),
    ],
)
async def test_an_item_that_is_none_is_told(disk, item, message):
    async def read(positions):
        yield item

    async with Pulled(FeedOf("topic", read), disk, batch_bytes=10) as pulled:
        with pytest.raises(InputError, match=message):
            await pulled.next()


async def test_an_error_is_told_with_its_cause(disk):
    async def read(positions):
        yield "a", 1
        raise ConnectionError("the broker is away")

    async with Pulled(FeedOf("topic", read), disk) as pulled:
        with pytest.raises(
            InputError, match="'topic' raised ConnectionError after 1 items: the broker"
        ) as caught:
            await pulled.rest()
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(UsageError, match="reads from list, which is neither a function"):
        FeedOf("topic", [1])  # type: ignore[arg-type]  # that is what is refused
