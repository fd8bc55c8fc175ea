"""One job of a run, and whether its outcome is one that it may have."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncmr
from asyncmr import Engine, Report
from asyncmr.connectors.part_files import STAGING, SUCCESS
from asyncmr.connectors.text import TextFiles
from asyncmr.errors import (
    CorruptRunError,
    InputError,
    OutputError,
    PoolStartError,
    StorageError,
    TaskTimeout,
    UserCodeError,
    WorkerDied,
)
from asyncmr.job import Pair
from asyncmr.kernel.formats import TextFormat
from asyncmr.storage.budget import JobBudget
from asyncmr.storage.runs import BlockStore
from tests.simulation.faults import Faults
from tests.simulation.plan import Plan, Running


class Violation(AssertionError):
    """A promise of the engine was broken."""


class Watched:
    """A job, what it must give, and where it says what it broke."""

    def __init__(
        self,
        running: Running,
        reference: list[Pair],
        plan: Plan,
        faults: Faults,
        folder: Path,
        broken: list[str],
    ) -> None:
        self._running = running
        self._case = running.case
        self._reference = reference
        self._plan = plan
        self._faults = faults
        self._broken = broken
        self._cancelled = False
        self._files: list[Path] = []
        self._folder = folder
        self.output = folder / "output"
        folder.mkdir()
        if sorted(map(repr, reference)) != sorted(map(repr, self._case.expected)):
            self._breaks(f"the engine in fair weather gave {reference}, not {self._case.expected}")

    async def run(self, engine: Engine) -> str:
        """Runs the job, and says what became of it."""
        source = self._source()
        await asyncio.sleep(self._running.starts)
        task = asyncio.ensure_future(getattr(self, f"_{self._running.way}")(engine, source))
        if isinstance(self._running.cancelled, tuple):
            self._faults.at_moment(*self._running.cancelled, lambda: self._cancel(task))
        elif self._running.cancelled is not None:
            asyncio.get_running_loop().call_later(self._running.cancelled, self._cancel, task)
        await asyncio.wait([task])
        if self._running.way == "run":
            self._check_output(complete=not task.cancelled() and task.exception() is None)
        if task.cancelled():
            if not self._cancelled:
                self._breaks("it was cancelled, and nobody had asked for it")
            return "cancelled"
        error = task.exception()
        if error is None:
            return str(task.result())
        self._check_error(error)
        return type(error).__name__

    def look(self, name: str) -> None:
        """After a system call: were the process killed now, would a reader be misled?"""
        if name in ("open", "rename") and (self.output / SUCCESS).exists():
            self._check_parts()

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if not task.done():
            self._cancelled = True
            task.cancel()

    # The ways to run a job.

    async def _collect(self, engine: Engine, source: Any) -> str:
        result = await engine.collect(self._case.job, source)
        if list(result) != self._reference:
            self._breaks(f"it gave {list(result)}, not {self._reference}")
        self._check_report(result.report)
        return "exact"

    async def _run(self, engine: Engine, source: Any) -> str:
        self._check_report(await engine.run(self._case.job, source, self.output))
        return "exact"

    async def _stream(self, engine: Engine, source: Any) -> str:
        got: list[Pair] = []
        pauses = 5
        try:
            async with engine.stream(self._case.job, source) as pairs:
                if self._running.leaves == 0:
                    return "left"
                async for pair in pairs:
                    got.append(pair)
                    if len(got) == self._running.leaves:
                        return "left"
                    if self._running.pause and pauses:
                        pauses -= 1
                        await asyncio.sleep(self._running.pause)
        finally:
            # Also before an error: what a reader has been given was right.
            if got != self._reference[: len(got)]:
                self._breaks(f"the stream gave {got}, which is not how {self._reference} begins")
        if len(got) < len(self._reference):
            self._breaks(f"the stream ended after {len(got)} of {len(self._reference)} pairs")
        self._check_report(pairs.report)
        return "exact"

    def _source(self) -> Any:
        records, per_task = self._case.records, self._running.per_task
        if self._running.source != "files":
            given = records if self._running.source == "records" else iter(records)
            return asyncmr.records(given, records_per_task=per_task)
        third = len(records) // 3 + 1
        for number in range(3):
            file = self._folder / f"input-{number}"
            some = records[number * third : (number + 1) * third]
            ending = "" if number and some and some[-1] else "\n"  # a last line need not end in one
            file.write_text("\n".join(some) + ending if some else "")
            self._files.append(file)
        return TextFiles(self._files, split_bytes=per_task)

    # The verdict.

    def _check_error(self, error: BaseException) -> None:
        counts = self._faults.counts
        deaths = counts["death"] + counts["hang"]
        if isinstance(error, UserCodeError):
            allowed = self._case.poison is not None
            if error.line is not None:
                lines = Path(error.path or "").read_text().split("\n")
                allowed = allowed and lines[error.line - 1] == self._case.poison
        elif isinstance(error, WorkerDied):
            allowed = deaths > self._plan.engine["retries"]
        elif isinstance(error, TaskTimeout):
            allowed = self._plan.engine["task_timeout"] is not None
        elif isinstance(error, PoolStartError):
            allowed = counts["failed start"] > 0
        elif isinstance(error, CorruptRunError):
            allowed = counts["flipped bit"] > 0
        elif isinstance(error, StorageError | InputError | OutputError):
            allowed = counts["disk error"] > 0
        else:
            allowed = False
        if not allowed:
            chain = []
            cause: BaseException | None = error
            while cause is not None:
                chain.append(f"{type(cause).__name__}: {cause}")
                cause = cause.__cause__ or cause.__context__
            self._breaks("it failed for no reason: " + "\n  from ".join(chain))

    def _check_report(self, report: Report) -> None:
        case, steps = self._case, len(self._case.plain.steps)
        if case.poison is not None:
            self._breaks("its mapper raised, and it did not fail")
        first = report.stage("1.map" if steps > 1 else "map")  # not there where nothing was read
        self._same("records mapped", first.records_in, len(case.records))
        for name, stage in report.stages.items():
            again = stage.retries + stage.rivals
            self._same(f"attempts of {name}", stage.attempts, stage.tasks + again)
            self._faults.counts["rival"] += stage.rivals
            self._faults.counts["retry"] += stage.retries
        if case.counts:
            counters = report.counters.get("simulation", {})
            self._same("records counted", counters.get("records", 0), len(case.records))
            self._same("pairs mapped", first.pairs_out, len(case.pairs))
            if case.plain.reducer is not None and case.plain.combiner is None:
                self._same("groups counted", counters.get("groups", 0), len({key for key, _ in case.pairs}))
            if "reduce" in report.stages:
                self._same("results", report.stages["reduce"].pairs_out, len(self._reference))

    def _check_output(self, *, complete: bool) -> None:
        names = sorted(os.listdir(self.output)) if self.output.exists() else []
        if complete:
            if SUCCESS not in names or any(name.startswith(STAGING) for name in names):
                self._breaks(f"the job is done, and its output holds {names}")
            self._check_parts()
        elif names and not self._cannot_remove():
            self._breaks(f"the job failed, and its output holds {names}")

    def _check_parts(self) -> None:
        parts = sorted(self.output.glob("part-*"))
        written = b"".join(part.read_bytes() for part in parts)
        keys, values = [key for key, _ in self._reference], [value for _, value in self._reference]
        if written != TextFormat().encode(keys, values):
            self._breaks(f"the output is marked as complete, and holds {written!r}, not {self._reference}")

    def _cannot_remove(self) -> bool:
        return self._faults.counts["disk error"] > 0 and "remove" in self._plan.weather.failing_kinds

    def _same(self, what: str, got: int, wanted: int) -> None:
        if got != wanted:
            self._breaks(f"{what}: the report says {got}, and it was {wanted}")

    def _breaks(self, what: str) -> None:
        self._broken.append(f"job {self._case.name!r}, {self._running.way}: {what}")


@contextmanager
def blocks_left(broken: list[str]) -> Iterator[None]:
    """Looks into the block store of each job that succeeds: what is left there was forgotten."""
    close = BlockStore.__aexit__

    async def look(self: BlockStore, *raised: Any) -> None:
        if raised[0] is None and isinstance(self._budget, JobBudget) and self.stats().blocks:
            broken.append(f"blocks are left in the store of a job that is done: {self.stats()}")
        await close(self, *raised)

    BlockStore.__aexit__ = look  # type: ignore[method-assign]
    try:
        yield
    finally:
        BlockStore.__aexit__ = close  # type: ignore[method-assign]
