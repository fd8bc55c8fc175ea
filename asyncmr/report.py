"""What a job did: the report at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

# How many of those that were skipped a report lists, and how many it shows as text.
LISTED = 100
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record, or a key, that was left out (see `Engine(on_error="skip")`).

    `path`, `line`: the file and the 1-based line number of a record, where it came from a text file. `record` or `key`:
    its beginning. `error`, `message`: the exception's type name and what it said.

        for skipped in report.skipped:
            print(skipped.path, skipped.line, skipped.error)
    """

    stage: str
    path: str | None
    line: int | None
    record: str | None
    key: str | None
    error: str
    message: str

    def __str__(self) -> str:
        where = [f"stage {self.stage!r}"]
        if self.path is not None:
            where.append(self.path if self.line is None else f"{self.path}, line {self.line}")
        what = f"record {self.record!r}" if self.key is None else f"key {self.key!r}"
        return f"{', '.join(where)}: {self.error}: {self.message} ({what})"


@dataclass(slots=True)
class StageReport:
    """The figures of one stage of one step, over all committed tasks.

    `records_in` counts what the source gave, `pairs_in` and `pairs_out` pairs, `bytes_in` and `bytes_out`
    encoded bytes. `attempts` counts every task attempt: `retries` those after one that failed,
    `rivals` those that were begun beside a slow one (see `Engine(backup_tasks=True)`).
    `skipped` counts records, or keys, that were left out.
    `resumed` counts the tasks that were done by an earlier run of a job with `resume`, and did not run again.
    `seconds` is the time from the stage's first task to its last commit, in this run.
    """

    tasks: int = 0
    attempts: int = 0
    retries: int = 0
    rivals: int = 0
    skipped: int = 0
    resumed: int = 0
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
    `skipped` are the first records and keys that were left out, at most 100 of them; the stages count all.
    `bytes_spilled` is what had no room in memory and was written to disk; of a job with `resume`, all blocks.
    `seconds` is the whole job's time, or that of this run of it.

        report = await asyncmr.run(job, "books/", "counts")
        print(report.stages["map"].records_in, "lines,", report.counters["lines"]["empty"], "of them empty")
        print(report)  # all figures, for people
        json.dumps(report.as_dict())  # and for programs
    """

    job: str
    seconds: float = 0.0
    bytes_spilled: int = 0
    stages: dict[str, StageReport] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    def stage(self, name: str) -> StageReport:
        """The figures of a stage, made at its first mention."""
        return self.stages.setdefault(name, StageReport())

    @property
    def skipped_in_all(self) -> int:
        """How many records and keys were left out, over all stages."""
        return sum(stage.skipped for stage in self.stages.values())

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready dictionaries and numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, figures: dict[str, Any]) -> Self:
        """The report that `as_dict` made this of."""
        stages = {name: StageReport(**stage) for name, stage in figures["stages"].items()}
        skipped = [Skipped(**one) for one in figures["skipped"]]
        return cls(**{**figures, "stages": stages, "skipped": skipped})

    def __str__(self) -> str:
        lines = [f"{self.job}: {self.seconds:.2f} s, {self.bytes_spilled:,} bytes spilled"]
        for name, stage in self.stages.items():
            figures = ", ".join(
                f"{getattr(stage, figure.name):,} {figure.name}"
                for figure in fields(stage)
                if figure.name != "seconds" and getattr(stage, figure.name)
            )
            lines.append(f"  {name}: {stage.seconds:.2f} s, {figures}")
        lines.extend(f"  skipped: {skipped}" for skipped in self.skipped[:_SHOWN])
        if self.skipped_in_all > _SHOWN:
            lines.append(f"  skipped: {self.skipped_in_all - _SHOWN:,} more")
        for group, counts in self.counters.items():
            lines.extend(f"  {group}: {name} = {count:,}" for name, count in counts.items())
        return "\n".join(lines)
