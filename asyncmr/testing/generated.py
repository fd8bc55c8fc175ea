"""Groups of values made of others: without knowing what values mean, by taking parts of what was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from asyncmr.kernel.counterexamples import Kept

# So many values are tried in all groupings that there are ideas for; more of them in a few.
MOST_VALUES = 8
_LONGEST = 48


@dataclass(frozen=True, slots=True)
class Group:
    """A key and values of it, in order."""

    key: Any
    values: list[Kept]


def sublists(groups: list[Group], count: int) -> Iterator[Group]:
    """Up to `count` runs of neighbouring values of each group, short ones first, and its beginning."""
    for group in groups:
        runs = (
            group.values[start : start + length]
            for length in range(1, MOST_VALUES)
            for start in range(len(group.values) - length + 1)
        )
        for run in islice(runs, count):
            yield Group(group.key, run)
        yield Group(group.key, group.values[:MOST_VALUES])


def generated(groups: list[Group], count: int, random: Random) -> Iterator[Group]:
    """`count` groups of repeated values, and of runs of values put one behind the other."""
    for _ in range(count):
        group = random.choice(groups)
        longest = _LONGEST if random.random() < 0.1 else MOST_VALUES
        values: list[Kept] = []
        for _ in range(random.randint(1, longest // 2)):
            start = random.randrange(len(group.values))
            run = group.values[start : start + random.randint(1, 4)]
            values += run * random.choice((1, 1, 2))
        yield Group(group.key, values[:longest])
