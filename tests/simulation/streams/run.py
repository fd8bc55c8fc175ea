"""One seed of a stream from beginning to end: its processes, one after the other, what goes wrong, and the verdict.

However they ended, what the last one holds when its feeds have ended is what a batch job makes of the same lines, each
once. On the way nobody hears of what was not committed, and whoever iterates hears of all that was.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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
from tests.simulation.run import MEMORY, Outcome, is_left
from tests.simulation.streams.changes import check_changes
from tests.simulation.streams.feeds import Given
from tests.simulation.streams.plan import EPOCH, StreamPlan
from tests.simulation.streams.process import Process
from tests.simulation.streams.witness import Table, Witness
from tests.simulation.verdict import Violation


def simulate_stream(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Runs one seed.

    Raises:
        Violation: a promise was broken; the message says which, and how to see the schedule.
    """
    plan = StreamPlan.of(seed)
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=MEMORY if os.path.isdir(MEMORY) else None))
    before, temporary = open_things(), tempfile.tempdir
    tempfile.tempdir = os.fspath(folder / "spill")
    Path(tempfile.tempdir).mkdir()
    try:
        with hearing() as heard:
            run = Run(plan, folder, trace)
            for number in range(len(plan.lives)):
                run.live(number)
        broken, outcome = run.broken, run.outcome
        if not outcome.faults["crash"]:  # which closes nothing
            broken += heard
        broken += left_open(before, run.dead)
        broken += [f"left behind: {path}" for path in sorted(folder.rglob("*")) if is_left(path, folder)]
        if outcome.faults["crash"]:
            close_files_in(folder)
        if broken:
            raise Violation("\n".join(broken[:20]))
    except (Violation, Hang) as error:
        close_files_in(folder)
        # Without the error itself, whose frames hold all that it left.
        raise Violation(
            f"stream {seed}: {error}\n{plan}\n"
            f"Its schedule: python -m tests.simulation --kind stream --seed {seed} --trace"
        ) from None
    finally:
        tempfile.tempdir = temporary
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


class Run:
    """All processes of one stream. `dead`: what those had open that were killed."""

    def __init__(self, plan: StreamPlan, folder: Path, trace: Callable[[str], None] | None) -> None:
        self.plan = plan
        self.broken: list[str] = []
        self.dead: dict[Identity, str] = {}
        self.outcome = Outcome(plan.seed)
        self.witness = Witness(plan, self.broken)
        self.given = Given()
        self.told: dict[float, Table] = {}
        self.state = folder / "state-0"
        self.changes = folder / "changes.jsonl"
        self.now = EPOCH / 1000
        self._folder = folder
        self._trace = trace

    def live(self, number: int) -> None:
        """Runs the process of this number, and buries it."""
        life = self.plan.lives[number]
        machine = Machine(life, life.weather, self._trace)
        next_state = self._folder / f"state-{number + 1}"
        process = Process(self, life, machine, next_state)
        outcome = self.outcome
        try:
            outcome.jobs.extend(machine.run(process.main, [], self.broken))
        except Crash:
            outcome.jobs.append("killed")
            release_locks_in(self._folder)
            self.state = next_state
            self.dead |= open_things()
        finally:
            machine.close()
        outcome.faults.update(machine.faults.counts)
        self.outcome = replace(
            outcome,
            digest=outcome.digest ^ machine.loop.digest,
            steps=outcome.steps + machine.loop.steps,
            seconds=outcome.seconds + machine.loop.time(),
        )
        self.now += machine.loop.time() + 1.0
        if self.changes.exists():
            whole = outcome.jobs[-1] in ("exact", "stopped")
            check_changes(self.changes.read_bytes(), self.plan, self.witness, self.broken, whole=whole)
        if not self.plan.kept:
            self.witness.forget()
            self.told.clear()
