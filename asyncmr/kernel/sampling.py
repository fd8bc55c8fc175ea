"""Sampling: what the mapper makes of some records, so that bounds can be chosen before the rest is mapped."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any

from asyncmr.job import Mapper, Pair
from asyncmr.kernel.blocks import encode_pairs
from asyncmr.kernel.failures import check_pairs
from asyncmr.kernel.footprint import estimate_bytes

# As many keys of one sample tell where to cut thousands of partitions; a mapper may make any number of pairs.
MOST_KEYS = 4096
_LOOKS = 64


class KeySample:
    """Some of the mapper's keys, and how many bytes of pairs each stands for."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.weights: list[float] = []
        self._every = 1
        self._skip = 0

    def add(self, batch: list[Pair], worth: float = 1.0) -> None:
        """Takes a batch of pairs, each `worth` so many like it.

        Raises:
            UserFailure: something is no pair.
        """
        check_pairs("mapper", "the mapper", batch)
        sample = batch[::_LOOKS]
        # Pairs that take no memory of their own still take room in a column.
        size = 16 + estimate_bytes([part for pair in sample for part in pair]) / len(sample)
        some = [key for key, _ in batch[self._skip :: self._every]]
        self._skip = (self._skip - len(batch)) % self._every
        self.keys += some
        self.weights += [worth * size] * len(some)
        while len(self.keys) > 2 * MOST_KEYS:
            # Of an odd number the last one is kept, and the next to come is not.
            self._skip += self._every * (len(self.keys) % 2)
            self.keys, self.weights = self.keys[::2], self.weights[::2]
            self._every *= 2

    def encoded(self) -> bytes:
        """The keys and weights as a block of pairs."""
        return encode_pairs(self.keys, [weight * self._every for weight in self.weights])


class Every:
    """A mapper on one of `every` records only, beginning with the first."""

    def __init__(self, mapper: Mapper, every: int) -> None:
        self._mapper = mapper
        self._turns = cycle([True] + [False] * (every - 1))

    def __call__(self, key: Any, value: Any) -> Iterable[Pair]:
        return self._mapper(key, value) if next(self._turns) else ()
