"""What goes wrong, when: every decision of a seed about workers, threads and the disk, counted by kind."""

from __future__ import annotations

import errno
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from tests.simulation.loop import SimulatedLoop


@dataclass(frozen=True)
class Weather:
    """How bad it gets. Rates are from 0 to 1, for each call.

    `deaths`: of workers, `most_deaths` at most; `hangs`: calls that a worker never answers; `stragglers`: calls that
    take seconds; `slow_records`: calls in which the worker finds its records slow; `failed_starts`: of workers.
    `slow_disk`: calls of threads that take long; `short`: reads and writes that come out short; `flips`: reads of
    what was spilled in which a bit is another. The system call number `failing` of the kinds `failing_kinds` fails with
    `failing_error`, and all behind it if that is `for_ever`.
    """

    deaths: float = 0.0
    most_deaths: int | None = None
    hangs: float = 0.0
    stragglers: float = 0.0
    slow_records: float = 0.0
    failed_starts: float = 0.0
    slow_disk: float = 0.0
    short: float = 0.0
    flips: float = 0.0
    failing: int | None = None
    failing_kinds: tuple[str, ...] = ()
    failing_error: int = errno.EIO
    for_ever: bool = False

    @classmethod
    def drawn(cls, draw: random.Random) -> Weather:
        """Often fair, so that what should survive is seen to, and now and then all at once."""

        def rate(chance: float, *rates: float) -> float:
            return draw.choice(rates) if draw.random() < chance else 0.0

        failing = draw.random() < 0.35
        reads, writes = ("read",), ("write", "make")
        return cls(
            deaths=rate(0.5, 0.02, 0.1, 0.3),
            hangs=rate(0.3, 0.02, 0.1),
            stragglers=rate(0.4, 0.05, 0.2),
            slow_records=rate(0.3, 0.2, 1.0),
            failed_starts=rate(0.15, 0.1, 0.3),
            slow_disk=rate(0.4, 0.05, 0.5),
            short=rate(0.4, 0.1, 0.7),
            flips=rate(0.15, 0.1, 0.5),
            failing=int(10 ** draw.uniform(0, 2)) if failing else None,
            failing_kinds=draw.choice(
                [reads, writes, writes, (*reads, *writes), (*writes, "rename", "remove")]
            ),
            failing_error=draw.choice([errno.EIO, errno.ENOSPC, errno.EMFILE]),
            for_ever=draw.random() < 0.4,
        )


class Fate(NamedTuple):
    """What becomes of one call: when it begins, how much later the answer leaves (None: never), when the worker dies,
    and how much time passes on the worker's clock between two looks at it."""

    begins: float
    answers: float | None
    dies: float | None
    tick: float


class Faults:
    """The decisions of one run. `counts`: how often each kind of fault was met."""

    def __init__(self, seed: object, weather: Weather, loop: SimulatedLoop) -> None:
        self._random = random.Random(f"{seed} faults")
        self._weather = weather
        self._loop = loop
        self._in_thread = False
        self._calls = 0
        self._doomed = 0
        self._tick = 0.0
        self._worker_now = 0.0
        self.counts: Counter[str] = Counter()
        self.again: Counter[str] = Counter()  # what was done about them: retries and rivals
        self.over = False  # from then on nothing goes wrong any more
        self.after_call: Callable[[str], None] = lambda name: None
        self._moments = 0
        self._at_moments: list[tuple[int, int, Callable[[], None]]] = []

    def at_moment(self, number: int, steps: int, callback: Callable[[], None]) -> None:
        """Calls back at so many steps behind the moment of this number. A moment is when a thread or a worker has
        given an outcome, of which nobody has heard yet."""
        self._at_moments.append((number, steps, callback))

    def moment(self) -> None:
        self._moments += 1
        for number, steps, callback in self._at_moments:
            if number == self._moments:
                self._after(steps, callback)

    def _after(self, steps: int, callback: Callable[[], None]) -> None:
        if steps:
            self._loop.call_soon(self._after, steps - 1, callback)
        else:
            callback()

    # Workers.

    def fate(self, worker: str, operation: str) -> Fate:
        draw, weather = self._random, self._weather
        begins, answers = self._delay(0.05), self._delay(0.02)
        if self._hits(weather.stragglers):
            begins = draw.uniform(0.3, 3.0)
            self._count("straggler", worker)
        dies = draw.uniform(0, begins + answers + 0.002) if self._hits(weather.deaths) else None
        if weather.most_deaths is not None and dies is not None:
            self._doomed += 1
            dies = dies if self._doomed <= weather.most_deaths else None
        hangs = self._hits(weather.hangs)
        if hangs:
            self._count("hang", worker)
        tick = 1e-6
        if self._hits(weather.slow_records):
            tick = draw.choice([0.004, 0.03])
            self._count("slow records", worker)
        self._loop.note(f"{worker}: {operation}")
        return Fate(begins, None if hangs else answers, dies, tick)

    def died(self, worker: str) -> None:
        self._count("death", worker)

    def starts(self, worker: str) -> None:
        if self._hits(self._weather.failed_starts):
            self._count("failed start", worker)
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    @contextmanager
    def ticking(self, tick: float) -> Iterator[None]:
        """While a worker is at work."""
        before, self._tick = self._tick, tick
        try:
            yield
        finally:
            self._tick = before

    def worker_clock(self) -> float:
        self._worker_now += self._tick
        return self._worker_now

    # Threads and the disk.

    def delays(self, thread: str) -> tuple[float, float]:
        slow = self._hits(self._weather.slow_disk)
        if slow:
            self._count("slow call", thread)
        return self._delay(1.0 if slow else 0.0), self._delay(0.0)

    @contextmanager
    def in_thread(self) -> Iterator[None]:
        """What happens inside may meet a bad disk; the loop's own thread never touches one."""
        self._in_thread = True
        try:
            yield
        finally:
            self._in_thread = False

    @contextmanager
    def out_of_reach(self) -> Iterator[None]:
        """What happens inside is no part of the simulation."""
        before, self._in_thread = self._in_thread, False
        try:
            yield
        finally:
            self._in_thread = before

    def system_call(self, kind: str, name: str) -> None:
        """Raises OSError where the disk fails; `kind`: read, write, make, rename or remove."""
        weather = self._weather
        if not self._in_thread or self.over or weather.failing is None or kind not in weather.failing_kinds:
            return
        self._calls += 1
        if self._calls == weather.failing or (weather.for_ever and self._calls > weather.failing):
            self._count("disk error", name)
            raise OSError(weather.failing_error, os.strerror(weather.failing_error))

    def fails_late(self) -> bool:
        """Whether a call that fails has done what it was to do."""
        return self._weather.failing is not None and self._random.random() < 0.5

    def transferred(self, size: int, name: str) -> int:
        """How many bytes of a read or a write get through."""
        if not self._in_thread or size < 2 or not self._hits(self._weather.short):
            return size
        self._count("short transfer", name)
        return self._random.randrange(1, size)

    def flips(self, name: str) -> bool:
        """Whether a bit of a read is not what was written."""
        hit = self._in_thread and self._hits(self._weather.flips)
        if hit:
            self._count("flipped bit", name)
        return hit

    def _hits(self, rate: float) -> bool:
        return not self.over and rate > 0 and self._random.random() < rate

    def _delay(self, slow: float) -> float:
        if self._random.random() < slow:
            return self._random.uniform(0.02, 0.4)
        return self._random.uniform(0.0001, 0.002)

    def _count(self, kind: str, where: str) -> None:
        self.counts[kind] += 1
        self._loop.note(f"{kind}: {where}")
