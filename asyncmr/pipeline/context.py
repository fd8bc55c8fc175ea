"""What the stages of one step share, and the work that two of them do alike: merging runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from anyio import CancelScope

from asyncmr.actors import TaskScope
from asyncmr.pipeline.attempts import Attempts, Done, Task
from asyncmr.pipeline.feeding import Feeding, piecewise, sharewise
from asyncmr.pipeline.keeping import Keeping
from asyncmr.pipeline.ledger import Ledger, figures
from asyncmr.pipeline.limits import Limits
from asyncmr.pipeline.made import Made
from asyncmr.pipeline.messages import Run
from asyncmr.pipeline.skipping import Skipping
from asyncmr.protocols import Piece, Sink
from asyncmr.storage.runs import BlockStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """Where that goes which the tasks of a step make, and how they commit. `prefix` sets its stages apart in the report
    of a chain, where those that map and reduce are called `maps` and `reduces`; `following`: the stage of a next step
    whose mapper runs on the results of the reducers; `keeping`: what keeps the work of its tasks, if the job can be
    resumed.
    """

    store: BlockStore
    sink: Sink
    ledger: Ledger
    skipping: Skipping
    prefix: str
    maps: str = "map"
    reduces: str = "reduce"
    following: str | None = None
    keeping: Keeping | None = None

    @property
    def map_stage(self) -> str:
        """The name of the stage that maps."""
        return f"{self.prefix}{self.maps}"

    @property
    def reduce_stage(self) -> str:
        """The name of the stage that reduces."""
        return f"{self.prefix}{self.reduces}"

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
            "mapper": self.map_stage,
            "reducer": self.reduce_stage,
            "following": self.following,
        }
        for role, number_skipped in skipped.items():
            blocks = [block for whose, block in done.outcome.skipped if whose == role]
            await self.skipping.keep(
                stages[role] or "", number, blocks, number_skipped, key=role == "reducer", pieces=pieces
            )
        return skipped

    async def taken(
        self, stage: str, number: int, basis: int = 0, pieces: tuple[Piece, ...] = ()
    ) -> Done[Made] | None:
        """What an earlier run of the job committed as task `number` of a stage. `pieces`: of its split."""
        done = None if self.keeping is None else await self.keeping.taken(stage, number, basis)
        if done is not None:
            await self.skip(number, done, pieces)
        return done

    async def commit(
        self,
        stage: str,
        number: int,
        done: Done[Made],
        *,
        beside: Mapping[str, Mapping[str, int]] | None = None,
        basis: int = 0,
        **facts: int,
    ) -> bool:
        """Commits a task whose attempt is whole, as task `number` of a stage, and what it did beside for others."""
        return await self.ledger.commit(
            stage,
            number,
            tries=done.tries,
            counts=done.counts,
            made=None if self.keeping is None else await self.keeping.places(done.outcome),
            answer={**done.facts, "basis": basis},
            beside=beside,
            **facts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext(TaskContext):
    """The same for a step whose tasks run in workers. `sorts`: its runs are sorted; `shares`: how many each of its
    partitions has; `bounds`: where those of a total order begin.
    """

    attempts: Attempts
    limits: Limits
    sorts: bool
    shares: int
    bounds: bytes = b""

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

    def free(self, runs: Iterable[Run]) -> None:
        """These runs are not needed any more."""
        for run in runs:
            for block, piece in run.pieces:
                self.store.free(block, piece)

    async def gather(
        self, task: Task, number: int, shares: Sequence[tuple[int, Sequence[Run]]], part: int | None = None
    ) -> Made:
        """Runs a task over shares of a partition, a few shares at a time, each with all of its runs.

        part: the part of the output that it makes, if any.
        """
        sizes = [sum(run.size for run in runs) for _, runs in shares]
        # No more than the largest share, or what a segment holds anyway.
        room = min(sum(sizes), max(*sizes, self.limits.split))
        feeding = sharewise(shares, self.store, self.attempts.pool.segments, room)
        return await self._once(task, number, feeding, [run for _, runs in shares for run in runs], part)

    async def merge(self, task: Task, number: int, runs: Sequence[Run], part: int | None = None) -> Made:
        """Runs a task over sorted runs, a bit of each at a time."""
        feeding = piecewise(runs, self.store, self.attempts.pool.segments, self.limits.round)
        return await self._once(task, number, feeding, runs, part)

    async def _once(
        self, task: Task, number: int, feeding: Feeding, runs: Sequence[Run], part: int | None
    ) -> Made:
        """Runs a task, unless it was committed before, commits it as task `number` of its stage, and frees the runs."""
        done = await self.taken(task.stage, number)
        if done is None:
            size = sum(run.size for run in runs)
            done = await self.attempts.run(replace(task, size=size), feeding, self.made)
            try:
                if part is not None:
                    await done.outcome.part(part)
                await done.outcome.close()
            except BaseException:
                with CancelScope(shield=True):
                    await done.outcome.discard()
                raise
            skipped = await self.skip(number, done)
            beside = {}
            if self.following is not None and "followed" in done.facts:
                beside[self.following] = figures(
                    done.tries,
                    records_in=done.facts["pairs_out"],
                    pairs_out=done.facts["followed"],
                    skipped=skipped.get("following", 0),
                )
            await self.commit(
                task.stage,
                number,
                done,
                beside=beside,
                pairs_in=done.facts["pairs"],
                pairs_out=done.facts["pairs_out"],
                bytes_in=size,
                bytes_out=done.outcome.bytes_out,
                skipped=skipped.get("reducer", 0),
            )
        self.free(runs)
        return done.outcome
