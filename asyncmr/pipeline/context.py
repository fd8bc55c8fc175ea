"""What the stages of one step share, and the work that two of them do alike: merging runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from asyncmr.actors import TaskScope
from asyncmr.job import Piece, Sink
from asyncmr.pipeline.attempts import Attempts, Done, Task
from asyncmr.pipeline.feeding import Feeding, piecewise, sharewise
from asyncmr.pipeline.ledger import Ledger
from asyncmr.pipeline.limits import Limits
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.messages import Run
from asyncmr.pipeline.skipping import Skipping
from asyncmr.storage.runs import BlockStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StepContext:
    """One step of one job. `prefix` sets its stages apart in the report of a chain; `sorts`: its runs are sorted;
    `shares`: how many each of its partitions has; `bounds`: where those of a total order begin;
    `following`: the stage of a next step whose mapper runs on the results of the reducers.
    """

    attempts: Attempts
    store: BlockStore
    sink: Sink
    ledger: Ledger
    skipping: Skipping
    limits: Limits
    prefix: str
    sorts: bool
    shares: int
    bounds: bytes = b""
    following: str | None = None

    @property
    def workers(self) -> int:
        """How many tasks can run at once."""
        return self.attempts.pool.workers

    async def spread(self, name: str, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
        """Does `work` on each of the items, in order, on as many at a time as there are workers."""
        waiting = iter(items)

        async def lane() -> None:
            for item in waiting:
                await work(item)

        async with TaskScope() as scope:
            for number in range(self.workers):
                scope.spawn(lane, name=f"{name}[{number}]")

    def made(self, attempt: int) -> Made:
        """What one attempt of a task makes."""
        return Made(self.store, self.sink, attempt)

    async def skip(self, number: int, done: Done[Made], pieces: tuple[Piece, ...] = ()) -> dict[str, int]:
        """Takes over what task `number` has left out; how many that were, by role. `pieces`: of the task's split.

        Raises:
            SkipLimitError: that is more than may be.
        """
        skipped: dict[str, int] = done.facts.get("skipped", {})
        stages = {
            "mapper": f"{self.prefix}map",
            "reducer": f"{self.prefix}reduce",
            "following": self.following,
        }
        for role, number_skipped in skipped.items():
            blocks = [block for whose, block in done.outcome.skipped if whose == role]
            await self.skipping.keep(
                stages[role] or "", number, blocks, number_skipped, key=role == "reducer", pieces=pieces
            )
        return skipped

    async def gather(self, task: Task, number: int, shares: Sequence[tuple[int, Sequence[Run]]]) -> Made:
        """Runs a task over shares of a partition, a few shares at a time, each with all of its runs."""
        sizes = [sum(run.size for run in runs) for _, runs in shares]
        # No more than the largest share, or what a segment holds anyway.
        room = min(sum(sizes), max(*sizes, self.limits.split))
        feeding = sharewise(shares, self.store, self.attempts.pool.segments, room)
        return await self._commit(task, number, feeding, [run for _, runs in shares for run in runs])

    async def merge(self, task: Task, number: int, runs: Sequence[Run]) -> Made:
        """Runs a task over sorted runs, a bit of each at a time."""
        feeding = piecewise(runs, self.store, self.attempts.pool.segments, self.limits.round)
        return await self._commit(task, number, feeding, runs)

    async def _commit(self, task: Task, number: int, feeding: Feeding, runs: Sequence[Run]) -> Made:
        """Runs a task, commits it as task `number` of its stage, and frees the runs that it read."""
        size = sum(run.size for run in runs)
        done = await self.attempts.run(replace(task, size=size), feeding, self.made)
        skipped = await self.skip(number, done)
        self.ledger.commit(
            task.stage,
            number,
            tries=done.tries,
            counts=done.counts,
            pairs_in=done.facts["pairs"],
            pairs_out=done.facts["pairs_out"],
            bytes_in=size,
            bytes_out=done.outcome.bytes_out,
            skipped=skipped.get("reducer", 0),
        )
        if self.following is not None and "followed" in done.facts:
            self.ledger.commit(
                self.following,
                number,
                tries=done.tries,
                counts={},
                records_in=done.facts["pairs_out"],
                pairs_out=done.facts["followed"],
                skipped=skipped.get("following", 0),
            )
        for run in runs:
            for block, piece in run.pieces:
                self.store.free(block, piece)
        return done.outcome
