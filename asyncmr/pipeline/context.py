"""What the stages of one step share, and the work that two of them do alike: merging runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncmr.job import Sink
from asyncmr.pipeline.attempts import Attempts, Task
from asyncmr.pipeline.feeding import RunFeed, kept, lease_for
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.limits import Limits
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.messages import Run
from asyncmr.storage.runs import BlockStore


@dataclass(frozen=True, slots=True)
class StepContext:
    """One step of one job. `prefix` sets its stages apart in the report of a chain."""

    attempts: Attempts
    store: BlockStore
    sink: Sink
    ledger: Ledger
    limits: Limits
    prefix: str

    @property
    def workers(self) -> int:
        """How many tasks can run at once."""
        return self.attempts.pool.workers

    def made(self, attempt: int) -> Made:
        """What one attempt of a task makes."""
        return Made(self.store, self.sink, attempt)

    async def merge(self, task: Task, number: int, runs: Sequence[Run]) -> Made:
        """Runs a task over these runs, commits it as task `number` of its stage, and frees the runs."""
        with kept(await lease_for(runs, self.attempts.pool.segments, self.limits.round)) as segment:
            done = await self.attempts.run(task, lambda: RunFeed(runs, self.store, segment), self.made)
        self.ledger.commit(
            task.stage,
            number,
            attempts=done.attempts,
            counts=done.counts,
            pairs_in=done.facts["pairs"],
            pairs_out=done.facts["pairs_out"],
            bytes_in=sum(run.size for run in runs),
            bytes_out=done.outcome.bytes_out,
        )
        for run in runs:
            for block in run.blocks:
                self.store.free(block)
        return done.outcome
