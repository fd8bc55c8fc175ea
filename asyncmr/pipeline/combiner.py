"""The third stage: merges the runs of neighbouring splits, so that less has to wait and less is reduced.

Every 16 neighbours are merged, partition by partition, as soon as all of them are mapped. Which runs are merged
follows from the numbers of their splits and from how much was combined while they were mapped, never from what
happened to be ready: partial results group the same way in every run of the job.
"""

from __future__ import annotations

from collections import defaultdict

from asyncmr.actors import Actor, TaskScope
from asyncmr.pipeline.attempts import Task
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.messages import HANDLE, Mapped, Run

# Where combining within the splits left more than this of the pairs, keys hardly repeat and merging cannot pay.
_WORTHWHILE = 0.9


class Combiner(Actor[Mapped, Run]):
    """Passes runs on; those of a whole group of neighbours merged, if that pays."""

    def __init__(self, context: StepContext, *, combines: bool) -> None:
        super().__init__("combiner")
        self.concurrency = 2 * context.limits.fan_in if combines else 1
        self._context = context
        self._stage = f"{context.prefix}combine"
        self._combines = combines
        self._groups: defaultdict[int, list[Mapped]] = defaultdict(list)
        self._merges = 0

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
        pairs = sum(mapped.pairs for mapped in group)
        if sum(mapped.pairs_out for mapped in group) > _WORTHWHILE * pairs:
            await self._pass_on(group)
        else:
            await self._merge_all(group)

    async def finish(self) -> None:
        for group in self._groups.values():
            await self._pass_on(group)

    async def _pass_on(self, group: list[Mapped]) -> None:
        for mapped in group:
            for run in mapped.runs:
                await self.emit(run, HANDLE)

    async def _merge_all(self, group: list[Mapped]) -> None:
        partitions: defaultdict[int, list[Run]] = defaultdict(list)
        for mapped in group:
            for run in mapped.runs:
                partitions[run.partition].append(run)
        waiting = iter(sorted(partitions.items()))

        async def lane() -> None:
            for partition, runs in waiting:
                if len(runs) == 1:
                    await self.emit(runs[0], HANDLE)
                else:
                    await self._merge(group[0].split, partition, runs)

        async with TaskScope() as scope:
            for number in range(self._context.workers):
                scope.spawn(lane, name=f"{self.name}.merge[{number}]")

    async def _merge(self, split: int, partition: int, runs: list[Run]) -> None:
        title = f"partition {partition} of splits {split} and following"
        number, self._merges = self._merges, self._merges + 1
        made = await self._context.merge(Task(self._stage, title, "combine", (partition,)), number, runs)
        for merged in made.runs(split):
            await self.emit(merged, HANDLE)
