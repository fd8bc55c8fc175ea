"""One long-lived engine under attack: jobs side by side, faults that are injected, and what must hold after."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import asyncmr
from asyncmr import Engine, Job
from asyncmr.connectors.text import TextFiles
from asyncmr.storage import spill
from tests.engine.at_rest import is_at_rest
from tests.engine.trail import Trail
from tests.storage.faulty_io import FaultyIO, faulty_io
from tests.torture.bad_disk import BadDisk
from tests.torture.jobs import HARMS, LIMITS, SHAPES, expected, hurt, records, the_one
from tests.torture.running import DISK_ERRORS, RETRIES, Running, judge
from tests.torture.tally import Tally

TASK_SECONDS = 2.0  # a task of a few milliseconds that takes longer was stopped, or hangs
CANCEL_SECONDS = 3.0  # what a cancellation may take on a busy machine; the promise is one
JOB_SECONDS = 90.0  # what is not over by then hangs

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT)


@dataclass
class Arena:
    """Where it happens. Its methods are for one loop; `open` and `close` are called once."""

    folder: Path
    faulty: FaultyIO
    tally: Tally
    options: dict[str, Any] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    started: int = 0
    seen: int = 0
    failed_by_disk: int = 0
    story: deque[str] = field(default_factory=partial(deque, maxlen=40))
    failure: BaseException | None = None

    async def open(self) -> None:
        (self.folder / "spill").mkdir()
        self.disk = BadDisk(self.faulty, self.tally, self._bruise)
        self.trail = Trail(self.folder.parent / f"{self.folder.name}-trail")  # not on the disk that fails
        options = {"workers": 2, "retries": RETRIES, "task_timeout": TASK_SECONDS} | self.options
        self.engine = Engine(limits=LIMITS, spill_dir=self.folder / "spill", **options)
        await self.engine.__aenter__()

    async def close(self) -> None:
        self.disk.heal()
        for running in self.running:  # some are left if something went wrong
            running.task.cancel()
        await asyncio.wait(
            [running.task for running in self.running] or [asyncio.ensure_future(asyncio.sleep(0))]
        )
        await self.engine.__aexit__(None, None, None)
        self.tally.leftovers += map(str, (self.folder / "spill").iterdir())

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """One step of the story. After one that failed every other fails as well."""
        if self.failure is not None:
            raise self.failure
        self.story.append(what)
        try:
            yield
        except BaseException as failure:
            self.failure = failure
            raise

    # What happens to jobs.

    async def start(
        self, shape: str, way: str, source: str, seed: int, per_task: int, harm: str, turns: int
    ) -> None:
        """Starts a job. `way`: collect, run, or stream, read at once or only when `read` says so."""
        words, trap = records(seed), HARMS[harm]
        skips = self.options.get("on_error") == "skip" and trap.error is not None
        if skips:
            words = tuple(word for word in words if word != the_one(seed))
        expects = await expected(shape, words)
        name = f"job{self.started}"
        self.started += 1
        job = hurt(SHAPES[shape], self.trail, name, the_one(seed), trap, turns).replace(name=name)
        if way == "resumed run":
            source = "file"  # records in memory cannot be told from others when the run is resumed
        gate = asyncio.Event()
        if way != "slow stream":
            gate.set()
        work = self._work(job, name, way, self._source(source, name, seed, per_task), gate)
        error = None if skips else trap.error
        task, resumes = asyncio.create_task(work), way == "resumed run"
        running = Running(name, task, gate, expects, len(words), int(skips), error, resumes)
        self.running.append(running)
        self.tally.jobs += 1
        if harm != "none":
            running.task.add_done_callback(partial(self._count_harm, harm, name))
        await asyncio.sleep(0)

    def _count_harm(self, harm: str, name: str, _task: object) -> None:
        if not HARMS[harm].once or os.path.exists(f"{self.trail._folder}/first-{name}"):
            self.tally.faults[f"job {harm}"] += 1

    def _source(self, kind: str, name: str, seed: int, per_task: int) -> asyncmr.Source:
        words = list(records(seed))
        if kind == "memory":
            return asyncmr.records(words, records_per_task=per_task)
        path = self.folder / f"{name}.txt"
        path.write_text("".join(f"{word}\n" for word in words))
        return TextFiles(path, split_bytes=10 * per_task)

    async def _work(
        self, job: Job, name: str, way: str, source: asyncmr.Source, gate: asyncio.Event
    ) -> tuple[Any, asyncmr.Report]:
        if way == "collect":
            result = await self.engine.collect(job, source)
            return list(result), result.report
        if way == "run":
            return await self._written(job, source, self.folder / f"{name}-out")
        if way == "resumed run":
            return await self._resumed(
                job, source, self.folder / f"{name}-out", self.folder / f"{name}-journal"
            )
        async with self.engine.stream(job, source) as pairs:
            await gate.wait()
            found = [pair async for pair in pairs]
        return found, pairs.report

    async def _written(
        self, job: Job, source: asyncmr.Source, out: Path, **options: Any
    ) -> tuple[bytes, asyncmr.Report]:
        try:
            report = await self.engine.run(job, source, out, **options)
            assert os.path.exists(out / "_SUCCESS")
            return b"".join(path.read_bytes() for path in sorted(out.glob("part-*"))), report
        except BaseException:
            assert not list(out.glob("part-*")), f"{out} is there, although its job failed"
            raise
        finally:
            shutil.rmtree(out, ignore_errors=True)

    async def _resumed(
        self, job: Job, source: asyncmr.Source, out: Path, journal: Path
    ) -> tuple[bytes, asyncmr.Report]:
        """Goes on where the disk or a cancellation ended it the first time."""
        try:
            try:
                return await self._written(job, source, out, resume=journal)
            except (asyncio.CancelledError, *DISK_ERRORS):
                self.tally.resumed += 1
                return await self._written(job, source, out, resume=journal)
        finally:
            shutil.rmtree(journal, ignore_errors=True)

    async def cancel(self, which: int) -> None:
        """Cancels a job, which must be over soon."""
        if not self.running:
            return
        running = self.running[which % len(self.running)]
        if not running.task.cancel():
            return
        self.tally.faults["cancelled job"] += 1
        done, _ = await asyncio.wait([running.task], timeout=CANCEL_SECONDS)
        if not done and not running.resumes:
            self.tally.hangs.append(f"{running.name} (cancelled)")
            raise AssertionError(f"{running.name} was not over {CANCEL_SECONDS:g} s after it was cancelled")

    async def read(self, which: int) -> None:
        """Lets a slow reader go on."""
        waiting = [running for running in self.running if running.reads_late]
        if waiting:
            waiting[which % len(waiting)].gate.set()
            await asyncio.sleep(0)

    # What happens to workers.

    async def kill(self, which: int, signum: int) -> None:
        """Sends a worker a signal that ends it."""
        await self.progress()
        if self._send(which, signum):
            self.tally.faults[f"worker {signal.Signals(signum).name}"] += 1

    async def stop(self, which: int, ended_by: int | None) -> None:
        """Stops a worker; later it goes on, is killed, or (None) is left to the timeout."""
        await self.progress()
        pid = self._send(which, signal.SIGSTOP)
        if pid is None:
            return
        self.tally.faults["worker stopped"] += 1
        await self.progress(turns=20)
        if ended_by is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, ended_by)

    def _send(self, which: int, signum: int) -> int | None:
        pids = sorted(self.engine._backend._pool.pids())
        if not pids:
            return None
        pid = pids[which % len(pids)]
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return None
        for running in self.running:
            running.blows += 1
        return pid

    async def progress(self, turns: int = 10_000) -> None:
        """Waits until a mapper has left a mark since the last call, unless no job is under way."""
        while turns and any(not running.task.done() for running in self.running):
            marks = self.trail.marks()
            if marks != self.seen:
                self.seen = marks
                return
            if all(running.reads_late or running.task.done() for running in self.running):
                return
            turns -= 1
            await asyncio.sleep(0.001)

    # What happens to the disk.

    async def break_disk(self, kind: str, after: int) -> None:
        """Lets one call of a kind fail, the first after so many."""
        self.disk.fail(kind, after)
        await self.progress()

    async def shorten(self, most: int) -> None:
        """Lets reads and writes move no more than so many bytes at a time, till the disk breaks or heals."""
        self.disk.shorten(most)
        await self.progress()

    def _bruise(self) -> None:
        for running in self.running:
            running.bruised = running.bruised or not running.task.done()

    # What must hold.

    def check(self) -> None:
        """After every step: the pool is whole, the budget in order, and every job that is over as it must be."""
        pool, budget = self.engine._backend._pool.stats(), self.engine._backend._budget.stats()
        assert pool.idle + pool.busy + pool.starting == pool.workers, pool
        assert budget.held >= 0, budget
        assert 0 <= budget.leased <= budget.total, budget
        for running in [running for running in self.running if running.task.done()]:
            self.running.remove(running)
            if failure := judge(running, self.tally):
                assert str(self.folder) in str(failure)
                self.failed_by_disk += 1
        assert self.failed_by_disk <= self.disk.failures, "more jobs failed than calls of the disk"

    async def settle(self) -> None:
        """Lets everything end: all jobs are over in time, and nothing of them is left in the engine or on disk."""
        for running in self.running:
            running.gate.set()
        if self.running:
            _, late = await asyncio.wait([running.task for running in self.running], timeout=JOB_SECONDS)
            hung = [running.name for running in self.running if running.task in late]
            self.tally.hangs += hung
            assert not hung, f"{hung} not over after {JOB_SECONDS:g} s"
        self.disk.heal()
        self.check()
        for pid in self.engine._backend._pool.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        await is_at_rest(self.engine)
        for path in self.folder.glob("*.txt"):
            path.unlink()
        assert os.listdir(self.folder) == ["spill"]
        assert list((self.folder / "spill").glob("*/*.spill")) == []
        self.trail.clear()


@contextmanager
def arena(folder: Path, tally: Tally, **options: Any) -> Iterator[tuple[Arena, asyncio.Runner]]:
    """An arena whose engine is open, and the loop that it lives on."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, size in {"WRITE_BYTES": 300, "BATCH_BYTES": 1000, "FILE_BYTES": 5000}.items():
            patch.setattr(spill, name, size)
        faulty = stack.enter_context(faulty_io(folder))
        runner = stack.enter_context(asyncio.Runner())
        made = Arena(folder, faulty, tally, options)
        runner.run(made.open())
        try:
            yield made, runner
        finally:
            runner.run(made.close())
