"""The books of one job: every committed epoch, when each stage began and ended, and the report made from them."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from asyncmr.pipeline.attempts import Tries
from asyncmr.report import Report, StageReport
from asyncmr.storage.epochs import Epoch, EpochLog


class Ledger:
    """Commits what tasks did, once each, and adds it up."""

    def __init__(self, job: str, log: EpochLog | None = None) -> None:
        self.job = job
        self._log = EpochLog() if log is None else log
        self._began = perf_counter()
        self._earlier: list[str] = []
        self._spans: dict[str, tuple[float, float]] = {}
        self._progress: dict[str, tuple[int, int | None, str]] = {}

    def take_over(self) -> None:
        """The log has the epochs of an earlier run of the job, whose stages come first."""
        self._earlier = self._log.stages()

    def begin(self, stage: str) -> None:
        """A task of this stage starts."""
        if stage not in self._spans:
            now = perf_counter()
            self._spans[stage] = (now, now)

    async def commit(
        self,
        stage: str,
        task: int,
        *,
        tries: Tries,
        counts: Mapping[tuple[str, str], int],
        made: Any = None,
        answer: Mapping[str, Any] | None = None,
        beside: Mapping[str, Mapping[str, int]] | None = None,
        **facts: int,
    ) -> bool:
        """Commits a task; False if it was committed before, and this attempt is to be dropped.

        made: where that lies which it made, if it is kept. beside: what else counts with it, as `figures` of other
        stages. answer: what the job needs to know of it to go on.
        """
        beside = beside or {}
        epoch = Epoch(stage, task, tries.attempts, counts, figures(tries, **facts), beside, answer or {})
        if not await self._log.save(epoch, made) or not self._log.commit(epoch):
            return False
        now = perf_counter()
        for name in (stage, *beside):
            self._spans[name] = (self._spans.get(name, (now,))[0], now)
        return True

    @property
    def stages(self) -> list[str]:
        """The stages that have begun, in the order in which they did."""
        return list(dict.fromkeys([*self._earlier, *self._spans]))

    def records_read(self) -> int:
        """How many records of the source the first step has mapped."""
        first = next((stage for stage in self.stages if stage.endswith("map")), "")
        return self._log.facts(first).get("records_in", 0)

    def advance(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Notes how far a stage is; `done` is what was added.

        `total` is what the source announced. What is read may be more: the newline that a file lacked, say.
        """
        if stage in self._progress:
            done += self._progress[stage][0]
        self._progress[stage] = (done, None if total is None else max(total, done), unit)

    def how_far(self, stage: str) -> tuple[int, int | None, str] | None:
        """What was noted of a stage: `(done, total, unit)`."""
        return self._progress.get(stage)

    def begun(self, stage: str) -> float | None:
        """When a stage began in this run, as `perf_counter` has it."""
        span = self._spans.get(stage)
        return None if span is None else span[0]

    def report(self, *, bytes_spilled: int) -> Report:
        """What the job did so far."""
        report = Report(self.job, seconds=perf_counter() - self._began, bytes_spilled=bytes_spilled)
        totals = self._log.totals()
        for stage in self.stages:
            began, ended = self._spans.get(stage, (0.0, 0.0))
            report.stages[stage] = StageReport(seconds=ended - began, **totals.get(stage, {}))
        for (group, name), count in sorted(self._log.counters().items()):
            report.counters.setdefault(group, {})[name] = count
        return report


def figures(tries: Tries, **facts: int) -> dict[str, int]:
    """The numbers of one task of a stage."""
    return {
        "tasks": 1,
        "attempts": tries.attempts,
        "retries": tries.attempts - tries.rivals - 1,
        "rivals": tries.rivals,
        **facts,
    }
