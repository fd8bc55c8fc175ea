"""What an engine runs on in a simulation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from tests.simulation.faults import Faults, Weather
from tests.simulation.loop import SimulatedLoop
from tests.simulation.slots import SimulatedSlots
from tests.simulation.system import simulated_system
from tests.simulation.threads import SimulatedThreads
from tests.simulation.verdict import Watched
from tests.simulation.watching import watching

# Ten times what the slowest of a thousand seeds takes, by its own clock.
_MOST_SECONDS = 1200.0


class Terms(Protocol):
    """What a seed says of a machine: how its loop goes, and the sizes of `simulated_system`."""

    @property
    def seed(self) -> object: ...
    @property
    def disorder(self) -> float: ...
    @property
    def grain(self) -> float: ...
    @property
    def sizes(self) -> Mapping[str, int]: ...


class Machine:
    """A loop, workers, threads and a disk."""

    def __init__(self, plan: Terms, weather: Weather, trace: Callable[[str], None] | None) -> None:
        self.loop = SimulatedLoop(
            plan.seed, disorder=plan.disorder, grain=plan.grain, most_seconds=_MOST_SECONDS
        )
        self.loop.trace = trace
        self.faults = Faults(plan.seed, weather, self.loop)
        self.slots = SimulatedSlots(self.loop, self.faults)
        self._sizes = plan.sizes

    def threads(self, count: int, name: str) -> SimulatedThreads:
        return SimulatedThreads(name, self.faults, in_turn=count == 1)

    def run(
        self, main: Callable[[], Coroutine[Any, Any, list[str]]], watched: list[Watched], broken: list[str]
    ) -> list[str]:
        """Runs `main()` to its end. Raises Hang, or Crash after `crash`."""

        def after_call(name: str) -> None:
            for job in watched:
                job.look(name)

        self.faults.after_call = after_call
        with simulated_system(self.loop, self.faults, self._sizes), watching(watched, broken):
            jobs = self.loop.run_until_complete(main())
        broken += self.loop.unheard
        return jobs

    def crash(self) -> None:
        """The process is killed: nothing on this machine goes on."""
        self.faults.counts["crash"] += 1
        self.loop.crash()

    def close(self) -> None:
        self.slots.close()
        self.loop.abandon()
