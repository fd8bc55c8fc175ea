"""Sampling: what the mapper makes of some records, so that bounds can be chosen before the rest is mapped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asyncmr.kernel.blocks import encode_pairs
from asyncmr.kernel.failures import check_pairs
from asyncmr.kernel.footprint import estimate_bytes
from asyncmr.kernel.outlets import ColumnBatch, Item
from asyncmr.protocols import Decoder, Pair, RecordBatch

# As many keys of one sample tell where to cut thousands of partitions; a mapper may make any number of pairs.
MOST_KEYS = 4096
# The keys of all samples are in one worker, and for a moment in the host, at a time.
MOST_BYTES = 512 << 10
_LEAST_KEYS = 64
_LOOKS = 64


class KeySample:
    """Some of the mapper's keys, and how many bytes of pairs each stands for. An outlet that gives nothing.

    `worth`: how many pairs each of those to come stands for.
    """

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.weights: list[float] = []
        self.worth = 1.0
        self._every = 1
        self._skip = 0
        self._bytes = 0.0

    def add(self, batch: list[Pair]) -> Iterator[Item]:
        """Takes a batch of pairs.

        Raises:
            UserFailure: something is no pair.
        """
        check_pairs("mapper", "the mapper", batch)
        return self.add_columns(ColumnBatch([key for key, _ in batch], [value for _, value in batch]))

    def add_columns(self, batch: ColumnBatch) -> Iterator[Item]:
        """Takes a batch of columns."""
        looks = batch.keys[::_LOOKS]
        if looks:
            # Pairs that take no memory of their own still take room in a column.
            key_size = 8 + estimate_bytes(looks) / len(looks)
            size = key_size + 8 + estimate_bytes(batch.values[::_LOOKS]) / len(looks)
            some = batch.keys[self._skip :: self._every]
            self._skip = (self._skip - len(batch.keys)) % self._every
            self.keys += some
            self.weights += [self.worth * size] * len(some)
            self._bytes += key_size * len(some)
            while len(self.keys) > 2 * MOST_KEYS or (
                self._bytes > MOST_BYTES and len(self.keys) > _LEAST_KEYS
            ):
                # Of an odd number the last one is kept, and the next to come is not.
                self._skip += self._every * (len(self.keys) % 2)
                self.keys, self.weights = self.keys[::2], self.weights[::2]
                self._bytes /= 2
                self._every *= 2
        return iter(())

    def encoded(self) -> bytes:
        """The keys and weights as a block of pairs."""
        return encode_pairs(self.keys, [weight * self._every for weight in self.weights])


@dataclass(frozen=True, slots=True)
class Thinned:
    """A decoder of one of `every` records only, beginning with the first."""

    decoder: Decoder
    every: int

    def decode(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[RecordBatch]:
        skip = 0
        for piece in self.decoder.decode(data, start, stop, size):
            kept = slice(skip, None, self.every)
            skip = (skip - len(piece.values)) % self.every
            if values := piece.values[kept]:
                yield piece._replace(keys=None if piece.keys is None else piece.keys[kept], values=values)

    def end(self, data: memoryview) -> int:
        return self.decoder.end(data)

    def advance(self, data: memoryview, start: int, records: int) -> int:
        return self.decoder.advance(data, start, records * self.every)
