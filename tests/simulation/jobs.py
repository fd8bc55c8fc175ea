"""Small jobs of all shapes, on random records, and what they must give."""

from __future__ import annotations

import operator
import random
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import asyncmr
from asyncmr import Job
from asyncmr.batches import batch_kind
from asyncmr.protocols import Pair
from tests.engine.late import late
from tests.family import JOBS, letters, listed, sizes, total, tuples
from tests.oracle import mapped, reduced

ALPHABET = "abcdefgh \u00e9\U0001f600"


def turned(key, value):
    yield value, key


def numbered(key, value):
    yield str(key), 1


def first_letter(key, value):
    yield str(key)[:1], str(value)


def ordered(key, values):
    """Depends on the values alone, not on their order: what a first step gives comes in an order of its own."""
    yield key, sorted(map(str, values))


CHAINS = {
    "reduced twice": Job(mapper=letters, fold=operator.add).then(Job(mapper=turned, reducer=ordered)),
    "mapped on the results": Job(mapper=letters, combiner=total, reducer=total).then(Job(mapper=turned)),
    "mapped, then reduced": Job(mapper=letters).then(Job(mapper=numbered, aggregator=asyncmr.Count())),
    "three steps": Job(mapper=sizes, reducer=listed)
    .then(Job(mapper=first_letter))
    .then(Job(mapper=numbered, fold=operator.add, sort=True)),
    "sorted in the end": Job(mapper=tuples, aggregator=asyncmr.Sum()).then(Job(mapper=turned, sort="total")),
}
# Which of a job's functions are made async, and what the job is without that.
AWAITED = {"awaited mapper": "m", "awaited reducer": "r", "both awaited": "mr", "awaited, only mapped": "m"}
ALL = (
    JOBS
    | CHAINS
    | {
        "awaited mapper": Job(mapper=letters, fold=operator.add),
        "awaited reducer": Job(mapper=letters, reducer=listed),
        "both awaited": Job(mapper=tuples, combiner=total, reducer=total, sort=True),
        "awaited, only mapped": Job(mapper=letters),
    }
)


class CountsRecords:
    """A mapper that counts, and may fail."""

    def __init__(self, mapper: Any, poison: str | None) -> None:
        self._mapper = mapper
        self._poison = poison

    def __call__(self, key: Any, record: Any) -> Any:
        asyncmr.counter("simulation", "records").increment()
        if record == self._poison:
            raise ValueError("poison")
        return self._mapper(key, record)


class CountsGroups:
    """A reducer that counts."""

    def __init__(self, reducer: Any) -> None:
        self._reducer = reducer

    def __call__(self, key: Any, values: Any) -> Any:
        asyncmr.counter("simulation", "groups").increment()
        return self._reducer(key, values)


def _countable(job: Job) -> bool:
    """Whether its functions can be replaced by those that count."""
    return len(job.steps) == 1 and batch_kind(job.mapper) is None


@dataclass(frozen=True)
class Case:
    """A job and its input. `poison`: a record at which its mapper raises."""

    name: str
    records: tuple[str, ...] = field(repr=False)
    partitions: int | None
    poison: str | None = None

    @classmethod
    def drawn(cls, draw: random.Random, *, large: bool = False) -> Case:
        name = draw.choice(list(ALL))
        count = 60 if large else draw.choice([0, 1, 5, 20, 20, 60])
        records = tuple(
            "".join(draw.choices(ALPHABET, k=draw.choice([0, 1, 3, 12, 30]))) for _ in range(count)
        )
        poison = None
        if count and _countable(ALL[name]) and draw.random() < 0.2:
            poison = draw.choice(records)
        return cls(name, records, draw.choice([1, 2, 5]) if ALL[name].steps[-1].shuffles else None, poison)

    def without_poison(self) -> Case:
        """What is left of it if the records that fail are left out."""
        left = tuple(record for record in self.records if record != self.poison)
        return self if self.poison is None else replace(self, records=left, poison=None)

    @cached_property
    def plain(self) -> Job:
        """The job as a user would write it."""
        job = ALL[self.name]
        return (
            job if self.partitions is None or len(job.steps) > 1 else job.replace(partitions=self.partitions)
        )

    @cached_property
    def job(self) -> Job:
        """The job with counters; a chain keeps its functions as they are."""
        job = self.plain
        if not _countable(job):
            return job
        changed: dict[str, Any] = {"mapper": CountsRecords(job.mapper, self.poison)}
        if job.reducer is not None:
            changed["reducer"] = CountsGroups(job.reducer)
        job = job.replace(**changed)
        return late(job, AWAITED[self.name]) if self.name in AWAITED else job

    @property
    def counts(self) -> bool:
        """Whether the job has counters."""
        return self.job is not self.plain

    @cached_property
    def pairs(self) -> list[Pair]:
        """What the mapper of the first step gives."""
        return mapped(self.plain.steps[0], list(self.records))

    @cached_property
    def expected(self) -> list[Pair]:
        """The results, in no particular order."""
        pairs = self.pairs
        for number, step in enumerate(self.plain.steps):
            if number:
                pairs = [pair for key, value in pairs for pair in step.mappers[0](key, value)]
            pairs = reduced(step, pairs)
        return pairs
