"""The fifth stage: reduces partitions, each in a worker, from its runs."""

from __future__ import annotations

from asyncmr.actors import Actor
from asyncmr.job import Sink
from asyncmr.pipeline.attempts import Attempts, Task
from asyncmr.pipeline.feeding import RunFeed, kept, lease_for
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.limits import Limits
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.messages import HANDLE, Mapped, Part, Partition
from asyncmr.storage.runs import BlockStore


class Reducer(Actor[Partition, Part]):
    """Turns partitions into parts of the output."""

    def __init__(
        self,
        attempts: Attempts,
        store: BlockStore,
        sink: Sink,
        ledger: Ledger,
        *,
        limits: Limits,
        prefix: str,
        partitions: int,
    ) -> None:
        super().__init__("reducer")
        self.concurrency = attempts.pool.workers + 1
        self._attempts = attempts
        self._store = store
        self._sink = sink
        self._ledger = ledger
        self._limits = limits
        self._stage = f"{prefix}reduce"
        self._partitions = partitions

    async def handle(self, item: Partition) -> None:
        await self.emit(await self.reduce(item), HANDLE)

    async def reduce(self, partition: Partition) -> Part:
        """Reduces one partition and commits it."""
        self._ledger.begin(self._stage)
        made = await self._reduce(partition) if partition.runs else Made(self._store, self._sink, 1)
        writer = await made.part(partition.index)
        try:
            await writer.close()
        except BaseException:
            await made.discard()
            raise
        self._ledger.advance(self._stage, 1, self._partitions, "partitions")
        return Part(partition.index, writer)

    def commit_fused(self, mapped: Mapped) -> None:
        """Commits what the mapper's worker reduced at once."""
        self._ledger.begin(self._stage)
        self._ledger.commit(
            self._stage,
            -1 - mapped.split,  # beside the partitions, whose numbers count up from 0
            attempts=1,
            counts={},
            pairs_in=mapped.reduced,
            pairs_out=mapped.results,
        )

    async def _reduce(self, partition: Partition) -> Made:
        task = Task(self._stage, f"partition {partition.index}", "reduce", (partition.index,))
        runs = partition.runs
        with kept(await lease_for(runs, self._attempts.pool.segments, self._limits.round)) as segment:
            done = await self._attempts.run(
                task,
                lambda: RunFeed(runs, self._store, segment),
                lambda attempt: Made(self._store, self._sink, attempt),
            )
        self._ledger.commit(
            self._stage,
            partition.index,
            attempts=done.attempts,
            counts=done.counts,
            pairs_in=done.facts["pairs"],
            pairs_out=done.facts["pairs_out"],
            bytes_in=sum(run.size for run in runs),
            bytes_out=done.outcome.bytes_out,
        )
        for run in runs:
            for block in run.blocks:
                self._store.free(block)
        return done.outcome
