"""Records in memory as a source, and results in memory as a sink."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import chain, count, islice
from typing import Any

from asyncmr.connectors.record_slices import (
    SLICE_RECORDS,
    SPLIT_BYTES,
    encoded,
    failed,
    records_of_a_task,
    room_for_more,
)
from asyncmr.connectors.sampling import SAMPLES, evenly, sample_records
from asyncmr.errors import UsageError
from asyncmr.kernel.blocks import decode_pairs
from asyncmr.kernel.decoding import PairBlocks
from asyncmr.kernel.formats import PairFormat
from asyncmr.protocols import Buffers, Sample, SourceInfo, Split

# So many records of a list are taken without a look at their size: a job on few of them is to begin at once.
_IN_MEMORY = 16


class Records:
    """Any iterable as a source: each of its items reaches the mapper as `(None, item)`.

    It is drawn from on the event loop, a slice at a time, and no faster than the job maps. An iterator can be
    read by one job only; a list by any number.
    """

    decoder = PairBlocks(keyed=False)

    def __init__(self, records: Iterable[Any], *, records_per_task: int | None = None) -> None:
        if isinstance(records, str | bytes) or not isinstance(records, Iterable):
            raise UsageError(
                f"records() takes an iterable of records, not {type(records).__name__}; for one record, pass [record]"
            )
        self._records = records
        self._per_task = records_of_a_task(records_per_task)
        self._left: Iterator[Any] | None = None
        self._whole: Split | None = None  # the input, where one task takes all of it
        self._used = False

    async def prepare(self, disk: Any) -> SourceInfo:
        """Raises as `splits`."""
        if self._used:
            raise UsageError(
                "these records are an iterator that another job has read; pass a list, or a new iterator to each job"
            )
        left = iter(self._records)
        self._used = left is self._records
        sampled = isinstance(self._records, Sequence)
        begin = _IN_MEMORY if sampled else 1
        first: list[Any] = []
        pieces: list[bytes] = []
        ended = False
        while not ended and len(first) < SLICE_RECORDS and sum(map(len, pieces)) < SPLIT_BYTES:
            some, ended = _slice(left, SLICE_RECORDS - len(first), len(first), begin=begin)
            if some:
                pieces.append(encoded(some, len(first)))
                first += some
        self._left = chain(first, left)
        self._whole = None
        if not ended:
            return SourceInfo(None, sampled=sampled)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if 0 < len(first) <= self._per_task:
            self._whole = Split(0, len(data), data=data)
        return SourceInfo(len(data), divided=len(first) > self._per_task, sampled=sampled)

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The splits in order.

        Raises:
            InputError: the iterable raised, which is the cause, or a record of it cannot be pickled.
        """
        if self._left is None:
            raise UsageError("a source is prepared before it is read")
        if self._whole is not None:
            yield self._whole
            return
        async with aclosing(_cut(self._left, self._per_task)) as splits:
            async for split in splits:
                yield split

    async def samples(self, buffers: Buffers) -> AsyncGenerator[Sample, None]:
        """Records at even distances."""
        assert isinstance(self._records, Sequence)
        wanted = sample_records(len(self._records))
        async with aclosing(_cut(iter(evenly(self._records, wanted)), -(-wanted // SAMPLES))) as splits:
            async for split in splits:
                yield Sample(split, worth=len(self._records) / wanted)


async def _cut(records: Iterator[Any], per_task: int) -> AsyncGenerator[Split, None]:
    before = 0
    ended = False
    for index in count():
        pieces: list[bytes] = []
        size = held = 0
        while not ended and held < per_task and size < SPLIT_BYTES:
            some, ended = _slice(records, per_task - held, before)
            if some:
                pieces.append(encoded(some, before))
                size += len(pieces[-1])
                held += len(some)
                before += len(some)
            if not ended:
                await asyncio.sleep(0)
        if not held:
            return
        yield Split(index, size, data=pieces[0] if len(pieces) == 1 else b"".join(pieces))


def _slice(records: Iterator[Any], most: int, before: int, *, begin: int = 1) -> tuple[list[Any], bool]:
    """The next few of the records, and whether these are the last. `before`: how many have been drawn."""
    some: list[Any] = []
    while more := room_for_more(some, most, begin=begin):
        wanted = len(some) + more
        try:
            some.extend(islice(records, more))
        except Exception as error:
            raise failed(error, before + len(some)) from error
        if len(some) < wanted:
            return some, True
    return some, False


class _CollectedPart:
    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self.chunks.append(data)

    async def close(self) -> None:
        """Nothing to make safe."""

    async def discard(self) -> None:
        self.chunks = []


class Collected:
    """A sink that keeps every part in memory, encoded."""

    encoder = PairFormat()

    def __init__(self) -> None:
        self._parts: dict[int, _CollectedPart] = {}

    async def open(self, disk: Any) -> None:
        """Nothing to make ready."""

    async def part(self, index: int, attempt: int) -> _CollectedPart:
        return _CollectedPart()

    async def accept(self, index: int, writer: Any) -> None:
        self._parts[index] = writer

    async def commit(self) -> None:
        """The parts are there."""

    async def abort(self) -> None:
        self._parts = {}

    def chunks(self) -> Iterator[bytes]:
        """The encoded chunks, in the order of the parts."""
        for _, part in sorted(self._parts.items()):
            yield from part.chunks

    async def columns(self) -> list[tuple[list[Any], list[Any]]]:
        """The pairs, decoded in slices that do not hold the loop."""
        columns = []
        for chunk in self.chunks():
            columns.append(decode_pairs(chunk))
            if len(columns) % 2 == 0:
                await asyncio.sleep(0)
        return columns
