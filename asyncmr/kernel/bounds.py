"""Bounds: where a total order is cut into partitions, and each partition into shares.

They are chosen from a sample of the keys. Parts are filled one after the other, each with its equal share of
what is left then, to the nearest key. So a key that is worth several shares has a range of its own, and what
remains is divided among the parts that remain: no bound comes twice, and only a single key can make a part
large. Where there are fewer keys than parts, the last parts are empty.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple, Self

from asyncmr.kernel.blocks import decode_pairs, encode_pairs
from asyncmr.kernel.ordering import cannot_sort, check_order, order_of_keys


class Bounds(NamedTuple):
    """Ranges of keys, the first one without a lower end: that of share 0.

    `keys`: where each of the others begins, ascending; `shares`: which share it is, counted through all partitions.
    """

    keys: list[Any]
    shares: list[int]

    @classmethod
    def chosen(cls, keys: list[Any], weights: Sequence[float], partitions: int, shares: int) -> Self:
        """Bounds for keys like these, in any order, each of which stands for so many bytes.

        `shares`: how many each partition has.

        Raises:
            UserFailure: the keys cannot be compared.
        """
        check_order(keys)
        order = order_of_keys(keys)
        firsts: list[Any] = []
        sizes: list[float] = []
        for key, same in groupby(order, keys.__getitem__):
            firsts.append(key)
            sizes.append(sum(map(weights.__getitem__, same)))
        starts: list[tuple[int, int]] = []
        for partition, (a, b) in enumerate(pairwise([*_cuts(sizes, partitions), len(sizes)])):
            for number, start in enumerate(_cuts(sizes[a:b], shares)):
                starts.append((a + start, partition * shares + number))
        return cls([firsts[at] for at, _ in starts[1:]], [share for _, share in starts[1:]])

    @classmethod
    def decoded(cls, data: bytes | memoryview) -> Self:
        """What `encoded` made these bytes of."""
        return cls(*decode_pairs(data))

    def encoded(self) -> bytes:
        """These bounds as bytes, which are never none."""
        return encode_pairs(self.keys, self.shares)

    def divide(self, keys: list[Any]) -> Iterator[tuple[int, int, int]]:
        """`(share, start, end)` for each range in which some of these sorted keys lie.

        Raises:
            UserFailure: a key cannot be compared with a bound.
        """
        starts, start = [], 0
        try:
            for bound in self.keys:
                start = bisect_left(keys, bound, start)
                starts.append(start)
        except BaseException as error:
            raise cannot_sort([keys[0], self.keys[len(starts)]], error) from error
        for share, (start, end) in zip([0, *self.shares], pairwise([0, *starts, len(keys)]), strict=True):
            if start < end:
                yield share, start, end


def _cuts(sizes: list[float], parts: int) -> list[int]:
    """Where each of at most `parts` parts of what has these sizes begins; the first begins at 0."""
    starts = [0]
    ends = list(accumulate(sizes))
    before = 0.0  # what the parts before the current one hold
    for at, size in enumerate(sizes):
        held = ends[at] - size - before
        left = parts - len(starts)
        if not left:
            break
        if at > starts[-1] and held + size / 2 > (ends[-1] - before) / (left + 1):
            starts.append(at)
            before += held
    return starts
