"""The legs of a job: each goes over the data once, in the workers or on the event loop.

A step of plain functions is one leg. An async mapper is a leg of its own, and the pairs that it makes are passed on by
the leg behind it, if they are to be moved. So is an async reducer: the leg before it groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from asyncmr.asynchronous import is_async
from asyncmr.batches import batch_kind
from asyncmr.job import Step
from asyncmr.kernel.groups import grouped
from asyncmr.kernel.passing import passed


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg. `awaits`: the one function of the step that runs on the event loop; otherwise all run in workers, and
    none is async. `prefix` sets its stages apart in a chain; those that map and reduce are called `maps` and
    `reduces`."""

    step: Step
    prefix: str
    awaits: Literal["mapper", "reducer"] | None = None
    maps: str = "map"
    reduces: str = "reduce"

    @property
    def maps_pairs(self) -> bool:
        """Whether it only maps, in workers, and one pair at a time."""
        return self.awaits is None and not self.step.shuffles and batch_kind(self.step.mapper) is None


def legs_of(steps: Iterable[Step]) -> list[Leg]:
    """The legs of these steps, in order."""
    numbered = list(enumerate(steps, 1))
    return [
        leg for number, step in numbered for leg in _legs(step, f"{number}." if len(numbered) > 1 else "")
    ]


def _legs(step: Step, prefix: str) -> Iterator[Leg]:
    plain = Leg(step, prefix)
    if is_async(step.mapper):
        yield Leg(step, prefix, awaits="mapper")
        if not step.shuffles:
            return
        plain = replace(plain, step=replace(plain.step, mapper=passed), maps="shuffle")
    if not is_async(step.reducer):
        yield plain
        return
    yield replace(plain, step=replace(plain.step, reducer=grouped), reduces="group")
    yield Leg(step, prefix, awaits="reducer")
