"""The fifth stage: reduces partitions, each in a worker, from its runs.

A partition is reduced share by share, all runs of a share at once. Where a share is too large for that, since it
holds a key with very many values, say, the runs of its partition are sorted under the whole hash of the keys, some
neighbours at a time, and then merged bit by bit; more sorted runs than a merge can hold a piece of are merged in
several passes. A partition of a job that sorts has sorted runs from the beginning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count
from typing import TypeVar

from asyncmr.actors import Actor
from asyncmr.pipeline.attempts import Task
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.messages import HANDLE, Part, Partition, Run
from asyncmr.pipeline.shelf import Shelf

T = TypeVar("T")


class Reducer(Actor[Partition, Part]):
    """Turns partitions into parts of the output."""

    def __init__(self, context: StepContext, partitions: int) -> None:
        super().__init__("reducer")
        self.concurrency = context.workers + 1
        self._context = context
        self._stage = context.reduce_stage
        self._merge_stage = f"{context.prefix}merge"
        self._partitions = partitions

    async def handle(self, item: Partition) -> None:
        await self.emit(await self.reduce(item), HANDLE)

    async def reduce(self, partition: Partition) -> Part:
        """Reduces one partition and commits it."""
        context, index = self._context, partition.index
        context.ledger.begin(self._stage)
        if context.following is not None:
            context.ledger.begin(context.following)
        self.advance(0)
        shares = partition.shares()
        whole = all(sum(run.size for run in runs) <= context.limits.whole for _, runs in shares)
        task = Task(self._stage, f"partition {index}", "reduce", (index, context.sorts or not whole))
        if not shares:
            made = context.made(attempt=1)
            await made.part(index)
            await made.close()
        elif done := await context.taken(self._stage, index):
            made = done.outcome
            context.free(run for _, runs in shares for run in runs)
        elif whole and not context.sorts:
            made = await context.gather(task, index, shares, part=index)
        else:
            made = await context.merge(task, index, await self._sorted(index, shares), part=index)
        self.advance(1)
        return Part(index, made.parts[index])

    def advance(self, partitions: int) -> None:
        """Notes that so many more partitions are reduced, wherever that was done."""
        self._context.ledger.advance(self._stage, partitions, self._partitions, "partitions")

    async def _sorted(self, partition: int, shares: Sequence[tuple[int, Sequence[Run]]]) -> Sequence[Run]:
        """Sorted runs of a partition, no more of them than can be merged at once."""
        context = self._context

        async def refined(number: int, group: tuple[int, Sequence[Run]]) -> Made:
            task = Task(self._merge_stage, f"partition {partition}", "refine", (0,))
            return await context.gather(task, number, [group])

        async def merged(number: int, group: Sequence[Run]) -> Made:
            task = Task(self._merge_stage, f"partition {partition}", "combine", (0, True))
            return await context.merge(task, number, group)

        if context.sorts:
            runs: Sequence[Run] = shares[0][1]
        else:
            groups = [(number, some) for number, runs in shares for some in self._neighbours(runs)]
            runs = await self._each(refined, groups, (partition, 0))
        most = context.limits.merged
        for level in count(1):
            if len(runs) <= most:
                break
            neighbours = [runs[at : at + most] for at in range(0, len(runs), most)]
            runs = await self._each(merged, neighbours, (partition, level))
        return runs

    def _neighbours(self, runs: Sequence[Run]) -> Iterator[Sequence[Run]]:
        """Groups of runs that can be fed at once."""
        some: list[Run] = []
        size = 0
        for run in runs:
            if some and size + run.size > self._context.limits.whole:
                yield some
                some, size = [], 0
            some.append(run)
            size += run.size
        yield some

    async def _each(
        self, make: Callable[[int, T], Awaitable[Made]], groups: Sequence[T], where: tuple[int, int]
    ) -> Sequence[Run]:
        """Makes one run of each group, on all workers. `where`: of which partition, in which pass."""
        self._context.ledger.begin(self._merge_stage)
        made: dict[int, tuple[Run, ...]] = {}

        async def one(numbered: tuple[int, T]) -> None:
            index, group = numbered
            made[index] = Shelf((await make(_numbered(*where, index), group)).stored(index)).take(0)

        await self._context.spread(self._merge_stage, enumerate(groups), one)
        return [run for index in range(len(groups)) for run in made[index]]


def _numbered(partition: int, level: int, group: int) -> int:
    """The number of a merge, which follows from what it merges: the same in every run of the job."""
    return partition << 40 | level << 32 | group
