"""The state machine that draws what happens next: a sequence of jobs and faults follows from its seed alone.

Timing does not, so a rule never asks what the engine is doing: one that finds nothing to do does nothing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.torture.arena import SIGNALS, Arena
from tests.torture.bad_disk import KINDS
from tests.torture.jobs import HARMS, SHAPES

WAYS = ["collect", "run", "resumed run", "stream", "slow stream"]
# Mostly harms that a job survives; those that take seconds are rare.
SOME_HARMS = [
    *["none"] * 12,
    *["dies once", "exits once", "crashes once"] * 3,
    "raises",
    "always dies",
    "hangs once",
]
number = st.integers(0, 7)
job = st.fixed_dictionaries(
    {
        "shape": st.sampled_from(sorted(SHAPES)),
        "way": st.sampled_from(WAYS),
        "source": st.sampled_from(["memory", "file"]),
        "seed": st.integers(0, 20),
        "per_task": st.sampled_from([3, 10, 40]),
        "harm": st.sampled_from(SOME_HARMS),
        "turns": st.sampled_from([100, 20_000, 60_000]),
    }
)

SETTINGS = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def machine_of(arena: Arena, runner: asyncio.Runner) -> type[RuleBasedStateMachine]:
    """The machine on this arena, whose engine serves all its runs."""

    def do(what: str, step: Coroutine[Any, Any, None]) -> None:
        try:
            with arena.step(what):
                runner.run(step)
        finally:
            step.close()

    class Torture(RuleBasedStateMachine):
        @initialize(jobs=st.lists(job, min_size=2, max_size=4))
        def start_some(self, jobs: list[dict[str, Any]]) -> None:
            for drawn in jobs:
                self.start(drawn)

        @rule(drawn=job)
        def start(self, drawn: dict[str, Any]) -> None:
            do(f"start {drawn}", arena.start(**drawn))

        @rule(drawn=job)
        def start_another(self, drawn: dict[str, Any]) -> None:
            self.start(drawn)

        @rule(which=number, signum=st.sampled_from(SIGNALS))
        def kill_a_worker(self, which: int, signum: int) -> None:
            do(f"kill worker {which} by {signum}", arena.kill(which, signum))

        @rule(which=number, ended_by=st.sampled_from([*[signal.SIGCONT, signal.SIGKILL] * 4, None]))
        def stop_a_worker(self, which: int, ended_by: int | None) -> None:
            do(f"stop worker {which}, then {ended_by}", arena.stop(which, ended_by))

        @rule(which=number)
        def cancel_a_job(self, which: int) -> None:
            do(f"cancel job {which}", arena.cancel(which))

        @rule(which=number)
        def read_a_stream(self, which: int) -> None:
            do(f"read stream {which}", arena.read(which))

        @rule(kind=st.sampled_from([*KINDS, "write", "read", "corrupt"]), after=st.integers(0, 4))
        def break_the_disk(self, kind: str, after: int) -> None:
            do(f"let {kind} {after} fail", arena.break_disk(kind, after))

        @rule(most=st.sampled_from([1, 100, 1000]))
        def move_less_than_asked_for(self, most: int) -> None:
            do(f"move {most} at most", arena.shorten(most))

        @rule()
        def wait_for_all(self) -> None:
            do("settle", arena.settle())

        @invariant()
        def all_is_well(self) -> None:
            with arena.step("check"):
                arena.check()

        def teardown(self) -> None:
            arena.tally.runs += 1
            do("settle", arena.settle())

    return Torture


assert set(SOME_HARMS) == set(HARMS)
