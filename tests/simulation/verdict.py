"""One job of a run, and whether its outcome is one that it may have."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncmr
from asyncmr import Engine, Progress, Report
from asyncmr.connectors.part_files import STAGING, SUCCESS, PartFile, PartFiles
from asyncmr.connectors.text import TextFiles
from asyncmr.errors import OutputError
from asyncmr.kernel.formats import TextFormat
from asyncmr.pipeline.messages import Part
from asyncmr.protocols import Pair, Sink
from tests.simulation.excuses import excused
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
        self._meant = plan.meant(running.case)
        self._skipped = len(running.case.records) - len(self._meant.records)
        self._reference = reference
        self._plan = plan
        self._faults = faults
        self._broken = broken
        self._cancelled = False
        self._again = 0  # how often it was run before
        self._refused = False  # since the output holds what a killed process has made visible
        self._done: dict[tuple[str, str], int] = {}  # how far each stage has come, in its unit
        self._files: list[Path] = []
        self._bytes = TextFormat().encode([key for key, _ in reference], [value for _, value in reference])
        self._folder = folder
        self.output = folder / "output"
        self._journal = folder / "journal"
        folder.mkdir(exist_ok=True)
        if sorted(map(repr, reference)) != sorted(map(repr, self._meant.expected)):
            self._breaks(f"the engine in fair weather gave {reference}, not {self._meant.expected}")

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
        if self._refused:
            if not isinstance(task.exception(), OutputError):
                self._breaks("it mixed its output with what a killed job had left")
            return "refused"
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

    def starts_again(self, plan: Plan, faults: Faults) -> None:
        """The process was killed while the job ran, or before or after: it is run once more."""
        self._plan, self._faults = plan, faults
        self._again += 1
        self._running = replace(self._running, cancelled=None, leaves=None)
        self._done.clear()
        names = os.listdir(self.output) if self.output.exists() else []
        self._refused = not self._running.resumes and any(not name.startswith(STAGING) for name in names)
        if self._journal.exists():
            # What the dead process still has open it must not tidy up.
            self._journal.rename(self._folder / "journal of the dead")
            shutil.copytree(self._folder / "journal of the dead", self._journal)
        if SUCCESS in names:
            self._check_parts()

    def look(self, name: str) -> None:
        """After a system call: were the process killed now, would a reader be misled?"""
        if name in ("open", "rename") and (self.output / SUCCESS).exists():
            self._check_parts()

    @property
    def keeps_blocks(self) -> bool:
        """Whether something waits in its store until the end of the job: what was left out."""
        return self._skipped > 0

    def look_at_part(self, sink: Sink, part: Part) -> None:
        """Whatever becomes of the job: what the sink was given as a finished part is one."""
        if not isinstance(sink, PartFiles) or sink._folder != str(self.output):
            return
        if isinstance(part.writer, PartFile) and part.writer.written:
            path = Path(part.writer.path)
            if self._running.resumes and self._again and not path.exists():
                return  # the process that was killed had made it visible
            written = path.read_bytes()
            if written not in self._bytes:
                self._breaks(f"the sink was given {written!r} as part {part.index} of {self._reference}")

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if not task.done():
            self._cancelled = True
            task.cancel()

    # The ways to run a job.

    async def _collect(self, engine: Engine, source: Any) -> str:
        result = await engine.collect(self._case.job, source, progress=self._progress)
        if list(result) != self._reference:
            self._breaks(f"it gave {list(result)}, not {self._reference}")
        self._check_report(result.report)
        return "exact"

    async def _run(self, engine: Engine, source: Any) -> str:
        again = 0 if self._running.resumes else self._again
        letters = self._folder / f"letters-{again}" if self._plan.skips else None
        report = await engine.run(
            self._case.job,
            source,
            self.output,
            resume=self._journal if self._running.resumes else None,
            progress=self._progress,
            dead_letters=letters,
        )
        if letters is not None:
            self._same("dead letters", len(letters.read_text().splitlines()), self._skipped)
        self._check_report(report)
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

    def _progress(self, progress: Progress) -> None:
        for stage in progress.stages:
            before = self._done.get((stage.name, stage.unit), 0)
            if stage.done < before or (stage.total is not None and stage.done > stage.total):
                self._breaks(f"progress of {stage.name}: {stage.done} of {stage.total}, and before {before}")
            self._done[stage.name, stage.unit] = stage.done

    def _source(self) -> Any:
        records, per_task = self._case.records, self._running.per_task
        kinds: dict[str, Callable[[], Any]] = {
            "records": lambda: records,
            "iterator": lambda: iter(records),
            "feed": lambda: _feed(records),
        }
        if self._running.source in kinds:
            return asyncmr.records(kinds[self._running.source](), records_per_task=per_task)
        self._files.clear()
        third = len(records) // 3 + 1
        for number in range(3):
            compressed = self._running.source == "compressed" and number != 1
            file = self._folder / f"input-{number}{'.gz' if compressed else ''}"
            some = records[number * third : (number + 1) * third]
            ending = "" if number and some and some[-1] else "\n"  # a last line need not end in one
            if not file.exists():  # a job that is resumed finds its input as it was
                text = ("\n".join(some) + ending if some else "").encode()
                file.write_bytes(gzip.compress(text, mtime=0) if compressed else text)
            self._files.append(file)
        return TextFiles(self._files, split_bytes=per_task)

    # The verdict.

    def _check_error(self, error: BaseException) -> None:
        if not excused(error, self._case, self._plan, self._faults.counts):
            chain = []
            cause: BaseException | None = error
            while cause is not None:
                chain.append(f"{type(cause).__name__}: {cause}")
                cause = cause.__cause__ or cause.__context__
            self._breaks("it failed for no reason: " + "\n  from ".join(chain))

    def _check_report(self, report: Report) -> None:
        case, steps = self._meant, len(self._case.plain.steps)
        if case.poison is not None:
            self._breaks("its mapper raised, and it did not fail")
        self._same("what was skipped", report.skipped_in_all, self._skipped)
        first = report.stage("1.map" if steps > 1 else "map")  # not there where nothing was read
        self._same("records read", first.records_in, len(self._case.records))
        for name, stage in report.stages.items():
            again = stage.retries + stage.rivals
            self._same(f"attempts of {name}", stage.attempts, stage.tasks + again)
            self._faults.again["retries"] += stage.retries
            self._faults.again["rivals"] += stage.rivals
            self._faults.again["tasks resumed"] += stage.resumed
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
        elif self._running.resumes:
            if SUCCESS in names:  # cancelled as it closed its journal, which says that it is done
                self._check_parts()
            elif any(not name.startswith(STAGING) for name in names) and not self._cannot_remove():
                self._breaks(f"the job failed, and its output shows {names}")
        elif names and not self._cannot_remove():
            self._breaks(f"the job failed, and its output holds {names}")

    def _check_parts(self) -> None:
        parts = sorted(self.output.glob("part-*"))
        written = b"".join(part.read_bytes() for part in parts)
        if written != self._bytes:
            self._breaks(f"the output is marked as complete, and holds {written!r}, not {self._reference}")

    def _cannot_remove(self) -> bool:
        # A part of a job with a journal is taken back by a rename.
        kinds = {"remove", "rename"} if self._running.resumes else {"remove"}
        return self._faults.counts["disk error"] > 0 and not kinds.isdisjoint(
            self._plan.weather.failing_kinds
        )

    def _same(self, what: str, got: int, wanted: int) -> None:
        if got != wanted:
            self._breaks(f"{what}: the report says {got}, and it was {wanted}")

    def _breaks(self, what: str) -> None:
        self._broken.append(f"job {self._case.name!r}, {self._running.way}: {what}")


async def _feed(records: Sequence[str]) -> AsyncIterator[str]:
    """The records, with a pause now and then."""
    for number, record in enumerate(records):
        if number % 7 == 0:
            await asyncio.sleep(0)
        yield record
