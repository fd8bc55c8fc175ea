"""One seed from beginning to end: an engine, its jobs, what goes wrong, and the verdict.

A job's outcome is the oracle's pairs to the byte, or one error of the right kind where something was done to it that
cannot be survived. Whatever the outcome, nothing is left: no task, byte, buffer, file, thread, or visible output.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import asyncmr
from asyncmr import Engine
from asyncmr.connectors.part_files import STAGING
from asyncmr.job import Pair
from asyncmr.storage.folder import sweep
from tests.simulation.faults import Faults, Weather
from tests.simulation.jobs import Case
from tests.simulation.loop import Hang, SimulatedLoop
from tests.simulation.plan import Plan
from tests.simulation.slots import SimulatedSlots
from tests.simulation.system import simulated_system
from tests.simulation.threads import SimulatedThreads
from tests.simulation.verdict import Violation, Watched, blocks_left

# Where files are made and removed in microseconds, not in milliseconds.
_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class Outcome:
    """What became of a run. `jobs`: "exact", "cancelled", "left", or the name of an error, of each job."""

    seed: int
    jobs: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    digest: int = 0
    steps: int = 0
    seconds: float = 0.0


def simulate(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Runs one seed.

    Raises:
        Violation: a promise was broken; the message says which, and how to see the schedule.
    """
    plan = Plan.of(seed)
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_MEMORY if os.path.isdir(_MEMORY) else None))
    before = _open_things()
    try:
        with _hearing() as heard:
            references = [reference(running.case) for running in plan.jobs]
            outcome, broken = _run(plan, references, folder, trace)
        broken += heard
        broken += [f"left open: {thing}" for thing in _open_things() - before]
        broken += [f"left behind: {path}" for path in sorted(folder.rglob("*")) if _is_left(path, folder)]
        if broken:
            raise Violation("\n".join(broken))
    except (Violation, Hang) as error:
        _close_files_in(folder)
        # Without the error itself, whose frames hold all that it left.
        raise Violation(
            f"seed {seed}: {error}\n{plan}\nIts schedule: python -m tests.simulation --seed {seed} --trace"
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


@contextmanager
def _hearing() -> Iterator[list[str]]:
    """Collects what only the interpreter would hear of: warnings, and errors in destructors."""
    heard: list[str] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda error: heard.append(
        f"{error.err_msg}: {error.exc_value!r} in {error.object!r}"
    )
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                yield heard
            finally:
                gc.collect()
        heard += [str(warning.message) for warning in warned]
    finally:
        sys.unraisablehook = hook


def _run(
    plan: Plan, references: list[list[Pair]], folder: Path, trace: Callable[[str], None] | None
) -> tuple[Outcome, list[str]]:
    loop = SimulatedLoop(plan.seed, disorder=plan.disorder, grain=plan.grain)
    faults = Faults(plan.seed, plan.weather, loop)
    slots = SimulatedSlots(loop, faults)
    if trace is not None:
        loop.trace = trace
    broken: list[str] = []
    watched = [
        Watched(running, reference, plan, faults, folder / f"job-{number}", broken)
        for number, (running, reference) in enumerate(zip(plan.jobs, references, strict=True))
    ]

    def after_call(name: str) -> None:
        for job in watched:
            job.look(name)

    faults.after_call = after_call
    try:
        with simulated_system(loop, faults, plan.sizes), blocks_left(broken):
            jobs = loop.run_until_complete(_engine(plan, slots, faults, watched, folder, broken))
            outcome = Outcome(plan.seed, jobs, faults.counts, loop.digest, loop.steps, loop.time())
            loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        slots.close()
        loop.abandon()
    return outcome, [*broken, *loop.unheard]


async def _engine(
    plan: Plan,
    slots: SimulatedSlots,
    faults: Faults,
    watched: list[Watched],
    folder: Path,
    broken: list[str],
) -> list[str]:
    spill = folder / "spill"
    spill.mkdir()
    engine = Engine(
        workers=plan.workers,
        memory="64 MiB",
        executor="inline",
        spill_dir=spill,
        limits=plan.limits,
        slots=slots,
        threads=lambda count, name: SimulatedThreads(name, faults),
        **plan.engine,
    )
    async with engine:
        tasks = [asyncio.ensure_future(job.run(engine)) for job in watched]
        await asyncio.wait(tasks)
        faults.over = True
        await _at_rest(engine, faults, broken)
    if faults.counts["disk error"]:  # what could not be removed then
        sweep(os.fspath(spill))
        for job in watched:
            sweep(os.fspath(job.output), STAGING)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    broken.extend(f"a task is left: {task!r}" for task in left)
    return [task.result() for task in tasks]


async def _at_rest(engine: Engine, faults: Faults, broken: list[str]) -> None:
    """Waits until the workers have nothing to do any more, and looks whether anything is still held."""
    backend = engine._backend
    pool, budget = backend._pool, backend._budget
    deadline = asyncio.get_running_loop().time() + 60
    while pool.stats().busy or pool.stats().starting:
        await asyncio.sleep(0.05)
        if asyncio.get_running_loop().time() > deadline:
            broken.append(f"the workers do not come to rest: {pool.stats()}")
            break
    stats, segments = pool.stats(), pool.segments.stats()
    if stats.waiting or (stats.idle < stats.workers and not faults.counts["failed start"]):
        broken.append(f"workers are missing, or waited for: {stats}")
    if segments.leased or segments.waiting:
        broken.append(f"buffers are still leased: {segments}")
    if any(budget.stats()[1:]):
        broken.append(f"memory is still held: {budget.stats()}")


@cache
def reference(case: Case) -> list[Pair]:
    """The pairs of a job, in the order in which a single worker on a fair day gives them."""
    loop = SimulatedLoop("reference", disorder=0.0)
    faults = Faults("reference", Weather(), loop)
    slots = SimulatedSlots(loop, faults)

    async def collected() -> list[Pair]:
        engine = Engine(
            workers=1,
            memory="128 MiB",
            executor="inline",
            slots=slots,
            threads=lambda count, name: SimulatedThreads(name, faults),
        )
        async with engine:
            return list(await engine.collect(case.plain, asyncmr.records(case.records)))

    try:
        with simulated_system(loop, faults, {}):
            return loop.run_until_complete(collected())
    finally:
        slots.close()
        loop.close()


def _open_things() -> set[Any]:
    return {*os.listdir("/proc/self/fd"), *(thread.name for thread in threading.enumerate())}


def _close_files_in(folder: Path) -> None:
    """After a broken promise: what the garbage collector would not close."""
    gc.collect()
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith(f"{folder}/"):
                os.close(fd)


def _is_left(path: Path, folder: Path) -> bool:
    """Whether this should not be there any more: everything but the jobs' input and complete output."""
    top = path.relative_to(folder).parts
    return top != ("spill",) and top[0] == "spill"
