"""The fourth stage: brings the runs of each partition together.

It moves handles. The bytes lie in the block store: in memory while the budget has room, and otherwise on disk.
"""

from __future__ import annotations

from asyncmr.actors import Actor
from asyncmr.pipeline.messages import HANDLE, Partition, Pieces
from asyncmr.pipeline.shelf import Shelf


class Shuffler(Actor[Pieces, Partition]):
    """Collects every run, then emits all partitions, also those that got nothing, in order."""

    def __init__(self, partitions: int, shares: int) -> None:
        super().__init__("shuffler")
        self._partitions = partitions
        self._shares = shares
        self._stored: list[Pieces] = []

    async def handle(self, item: Pieces) -> None:
        self._stored.append(item)

    async def finish(self) -> None:
        shelf = Shelf(self._stored)
        self._stored.clear()
        for index in range(self._partitions):
            numbers = range(index * self._shares, (index + 1) * self._shares)
            await self.emit(Partition(index, tuple(map(shelf.take, numbers))), HANDLE)
