"""The fourth stage: brings the runs of each partition together.

It moves handles. The bytes lie in the block store: in memory while the budget has room, and otherwise on disk.
"""

from __future__ import annotations

from asyncmr.actors import Actor
from asyncmr.pipeline.messages import HANDLE, Partition, Pieces
from asyncmr.pipeline.shelf import Shelf

# A partition that is so many times larger than others on average is reduced first: begun last, it would be waited for.
_LARGE = 2


class Shuffler(Actor[Pieces, Partition]):
    """Collects every run, then emits all partitions, also those that got nothing: in order, but large ones first."""

    def __init__(self, partitions: int, shares: int) -> None:
        super().__init__("shuffler")
        self._partitions = partitions
        self._shares = shares
        self._stored: list[Pieces] = []
        self._sizes = [0] * partitions

    async def handle(self, item: Pieces) -> None:
        self._stored.append(item)
        for share, number in zip(item.shares, item.numbers, strict=True):
            self._sizes[share // self._shares] += item.block.piece_size(number)

    async def finish(self) -> None:
        shelf = Shelf(self._stored)
        self._stored.clear()
        large = _LARGE * sum(self._sizes) / self._partitions
        for index in sorted(range(self._partitions), key=lambda index: -max(self._sizes[index], large)):
            numbers = range(index * self._shares, (index + 1) * self._shares)
            await self.emit(Partition(index, shelf.take, numbers), HANDLE)
