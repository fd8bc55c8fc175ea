"""The fifth stage: reduces partitions, each in a worker, from its runs.

A partition is reduced share by share, all runs of a share at once. Where a share is too large for that, since it
holds a key with very many values, say, the runs of its partition are sorted under the whole hash of the keys, some
neighbours at a time, and then merged bit by bit; more sorted runs than a merge can hold a piece of are merged in
several passes. A partition of a job that sorts has sorted runs from the beginning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from asyncmr.actors import Actor
from asyncmr.pipeline.attempts import Task, Tries
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.messages import HANDLE, Mapped, Part, Partition, Run
from asyncmr.pipeline.shelf import Shelf

T = TypeVar("T")


class Reducer(Actor[Partition, Part]):
    """Turns partitions into parts of the output."""

    def __init__(self, context: StepContext, partitions: int) -> None:
        super().__init__("reducer")
        self.concurrency = context.workers + 1
        self._context = context
        self._stage = f"{context.prefix}reduce"
        self._merge_stage = f"{context.prefix}merge"
        self._merges = 0
        self._partitions = partitions

    async def handle(self, item: Partition) -> None:
        await self.emit(await self.reduce(item), HANDLE)

    async def reduce(self, partition: Partition) -> Part:
        """Reduces one partition and commits it."""
        context, index = self._context, partition.index
        context.ledger.begin(self._stage)
        if context.following is not None:
            context.ledger.begin(context.following)
        context.ledger.advance(self._stage, 0, self._partitions, "partitions")
        shares = [(number, runs) for number, runs in enumerate(partition.shares) if runs]
        whole = all(sum(run.size for run in runs) <= context.limits.whole for _, runs in shares)
        task = Task(self._stage, f"partition {index}", "reduce", (index, context.sorts or not whole))
        if shares and whole and not context.sorts:
            made = await context.gather(task, index, shares)
        elif shares:
            made = await context.merge(task, index, await self._sorted(index, shares))
        else:
            made = context.made(attempt=1)
        writer = await made.part(index)
        try:
            await writer.close()
        except BaseException:
            await made.discard()
            raise
        context.ledger.advance(self._stage, 1, self._partitions, "partitions")
        return Part(index, writer)

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
            runs = await self._each(refined, groups)
        most = context.limits.merged
        while len(runs) > most:
            runs = await self._each(merged, [runs[at : at + most] for at in range(0, len(runs), most)])
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

    async def _each(self, make: Callable[[int, T], Awaitable[Made]], groups: Sequence[T]) -> Sequence[Run]:
        """Makes one run of each group, on all workers."""
        self._context.ledger.begin(self._merge_stage)
        made: dict[int, tuple[Run, ...]] = {}

        async def one(numbered: tuple[int, T]) -> None:
            index, group = numbered
            number, self._merges = self._merges, self._merges + 1
            made[index] = Shelf((await make(number, group)).stored(index)).take(0)

        await self._context.spread(self._merge_stage, enumerate(groups), one)
        return [run for index in range(len(groups)) for run in made[index]]

    def commit_fused(self, mapped: Mapped) -> None:
        """Commits what the mapper's worker reduced at once."""
        self._context.ledger.begin(self._stage)
        self._context.ledger.commit(
            self._stage,
            -1 - mapped.split,  # beside the partitions, whose numbers count up from 0
            tries=Tries(),
            counts={},
            pairs_in=mapped.reduced,
            pairs_out=mapped.results,
            skipped=mapped.skipped,
        )
