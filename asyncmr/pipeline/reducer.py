"""The fifth stage: reduces partitions, each in a worker, from its runs."""

from __future__ import annotations

from asyncmr.actors import Actor
from asyncmr.pipeline.attempts import Task
from asyncmr.pipeline.context import StepContext
from asyncmr.pipeline.messages import HANDLE, Mapped, Part, Partition


class Reducer(Actor[Partition, Part]):
    """Turns partitions into parts of the output."""

    def __init__(self, context: StepContext, partitions: int) -> None:
        super().__init__("reducer")
        self.concurrency = context.workers + 1
        self._context = context
        self._stage = f"{context.prefix}reduce"
        self._partitions = partitions

    async def handle(self, item: Partition) -> None:
        await self.emit(await self.reduce(item), HANDLE)

    async def reduce(self, partition: Partition) -> Part:
        """Reduces one partition and commits it."""
        context, index = self._context, partition.index
        context.ledger.begin(self._stage)
        context.ledger.advance(self._stage, 0, self._partitions, "partitions")
        if partition.runs:
            task = Task(self._stage, f"partition {index}", "reduce", (index,))
            made = await context.merge(task, index, partition.runs)
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

    def commit_fused(self, mapped: Mapped) -> None:
        """Commits what the mapper's worker reduced at once."""
        self._context.ledger.begin(self._stage)
        self._context.ledger.commit(
            self._stage,
            -1 - mapped.split,  # beside the partitions, whose numbers count up from 0
            attempts=1,
            counts={},
            pairs_in=mapped.reduced,
            pairs_out=mapped.results,
        )
