"""One process of a stream: how it runs, how it ends, and whether it may end so."""

from __future__ import annotations

import asyncio
import operator
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from anyio import CancelScope

from asyncmr.errors import (
    AsyncMRError,
    ClosedError,
    CorruptRunError,
    InputError,
    PoolStartError,
    ResumeError,
    StorageError,
    TaskTimeout,
    WorkerDied,
)
from asyncmr.storage.folder import sweep
from asyncmr.streaming import Stream
from asyncmr.streaming.sinks import JsonLinesFile
from asyncmr.streaming.windows import Sliding
from tests.simulation.machine import Machine
from tests.simulation.streams.askers import MOST, Asker
from tests.simulation.streams.feeds import SimulatedFeed
from tests.simulation.streams.plan import ADDED, Life
from tests.simulation.streams.witness import Fatal, Table, WitnessedStore

if TYPE_CHECKING:
    from tests.simulation.streams.run import Run

# Whoever is cancelled is gone after so many seconds, unless a disk or a process takes longer.
_PROMPT = 1.0


class Left(Exception):
    """What somebody raises inside the block of a stream."""


class Clock:
    """The time of a simulated machine, which goes on from process to process."""

    def __init__(self, began: float) -> None:
        self._began = began

    def time(self) -> float:
        return self._began + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Process:
    """One life of a stream."""

    def __init__(self, run: Run, life: Life, machine: Machine, next_state: Path) -> None:
        self._run = run
        self._life = life
        self._machine = machine
        self._faults = machine.faults
        self._next_state = next_state

    async def main(self) -> list[str]:
        life, faults = self._life, self._faults
        given, known = self._run.given, self._run.witness.last
        given.positions, given.tokens = dict(known.positions), set(known.tokens)
        task = asyncio.ensure_future(self._stream())
        cancelled: list[float] = []

        def cancel() -> None:
            if not task.done():
                cancelled.append(asyncio.get_running_loop().time())
                task.cancel()

        if life.ending in ("cancelled", "crashes"):
            end = cancel if life.ending == "cancelled" else self._crash
            if isinstance(life.when, float):
                asyncio.get_running_loop().call_later(life.when, end)
            elif isinstance(life.when[0], int):
                faults.at_moment(life.when[0], life.when[1], end)
        await asyncio.wait([task])
        left = asyncio.all_tasks() - {asyncio.current_task()}
        self._run.broken.extend(f"a task is left: {task!r}" for task in left)
        if faults.counts["disk error"]:  # what could not be removed then
            faults.over = True
            sweep(tempfile.gettempdir())
        return [self._judged(task, cancelled)]

    def _crash(self) -> None:
        self._run.witness.killed = True
        if self._run.state.exists():
            # A copy, since what the dead process still has open it goes on with, or tidies up by its name.
            with self._faults.out_of_reach():
                shutil.copytree(self._run.state, self._next_state)
        self._machine.crash()

    async def _stream(self) -> str:
        run, life, plan = self._run, self._life, self._run.plan
        fatal = Fatal("", 0, self._crash)
        if isinstance(life.when, tuple) and isinstance(life.when[0], str):
            fatal = Fatal(*life.when, self._crash)
        feeds = [
            SimulatedFeed(source, life, run.witness, run.given, self._faults, run.broken)
            for source in plan.sources
        ]
        async with Stream(
            plan.job,
            feeds,
            window=plan.window,
            state=run.state if plan.kept else None,
            interval=life.interval,
            workers=life.workers,
            memory="4 GiB",
            state_memory=None if life.room is None else life.room * life.keepers,
            sinks=[JsonLinesFile(run.changes)] if plan.sinks else [],
            keepers=life.keepers,
            retries=life.retries,
            task_timeout=life.task_timeout,
            on_error="fail" if plan.poison is None else "skip",
            setup_timeout=life.task_timeout,
            executor="inline",
            clock=Clock(run.now),
            durable=life.durable,
            make_store=partial(WitnessedStore, witness=run.witness, fatal=fatal),
            slots=self._machine.slots,
            threads=self._machine.threads,
            limits=life.limits,
        ) as stream:
            asker = Asker(stream, plan, run.witness, run.told, run.broken, f"{life.seed} asker")
            asking = [asyncio.ensure_future(self._heard(asker.ask)) for _ in range(life.askers)]
            reading = [asyncio.ensure_future(self._heard(asker.iterate)) for _ in range(life.readers)]
            try:
                if life.ending in ("stops", "raises"):
                    assert isinstance(life.when, float)
                    await asyncio.sleep(life.when)
                    if life.ending == "raises":
                        raise Left
                    return "stopped"
                await stream.join()
                if reading:
                    await asyncio.wait(reading)
                await self._check_end(stream)
                return "exact"
            finally:
                for task in (*asking, *reading):
                    task.cancel()
                with CancelScope(shield=True):
                    await asyncio.gather(*asking, *reading, return_exceptions=True)

    async def _heard(self, asking: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await asking()
        except AsyncMRError as error:
            if not isinstance(error, ClosedError) and not self._excused(error):
                self._run.broken.append(f"who asked was told {type(error).__name__}: {error}")
        except Exception as error:
            if self._faults.counts["crash"]:
                raise
            self._run.broken.append(f"who asked was told {error!r}: {''.join(format_exception(error))}")

    async def _check_end(self, stream: Stream) -> None:
        """Every line counts once."""
        run, plan = self._run, self._run.plan
        witness, known = run.witness, run.witness.last
        for source in plan.sources:
            for partition, lines in source.partitions.items():
                if lines and known.positions.get((source.name, partition), 0) != len(lines):
                    run.broken.append(
                        f"the feeds have ended, and of {source.name}, {partition} only {known} is committed"
                    )
            for token in source.tokens:
                if (source.name, token) not in known.tokens:
                    run.broken.append(f"the feeds have ended, and {token} of {source.name} is not in {known}")
        windows = [window.start for window in await stream.windows()]
        found = {start: dict(await stream.top(MOST, start)) for start in windows}
        if not plan.by_lines and plan.window != "none":
            self._check_sum(found)
            return
        wanted = {
            None if window.start is None else window.start / 1000: witness.table(known, window)
            for window in witness.retained(known, windows)
        }
        if found != wanted:
            run.broken.append(f"in the end there is {found}, not {wanted}: {known}")
        for start, table in run.told.items():
            if wanted.get(start, table) != table:
                run.broken.append(f"the window {start} was final as {table}, and is {wanted[start]}")

    def _check_sum(self, found: dict[float | None, Table]) -> None:
        """What was read at which time nobody knows; but all windows together hold each line, as often as they
        overlap."""
        run, plan = self._run, self._run.plan
        fold = {"fold of another function": max}.get(plan.name, operator.add)
        if plan.name == "mean":
            return
        windows = plan.windowing.windows
        overlap = len(windows.over([0])) if isinstance(windows, Sliding) else 1
        total: Table = {}
        for _, table in sorted(found.items(), key=lambda item: item[0] or 0.0):
            for key, value in table.items():
                total[key] = fold(total[key], value) if key in total else value
        wanted = run.witness.table(run.witness.last, None)
        if plan.name in ADDED:
            wanted = {key: overlap * value for key, value in wanted.items()}
        if total != wanted:
            run.broken.append(f"in the end all windows hold {total}, not {wanted}")

    def _judged(self, task: asyncio.Task[str], cancelled: list[float]) -> str:
        run, life = self._run, self._life
        if task.cancelled():
            if not cancelled:
                run.broken.append("the stream was cancelled, and nobody had asked for it")
            elif asyncio.get_running_loop().time() > cancelled[0] + _PROMPT and not life.weather.slow_disk:
                run.broken.append("it took more than a second to cancel the stream")
            return "cancelled"
        error = task.exception()
        if error is None:
            known = run.witness.last
            behind = [
                place
                for place, position in run.given.positions.items()
                if known.positions.get(place, 0) < position
            ]
            if behind or not run.given.tokens <= known.tokens:
                run.broken.append(
                    f"the stream was left in peace, and of what it was given only {known} is committed"
                )
            return task.result()
        if isinstance(error, Left) and life.ending == "raises":
            return "left"
        if not self._excused(error):
            run.broken.append(f"the stream failed for no reason: {''.join(format_exception(error))}")
        return type(error).__name__

    def _excused(self, error: BaseException) -> bool:
        """Whether the faults that were met are a reason for this error."""
        faults, life = self._faults.counts, self._life
        late = life.task_timeout is not None
        match error:
            case WorkerDied():
                return faults["death"] > (0 if late else life.retries)
            case TaskTimeout():
                return late
            case PoolStartError():
                return faults["failed start"] > 0
            case CorruptRunError():
                return faults["flipped bit"] > 0
            case ResumeError():  # of the file of changes, whose mark may have been made in an earlier life
                return faults["flipped bit"] + self._run.outcome.faults["flipped bit"] > 0
            case InputError():
                return faults["feed error"] > life.retries
            case StorageError():
                return faults["disk error"] > 0
        return False
