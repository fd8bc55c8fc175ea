"""One seed from beginning to end: an engine, its jobs, what goes wrong, and the verdict.

A job's outcome is the oracle's pairs to the byte, or one error of the right kind where something was done to it that
cannot be survived. Whatever the outcome, nothing is left: no task, byte, buffer, file, thread, or visible output.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import asyncmr
from asyncmr import Engine
from asyncmr.connectors.part_files import STAGING
from asyncmr.protocols import Pair
from asyncmr.storage.folder import sweep
from tests.simulation.faults import Faults, Weather
from tests.simulation.jobs import Case
from tests.simulation.leftovers import (
    Identity,
    close_files_in,
    hearing,
    left_open,
    open_things,
    release_locks_in,
)
from tests.simulation.loop import Crash, Hang
from tests.simulation.machine import Machine
from tests.simulation.plan import Plan
from tests.simulation.verdict import Violation, Watched

# Where files are made and removed in microseconds, not in milliseconds.
MEMORY = "/dev/shm"


@dataclass(frozen=True)
class Outcome:
    """What became of a run. `jobs`: "exact", "cancelled", "left" by its reader, "refused" by an output that a crash had
    left half-made, or the name of an error, of each job. `again`: the retries and rivals of those that are exact."""

    seed: int
    jobs: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    digest: int = 0
    steps: int = 0
    seconds: float = 0.0


def simulate(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Runs one seed.

    Raises:
        Violation: a promise was broken; the message says which, and how to see the schedule.
    """
    plan = Plan.of(seed)
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=MEMORY if os.path.isdir(MEMORY) else None))
    before = open_things()
    try:
        with hearing() as heard:
            references = [reference(plan.meant(running.case)) for running in plan.jobs]
            outcome, broken, dead = _run(plan, references, folder, trace)
        if not outcome.faults["crash"]:  # which closes nothing
            broken += heard
        broken += left_open(before, dead)
        broken += [f"left behind: {path}" for path in sorted(folder.rglob("*")) if is_left(path, folder)]
        if outcome.faults["crash"]:
            close_files_in(folder)
        if broken:
            raise Violation("\n".join(broken))
    except (Violation, Hang) as error:
        close_files_in(folder)
        # Without the error itself, whose frames hold all that it left.
        raise Violation(
            f"seed {seed}: {error}\n{plan}\nIts schedule: python -m tests.simulation --seed {seed} --trace"
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _run(
    plan: Plan, references: list[list[Pair]], folder: Path, trace: Callable[[str], None] | None
) -> tuple[Outcome, list[str], dict[Identity, str]]:
    broken: list[str] = []
    dead: dict[Identity, str] = {}  # what a process had open that crashed
    spill = folder / "spill"
    spill.mkdir()
    machine = Machine(plan, plan.weather, trace)
    watched = [
        Watched(running, reference, plan, machine.faults, folder / f"job-{number}", broken)
        for number, (running, reference) in enumerate(zip(plan.jobs, references, strict=True))
    ]
    if plan.crashes is not None:
        machine.faults.at_moment(plan.crashes, 0, machine.crash)
    try:
        jobs = machine.run(lambda: _engine(plan, machine, watched, spill, broken), watched, broken)
    except Crash:
        release_locks_in(folder)
        dead = open_things()
        jobs = _run_again(plan, watched, spill, broken, machine.faults.again)
    finally:
        machine.close()
    loop = machine.loop
    faults = machine.faults
    outcome = Outcome(plan.seed, jobs, faults.counts, faults.again, loop.digest, loop.steps, loop.time())
    return outcome, broken, dead


def _run_again(
    plan: Plan, watched: list[Watched], spill: Path, broken: list[str], again: Counter[str]
) -> list[str]:
    """What the next process does after a crash, on a fair day."""
    plan = replace(plan, closes=None, weather=Weather())
    machine = Machine(plan, Weather(), None)
    machine.faults.again = again
    for job in watched:
        job.starts_again(plan, machine.faults)
    try:
        return machine.run(lambda: _engine(plan, machine, watched, spill, broken), watched, broken)
    finally:
        machine.close()


async def _engine(
    plan: Plan, machine: Machine, watched: list[Watched], spill: Path, broken: list[str]
) -> list[str]:
    faults = machine.faults
    engine = Engine(
        workers=plan.workers,
        memory="64 MiB",
        executor="inline",
        spill_dir=spill,
        limits=plan.limits,
        slots=machine.slots,
        threads=machine.threads,
        **plan.engine,
    )
    async with engine:
        tasks = [asyncio.ensure_future(job.run(engine)) for job in watched]
        await asyncio.wait(tasks, timeout=plan.closes)
        if plan.closes is None:
            faults.over = True
            await _at_rest(engine, faults, broken)
    await asyncio.wait(tasks)
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


@lru_cache(1000)
def reference(case: Case) -> list[Pair]:
    """The pairs of a job, in the order in which a single worker on a fair day gives them."""
    machine = Machine(_FAIR, Weather(), None)

    async def collected() -> list[str]:
        engine = Engine(
            workers=1, memory="128 MiB", executor="inline", slots=machine.slots, threads=machine.threads
        )
        async with engine:
            pairs.extend(await engine.collect(case.plain, asyncmr.records(case.records)))
        return []

    pairs: list[Pair] = []
    try:
        machine.run(collected, [], [])
    finally:
        machine.close()
    return pairs


_FAIR = replace(Plan.of(0), disorder=0.0, grain=0.0, sizes={})


def is_left(path: Path, folder: Path) -> bool:
    """Whether this should not be there any more: everything but the jobs' input and complete output."""
    top = path.relative_to(folder).parts
    return top != ("spill",) and top[0] == "spill"
