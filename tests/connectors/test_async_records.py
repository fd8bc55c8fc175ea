"""Async iterables: read as far as somebody maps, closed in whatever way it ends."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.connectors import record_slices
from asyncmr.connectors.async_records import AsyncRecords
from asyncmr.connectors.memory import Records
from asyncmr.errors import InputError, UsageError
from asyncmr.kernel.blocks import decode_pairs
from tests.connectors.reading import Memories


class Feed:
    """The records, and how far they were read; `closed`: how often they were closed."""

    def __init__(self, records, fails=None):
        self._records = iter(records)
        self._fails = fails
        self.drawn = 0
        self.closed = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.drawn == self._fails:
            raise ValueError("the line is dead")
        self.drawn += 1
        try:
            return next(self._records)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self):
        self.closed += 1


def iter_of_nothing():
    yield from ()


async def splits_of(source):
    await source.prepare(None)
    async with aclosing(source.splits(Memories())) as splits:
        return [decode_pairs(split.data)[1] async for split in splits]


@given(
    st.lists(st.integers() | st.text(max_size=3) | st.binary(max_size=300)), st.none() | st.integers(1, 40)
)
async def test_splits_are_those_of_a_list_of_the_same_records(records, per_task):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "asyncmr.connectors.memory.SLICE_RECORDS", 1
        )  # so that none is small enough for one task
        patch.setattr("asyncmr.connectors.record_slices._SLICE_BYTES", 500)
        patch.setattr("asyncmr.connectors.memory.SPLIT_BYTES", 2_000)
        patch.setattr("asyncmr.connectors.async_records.SPLIT_BYTES", 2_000)
        feed = Feed(records)
        splits = await splits_of(AsyncRecords(feed, records_per_task=per_task))
        assert splits == await splits_of(Records(iter(records), records_per_task=per_task))
    assert [record for split in splits for record in split] == records
    assert feed.closed == 1


async def test_no_more_is_read_than_is_asked_for():
    feed = Feed(iter(int, 1))  # without end
    source = AsyncRecords(feed, records_per_task=10)
    await source.prepare(None)
    async with aclosing(source.splits(Memories())) as splits:
        assert feed.drawn == 0
        await anext(splits)
        assert feed.drawn == 10
    assert feed.closed == 1


async def test_large_records_make_small_slices():
    """Not a thousand of them are held before anybody looks how large they are."""
    feed = Feed(bytes(1 << 20) for _ in range(100))
    source = AsyncRecords(feed)
    await source.prepare(None)
    async with aclosing(source.splits(Memories())) as splits:
        split = await anext(splits)
        assert feed.drawn == 1
        assert split.length > 1 << 20


async def test_one_that_raises_is_an_input_error_with_its_cause():
    feed = Feed(range(100), fails=42)
    with pytest.raises(
        InputError, match="ended with ValueError after 42 of them: the line is dead"
    ) as failed:
        await splits_of(AsyncRecords(feed))
    assert isinstance(failed.value.__cause__, ValueError)
    assert feed.closed == 1


async def test_a_plain_iterator_that_raises_is_told_alike():
    with pytest.raises(InputError, match="ended with ZeroDivisionError after 5 of them"):
        await splits_of(Records(1 // (5 - number) for number in range(9)))


async def test_a_record_that_cannot_be_sent_is_named():
    records = [1, 2, iter_of_nothing()]
    for source in (Records(records), AsyncRecords(Feed(records))):
        with pytest.raises(
            InputError, match=r"record 2 of the input, <generator .* cannot be sent to a worker"
        ):
            await splits_of(source)


async def test_cancelled_while_it_waits_for_a_record_it_is_closed():
    waits, closed = asyncio.Event(), []

    async def feed():
        try:
            yield 1
            waits.set()
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    reading = asyncio.create_task(splits_of(AsyncRecords(feed())))
    await waits.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert closed == [True]


async def test_one_that_does_not_close_is_cut_off(monkeypatch, caplog):
    class Stubborn(Feed):
        async def aclose(self):
            await asyncio.Event().wait()

    monkeypatch.setattr("asyncmr.connectors.async_records._CLOSING_LIMIT", 0)
    with pytest.raises(InputError):
        await splits_of(AsyncRecords(Stubborn([], fails=0)))
    assert "to close" in caplog.text


async def test_an_error_of_closing_hides_no_other(caplog):
    class Clumsy(Feed):
        async def aclose(self):
            raise OSError("cannot hang up")

    with pytest.raises(InputError, match="the line is dead"):
        await splits_of(AsyncRecords(Clumsy([], fails=0)))
    assert "cannot hang up" in caplog.text


async def test_an_iterator_is_for_one_job_and_an_iterable_for_any_number():
    class Fresh:
        def __aiter__(self):
            return Feed([1])

    source = AsyncRecords(Fresh())
    assert await splits_of(source) == await splits_of(source) == [[1]]
    source = AsyncRecords(Feed([1]))
    await splits_of(source)
    with pytest.raises(UsageError, match="another job has read"):
        await source.prepare(None)


def test_slices_grow_while_records_are_small():
    some: list[int] = []
    sizes = []
    while more := record_slices.room_for_more(some, 5_000):
        some += range(more)
        sizes.append(more)
    assert sizes == [1, 15, 240, 768]
