"""Which partition a key belongs to.

A key's hash decides: partition p of P holds the p-th of P equal ranges of hashes, and the ranges can be divided
again without looking at the others. The whole output is in the order of the hash, whatever P is. A partitioner of the
user decides instead, where there is one. A partition that is expected to be large has several shares, which are
ranges of its hashes: what moves through the shuffle, and is reduced at once, is a share.
"""

from __future__ import annotations

import operator
from itertools import repeat
from typing import Any

from asyncmr.functions import Partitioner
from asyncmr.kernel.failures import UserFailure, excerpt, name_of, stopped_early
from asyncmr.kernel.hashing import KeyHasher


class Partitioning:
    """Where keys go. A value: it has no state. `shares`: how many each partition has."""

    def __init__(
        self, partitions: int, *, shares: int = 1, partitioner: Partitioner | None = None, hasher: KeyHasher
    ) -> None:
        self.partitions = partitions
        self.shares = shares
        self.hasher = hasher
        self._partitioner = partitioner

    def one(self, keys: list[Any], kinds: set[type]) -> bool:
        """Whether there is but one share, to which these keys, of these types, may belong."""
        if self.partitions * self.shares > 1:
            return False
        self.hasher.check(keys, kinds)
        if self._partitioner is not None:
            self._ask(self._partitioner, keys)
        return True

    def divide(self, keys: list[Any], each: int, kinds: set[type] | None = None) -> list[int]:
        """The range of each key, when the hashes of every share are divided into `each` equal ranges.

        Range r belongs to share r // each, and share s to partition s // shares. `kinds`: the types of the keys,
        where these are known.
        """
        hashes = self.hasher.hashes(keys, kinds)
        each *= self.shares
        if self._partitioner is None:
            # The upper half is plenty, and multiplies without a second word.
            ranges = self.partitions * each
            return [(value >> 32) * ranges >> 32 for value in hashes]
        parts = self._ask(self._partitioner, keys)
        return [part * each + ((value >> 32) * each >> 32) for part, value in zip(parts, hashes, strict=True)]

    def _ask(self, partitioner: Partitioner, keys: list[Any]) -> list[int]:
        asked = iter(keys)
        try:
            parts = list(map(operator.index, map(partitioner, asked, repeat(self.partitions))))
            if stopped_early(asked):
                raise StopIteration
        except BaseException as error:
            key = keys[len(keys) - operator.length_hint(asked) - 1]
            raise UserFailure(
                "partitioner",
                f"{name_of(partitioner)} raised {type(error).__name__} for the key {excerpt(key)}, or gave no integer",
                excerpt=excerpt(key),
            ) from error
        if not (min(parts) >= 0 and max(parts) < self.partitions):
            key, part = next((k, p) for k, p in zip(keys, parts, strict=True) if not 0 <= p < self.partitions)
            raise UserFailure(
                "partitioner",
                f"{name_of(partitioner)} gave {part} for the key {excerpt(key)}; "
                f"it must give an integer from 0 to {self.partitions - 1}",
                excerpt=excerpt(key),
            )
        return parts
