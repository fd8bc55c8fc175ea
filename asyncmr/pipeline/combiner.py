"""The third stage: merges the runs of neighbouring splits where their partial results are large.

To merge a few small partial results of many keys costs more than to reduce them one by one in the end. Large ones
are merged in a tree, in parallel, as soon as 16 neighbours are mapped, so that no reducer has all of that work at
the end. Which runs are merged follows from the numbers and sizes of what was made of their splits, never from what
happened to be ready: partial results group the same way in every run of the job.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby

from asyncmr.actors import Actor
from asyncmr.job import MAX_PARTITIONS
from asyncmr.pipeline.attempts import Task
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.messages import HANDLE, Mapped, Pieces, Run
from asyncmr.pipeline.shelf import Shelf

# Where combining within the splits left more than this of the pairs, keys hardly repeat and merging cannot pay.
_WORTHWHILE = 0.9


class Combiner(Actor[Mapped, Pieces]):
    """Passes runs on; those of a whole group of neighbours merged, if that pays."""

    def __init__(self, context: StepContext, *, combines: bool) -> None:
        super().__init__("combiner")
        self.concurrency = 2 * context.limits.fan_in if combines else 1
        self._context = context
        self._stage = f"{context.prefix}combine"
        self._combines = combines
        self._groups: defaultdict[int, list[Mapped]] = defaultdict(list)

    async def handle(self, item: Mapped) -> None:
        if not self._combines:
            await self._pass_on([item])
            return
        number = item.split // self._context.limits.fan_in
        group = self._groups[number]
        group.append(item)
        if len(group) < self._context.limits.fan_in:
            return
        del self._groups[number]
        group.sort(key=lambda mapped: mapped.split)
        if self._pays(group):
            await self._merge_all(group)
        else:
            await self._pass_on(group)

    async def finish(self) -> None:
        for group in self._groups.values():
            await self._pass_on(group)

    def _pays(self, group: list[Mapped]) -> bool:
        pairs = sum(mapped.pairs for mapped in group)
        left = sum(mapped.pairs_out for mapped in group)
        size = sum(pieces.size for mapped in group for pieces in mapped.stored)
        return left <= _WORTHWHILE * pairs and size >= self._context.limits.large_partial * left

    async def _pass_on(self, group: list[Mapped]) -> None:
        for mapped in group:
            for pieces in mapped.stored:
                await self.emit(pieces, HANDLE)

    async def _merge_all(self, group: list[Mapped]) -> None:
        shelf = Shelf(pieces for mapped in group for pieces in mapped.stored)
        partitions = groupby(shelf.shares(), lambda share: share // self._context.shares)
        waiting = [(index, [(share, shelf.take(share)) for share in some]) for index, some in partitions]

        async def one(partition: tuple[int, list[tuple[int, tuple[Run, ...]]]]) -> None:
            await self._merge(group[0].split, *partition)

        await self._context.spread(f"{self.name}.merge", waiting, one)

    async def _merge(self, split: int, partition: int, shares: list[tuple[int, tuple[Run, ...]]]) -> None:
        context, first = self._context, partition * self._context.shares
        sizes = [sum(run.size for run in runs) for _, runs in shares]
        alone = all(len(runs) == 1 for _, runs in shares)
        if alone or (not context.sorts and max(sizes) > context.limits.whole):
            for share, runs in shares:
                for run in runs:
                    for block, number in run.pieces:
                        piece = Pieces(run.rank, block, (share,), (number,))
                        await self.emit(piece, HANDLE)
            return
        title = f"partition {partition} of splits {split} and following"
        number = split // context.limits.fan_in * MAX_PARTITIONS + partition
        task = Task(self._stage, title, "combine", (first, context.sorts))
        if context.sorts:
            made = await context.merge(task, number, shares[0][1])
        else:
            made = await context.gather(task, number, [(share - first, runs) for share, runs in shares])
        for merged in made.stored(split):
            await self.emit(merged, HANDLE)
