"""Workers that are no processes: the real `Worker` answers in the loop, a virtual while later, unless it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from itertools import count
from typing import Any

from asyncmr.workers.worker import Answer, Worker
from tests.simulation.faults import Faults
from tests.simulation.loop import SimulatedLoop

KILLED = -9


class SimulatedSlot:
    """One worker, as the pool sees a process: its sentinel tells of its death, and what it reads of shared memory it
    reads when its turn comes, not when it is called."""

    maps_segments = False
    pid = None
    output = None

    def __init__(self, number: int, loop: SimulatedLoop, faults: Faults) -> None:
        self.name = f"worker {number}"
        self.sentinel: int | None = None
        self._number = number
        self._loop = loop
        self._faults = faults
        self._worker = Worker(own_process=False)
        self._waiter: asyncio.Future[Answer] | None = None
        self._sent: Answer | None = None
        self._calls = 0
        self._dead = False

    def start(self) -> None:
        """Raises OSError where the seed says that no process can be started."""
        self._faults.starts(self.name)
        if not self._dead:  # killed before it was up
            self.sentinel = 1_000_000 + self._number

    def call(self, operation: str, *arguments: Any) -> asyncio.Future[Answer]:
        if self._dead:
            raise BrokenExecutor("the worker was stopped")
        self._waiter = waiter = self._loop.create_future()
        self._calls += 1
        fate = self._faults.fate(self.name, operation)
        self._later(fate.begins, self._answer, operation, arguments, fate.answers, fate.tick)
        if fate.dies is not None:
            self._later(fate.dies, self.die)
        return waiter

    def disconnect(self) -> None:
        """The answer that was sent before the end still arrives; other calls fail."""
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if self._sent is not None:
            waiter.set_result(self._sent)
        else:
            waiter.set_exception(BrokenExecutor("the worker is gone"))

    def kill(self) -> None:
        if not self._dead:
            self._dead = True
            self._worker.close()  # its generator goes with the process

    def join(self) -> int | None:
        return KILLED

    def stop(self) -> None:
        self.kill()

    def die(self) -> None:
        """Dies by itself, as if the system had killed it."""
        if not self._dead:
            self._faults.died(self.name)
            self.kill()
            if self.sentinel is not None:
                self._loop.readable(self.sentinel)

    def _answer(self, operation: str, arguments: tuple[Any, ...], answers: float | None, tick: float) -> None:
        if self._dead or answers is None:  # None: it hangs
            return
        with self._faults.ticking(tick):
            answer = getattr(self._worker, operation)(*arguments)

        def send() -> None:
            # The answer is on its way: should the worker die now, who listens finds it there.
            self._sent = answer
            self._loop.call_later(0, self._arrive, self._waiter)

        self._later(answers, send)

    def _arrive(self, waiter: asyncio.Future[Answer] | None) -> None:
        answer, self._sent = self._sent, None
        if waiter is not None and waiter is self._waiter and answer is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(answer)
                self._faults.moment()

    def _later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> None:
        """Calls back unless the worker is dead then, or at another call already."""
        number = self._calls

        def call() -> None:
            if not self._dead and number == self._calls:
                callback(*arguments)

        self._loop.call_later(delay, call)


class SimulatedSlots:
    """Makes the workers of one engine, and ends them all at the end, whatever became of the engine."""

    def __init__(self, loop: SimulatedLoop, faults: Faults) -> None:
        self._loop = loop
        self._faults = faults
        self._numbers = count()
        self._made: list[SimulatedSlot] = []

    def __call__(self) -> SimulatedSlot:
        slot = SimulatedSlot(next(self._numbers), self._loop, self._faults)
        self._made.append(slot)
        return slot

    def close(self) -> None:
        for slot in self._made:
            slot.kill()
