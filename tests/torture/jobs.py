"""The jobs of the torture test: what they work out, how they may be hurt from inside, and what they must give."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import asyncmr
from asyncmr import Engine, Job, MapperError, WorkerDied
from asyncmr.batches import batch_kind
from asyncmr.errors import AsyncMRError
from asyncmr.kernel.formats import TextFormat
from asyncmr.pipeline.limits import Limits
from tests.engine.trail import Trail, work
from tests.family import JOBS, listed
from tests.oracle import oracle

# Every stage with tasks of its own, and hardly any room in memory.
LIMITS = Limits(fused=0, fan_in=4, large_partial=0, whole=2000, bucket=1000, round=500, merged=4, shuffle=100)

SHAPES = {name: job for name, job in JOBS.items() if batch_kind(job.mapper) is None}
SHAPES["chain"] = JOBS["combiner"].then(Job(mapper=lambda key, value: [(value % 7, key)], reducer=listed))

Pairs = list[tuple[Any, Any]]


@dataclass(frozen=True)
class Harm:
    """What happens at one record: `act`, the first time only or every time, and the error that must come of it."""

    act: Callable[[], object] | None = None
    once: bool = True
    error: type[AsyncMRError] | None = None


def _kill(signum: int) -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), signum)


def _raise() -> None:
    raise LookupError("on purpose")


HARMS = {
    "none": Harm(),
    "dies once": Harm(_kill(signal.SIGKILL)),
    "exits once": Harm(lambda: os._exit(7)),
    "crashes once": Harm(_kill(signal.SIGSEGV)),
    "hangs once": Harm(lambda: time.sleep(600)),
    "raises": Harm(_raise, once=False, error=MapperError),
    "always dies": Harm(_kill(signal.SIGABRT), once=False, error=WorkerDied),
}


class Hurt:
    """A mapper that leaves a mark, counts and takes its time at every record, and comes to harm at one of them."""

    def __init__(self, mapper: Any, trail: Trail, name: str, at: str, harm: Harm, turns: int) -> None:
        self._mapper = mapper
        self._trail = trail
        self._name = name
        self._at = at
        self._harm = harm
        self._turns = turns

    def __call__(self, key, record):
        self._trail.mark()
        asyncmr.counter("torture", "mapped").increment()
        work(self._turns)
        act = self._harm.act
        if act is not None and record == self._at and (not self._harm.once or self._trail.first(self._name)):
            act()
        return self._mapper(key, record)


def hurt(job: Job, trail: Trail, name: str, at: str, harm: Harm, turns: int) -> Job:
    """The job with such a mapper in its first step."""
    if len(job.steps) > 1:
        first, second = JOBS["combiner"], Job(mapper=job.steps[1].mapper, reducer=listed)
        return hurt(first, trail, name, at, harm, turns).then(second)
    return job.replace(mapper=Hurt(job.mapper, trail, name, at, harm, turns))


@cache
def records(seed: int) -> tuple[str, ...]:
    """Words; one of them, `the_one`, is there once."""
    draw = random.Random(seed)
    words = [
        "".join(draw.choices("abcdefg", k=draw.randint(1, 8))) for _ in range(draw.choice([40, 100, 300]))
    ]
    words[draw.randrange(len(words))] = the_one(seed)
    return tuple(words)


def the_one(seed: int) -> str:
    return f"poison{seed % 10}"


async def expected(shape: str, words: tuple[str, ...]) -> Pairs:
    """The pairs in their order: those of an undisturbed run in this process, if the oracle agrees."""
    found = _EXPECTED.get((shape, words))
    if found is None:
        job = SHAPES[shape]
        async with Engine(workers=1, executor="inline", limits=LIMITS) as engine:
            found = list(await engine.collect(job, asyncmr.records(list(words), records_per_task=7)))
        if len(job.steps) == 1:
            assert sorted(map(repr, found)) == sorted(map(repr, oracle(job, words)))
        _EXPECTED[shape, words] = found
    return found


_EXPECTED: dict[tuple[str, tuple[str, ...]], Pairs] = {}


def as_text(pairs: Pairs) -> bytes:
    """What part files hold of them."""
    return TextFormat().encode([key for key, _ in pairs], [value for _, value in pairs]) if pairs else b""
