"""The fourth stage: brings the runs of each partition together.

It moves handles. The bytes lie in the block store: in memory while the budget has room, and otherwise on disk.
"""

from __future__ import annotations

from collections import defaultdict

from asyncmr.actors import Actor
from asyncmr.pipeline.messages import HANDLE, Partition, Run


class Shuffler(Actor[Run, Partition]):
    """Collects every run, then emits all partitions, also those that got nothing, in order."""

    def __init__(self, partitions: int) -> None:
        super().__init__("shuffler")
        self._partitions = partitions
        self._runs: defaultdict[int, list[Run]] = defaultdict(list)

    async def handle(self, item: Run) -> None:
        self._runs[item.partition].append(item)

    async def finish(self) -> None:
        for index in range(self._partitions):
            runs = sorted(self._runs.pop(index, ()), key=lambda run: run.rank)
            await self.emit(Partition(index, tuple(runs)), HANDLE)
