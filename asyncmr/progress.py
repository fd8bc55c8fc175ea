"""How far a running job is: a snapshot, taken when somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

JobState = Literal["waiting", "running", "committing", "done", "failed", "cancelled"]
"""Of a job: it waits for its share of the memory, runs, shows its output; then it is done, failed or cancelled."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far a stage is: `done` of `total` (None: not known) in `unit`, which is "B", "partitions" or "tasks".

    `rate`: how much of `unit` was done in a second, over the last seconds; None when nobody can say, and of a stage
    that has all of its total. `bytes`: what its finished tasks took in. `tasks`: how many are finished; `running` are
    in a worker now, and `waiting` wait for one. `retries` and `skipped` are as in a `StageReport`, so far.

        for stage in running.progress.stages:
            print(stage.name, stage.done, "of", stage.total or "?", stage.unit)
    """

    name: str
    done: int
    total: int | None
    unit: str
    rate: float | None = None
    bytes: int = 0
    tasks: int = 0
    running: int = 0
    waiting: int = 0
    retries: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class QueueProgress:
    """A queue between two stages: `items` of at most `capacity`. `blocked`: how many senders wait for room in it.

    What is in it are handles; the bytes that they stand for count as `Progress.memory` and `Progress.disk`.

        full = [queue.name for queue in running.progress.queues if queue.blocked]
    """

    name: str
    items: int
    capacity: int
    blocked: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a job.

        async with engine.start(job, source) as running:
            async for progress in running.updates():
                print(progress.state, [(stage.name, stage.done, stage.total) for stage in progress.stages])

    `seconds`: since it was started. `stages`: those that have begun, in order. `queues`: those of the step that runs.
    `workers` has the engine; `workers_busy` of them are at work for any job, `workers_used` for this one.
    `memory`: the bytes that wait in memory for this job; `memory_held` those of all jobs of the engine, of the
    `memory_total` that may. `disk`: the bytes that wait on disk now; `bytes_spilled` all that were written there.
    """

    job: str
    state: JobState
    seconds: float = 0.0
    stages: tuple[StageProgress, ...] = ()
    queues: tuple[QueueProgress, ...] = ()
    workers: int = 0
    workers_busy: int = 0
    workers_used: int = 0
    memory: int = 0
    memory_held: int = 0
    memory_total: int = 0
    disk: int = 0
    bytes_spilled: int = 0

    @property
    def ended(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def retries(self) -> int:
        """How often a task was tried again, over all stages."""
        return sum(stage.retries for stage in self.stages)

    @property
    def skipped(self) -> int:
        """How many records and keys were left out, over all stages."""
        return sum(stage.skipped for stage in self.stages)

    def as_dict(self) -> dict[str, Any]:
        """The snapshot as JSON-ready dictionaries, lists and numbers, `retries` and `skipped` included."""
        figures = asdict(self)
        figures["stages"], figures["queues"] = list(figures["stages"]), list(figures["queues"])
        return {**figures, "retries": self.retries, "skipped": self.skipped}


ProgressCallback = Callable[[Progress], None]
