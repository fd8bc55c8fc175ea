"""Portions: the records that an async mapper is called with, cut into tasks, decoded on the event loop.

A portion is what one task of the loop takes: few enough records that little is done again when a job is resumed. Where
one ends depends on the input alone. What is read waits in memory of its own: the shared buffers belong to the workers,
and a call may take its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from asyncmr.actors import Actor
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.pipeline.attempts import Done
from asyncmr.pipeline.call import Record
from asyncmr.pipeline.context import TaskContext
from asyncmr.pipeline.feeding import PrivateBuffers
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.messages import HANDLE
from asyncmr.protocols import Decoder, Piece, RecordBatch, Source, Split

# A portion has so many records, and is closed when they take so many bytes in memory.
RECORDS = 1024
BYTES = 1 << 20
# What is decoded at a time, and how many records are made of it between two turns of the loop.
_PIECE_BYTES = 64 << 10
_SLICE = 256


class Portion(Protocol):
    """The work of one task. `number` counts from 0; `size`: bytes of input; `pieces`: of the split that it comes from;
    `basis` tells its input from others; `done`: what an earlier run of the job made of it."""

    number: int
    size: int
    pieces: tuple[Piece, ...]
    basis: int
    done: Done[Made] | None

    def records(self) -> AsyncGenerator[Record, None]:
        """What the function is to be called with, in order."""

    def reached(self, calls: int) -> int:
        """How much of `size` was for the first so many calls, as far as that can be told."""

    def figures(self) -> dict[str, int]:
        """What the report counts of what came in, once all of it was read."""

    def release(self) -> None:
        """It is committed: frees what it lay in."""


@dataclass(slots=True, eq=False)
class SplitPortion:
    """Some records of a split."""

    number: int
    size: int
    pieces: tuple[Piece, ...]
    basis: int
    held: list[Record] = field(repr=False)
    done: Done[Made] | None = None

    async def records(self) -> AsyncGenerator[Record, None]:
        for record in self.held:
            yield record

    def reached(self, calls: int) -> int:
        return self.size * calls // len(self.held)

    def figures(self) -> dict[str, int]:
        return {"records_in": len(self.held)}

    def release(self) -> None:
        """Its records go with it."""


class PortionReader(Actor[None, Portion]):
    """Reads a source as portions, with this decoder."""

    def __init__(self, source: Source, decoder: Decoder, context: TaskContext) -> None:
        super().__init__("source")
        self._source = source
        self._decoder = decoder
        self._context = context

    async def produce(self) -> None:
        keeping, number = self._context.keeping, 0
        async with aclosing(self._source.splits(PrivateBuffers())) as splits:
            async for split in splits:
                try:
                    basis = 0 if keeping is None else await keeping.basis(split, b"")
                    async with aclosing(self._cut(split)) as portions:
                        async for records, size in portions:
                            await self.emit(SplitPortion(number, size, split.pieces, basis, records), HANDLE)
                            number += 1
                finally:
                    split.release()

    async def _cut(self, split: Split) -> AsyncGenerator[tuple[list[Record], int], None]:
        """The records of each portion of a split, and how many bytes of it they are."""
        decoder = self._decoder
        view = memoryview(split.data) if split.buffer is None else split.buffer.view[: split.length]
        end = decoder.end(view)
        some: list[Record] = []
        held = told = 0
        for batch in decoder.decode(view, 0, end, _PIECE_BYTES):
            for number, (record, behind) in enumerate(_records(decoder, view, batch, split.pieces), 1):
                some.append(record)
                held += record.size
                if len(some) >= RECORDS or held >= BYTES:
                    before, told = told, split.length * behind // end
                    yield some, told - before
                    some, held = [], 0
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
        if some:
            yield some, split.length - told


def _records(
    decoder: Decoder, view: memoryview, batch: RecordBatch, pieces: tuple[Piece, ...]
) -> Iterator[tuple[Record, int]]:
    """The records of a batch, each with the position behind it."""
    start, stop, keys, values = batch
    indexes = stop - start == len(values)
    for at, value in enumerate(values):
        key = None if keys is None else keys[at]
        behind = start + 1 if indexes else decoder.advance(view, start, 1)
        quick = key is None and type(value) is str
        size = len(value) if quick else estimate_bytes([key, value])
        yield Record(key, value, start, size, (), pieces), behind
        start = behind
