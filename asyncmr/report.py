"""What a job did: its report at the end, and its progress on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class StageReport:
    """The figures of one stage of one step, over all committed tasks.

    `records_in` counts what the source gave, `pairs_in` and `pairs_out` pairs, `bytes_in` and `bytes_out`
    encoded bytes. `attempts` counts every task attempt: `retries` those after a worker died or took too long,
    `rivals` those that were begun beside a slow one (see `Engine(backup_tasks=True)`).
    `seconds` is the time from the stage's first task to its last commit.
    """

    tasks: int = 0
    attempts: int = 0
    retries: int = 0
    rivals: int = 0
    records_in: int = 0
    pairs_in: int = 0
    pairs_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Report:
    """What a job did.

    `stages` maps the name of a stage ("map", "combine", "reduce"; in a chain "1.map", "1.reduce", "2.map", ...)
    to its figures. `counters` are the user's, `counters[group][name]`; a task that ran twice counts once.
    `bytes_spilled` is what had no room in memory and was written to disk. `seconds` is the whole job's time.
    """

    job: str
    seconds: float = 0.0
    bytes_spilled: int = 0
    stages: dict[str, StageReport] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)

    def stage(self, name: str) -> StageReport:
        """The figures of a stage, made at its first mention."""
        return self.stages.setdefault(name, StageReport())

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready dictionaries and numbers."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.job}: {self.seconds:.2f} s, {self.bytes_spilled:,} bytes spilled"]
        for name, stage in self.stages.items():
            figures = ", ".join(
                f"{getattr(stage, figure.name):,} {figure.name}"
                for figure in fields(stage)
                if figure.name != "seconds" and getattr(stage, figure.name)
            )
            lines.append(f"  {name}: {stage.seconds:.2f} s, {figures}")
        for group, counts in self.counters.items():
            lines.extend(f"  {group}: {name} = {count:,}" for name, count in counts.items())
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far a stage is: `done` of `total` (None: not known yet) in `unit`, "B" or "partitions"."""

    name: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a running job, one entry for each stage that has begun."""

    job: str
    stages: tuple[StageProgress, ...]


ProgressCallback = Callable[[Progress], None]
