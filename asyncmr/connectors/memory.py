"""Records in memory as a source, and results in memory as a sink."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import chain, count, islice
from typing import Any

from asyncmr.connectors.sampling import SAMPLES, evenly, sample_records
from asyncmr.errors import UsageError
from asyncmr.kernel.blocks import decode_pairs, encode_pairs
from asyncmr.kernel.decoding import PairBlocks
from asyncmr.kernel.formats import PairFormat
from asyncmr.protocols import Buffers, Sample, SourceInfo, Split

# What is encoded between two turns of the loop, and what makes a split.
_SLICE_RECORDS = 1024
_SPLIT_RECORDS = 65_536
_SPLIT_BYTES = 1 << 20


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
        if records_per_task is not None and records_per_task < 1:
            raise UsageError(
                f"records_per_task={records_per_task} leaves a task without records; give at least 1"
            )
        self._records = records
        self._per_task = records_per_task or _SPLIT_RECORDS
        self._left: Iterator[Any] | None = None
        self._whole: Split | None = None  # the input, where one task takes all of it
        self._used = False

    async def prepare(self, disk: Any) -> SourceInfo:
        if self._used:
            raise UsageError(
                "these records are an iterator that another job has read; pass a list, or a new iterator to each job"
            )
        left = iter(self._records)
        first = list(islice(left, _SLICE_RECORDS))
        self._used = left is self._records
        self._left = chain(first, left)
        self._whole = None
        sampled = isinstance(self._records, Sequence)
        if len(first) == _SLICE_RECORDS:
            return SourceInfo(None, sampled=sampled)
        data = _encode(first)
        if 0 < len(first) <= self._per_task:
            self._whole = Split(0, len(data), data=data)
        return SourceInfo(len(data), divided=len(first) > self._per_task, sampled=sampled)

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
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
    for index in count():
        pieces: list[bytes] = []
        size = held = 0
        while held < per_task and size < _SPLIT_BYTES:
            some = list(islice(records, min(_SLICE_RECORDS, per_task - held)))
            if not some:
                break
            pieces.append(_encode(some))
            size += len(pieces[-1])
            held += len(some)
            if len(some) == _SLICE_RECORDS:
                await asyncio.sleep(0)
        if not held:
            return
        yield Split(index, size, data=pieces[0] if len(pieces) == 1 else b"".join(pieces))


def _encode(records: list[Any]) -> bytes:
    return encode_pairs([None] * len(records), records)


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
