"""How the memory of a stream is divided among its engine and its keepers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from asyncmr.engines.share import memory_of, workers_of
from asyncmr.errors import MemoryBudgetError, UsageError
from asyncmr.pipeline.limits import Limits
from asyncmr.sizes import MIB, parse_size

# What a keeper takes beside its tables: its interpreter, and blocks on their way.
_KEEPER = 28 * MIB
# With less, hardly a key would be hot.
_LEAST_TABLES = 4 * MIB
# What the engine needs for what waits between mappers and keepers.
_LEAST_WAITING = 8 * MIB
# Of what the workers leave, keepers get so much: a state is quicker in memory, and what waits may wait on disk.
_KEEPERS_PART = 0.75
# While an epoch is merged, its keys are in memory once more, as Python objects. A line that is all one new key takes so
# many times its bytes until it is in its table.
_GROWTH = 24


@dataclass(frozen=True, slots=True)
class Division:
    """Bytes. `engine`: for the engine, its workers and what waits. `tables`: for those of one keeper. `epoch`: what may
    be read for one epoch."""

    engine: int
    tables: int
    epoch: int

    @classmethod
    def of(
        cls, memory: int | str | None, workers: int | None, keepers: int, state_memory: int | str | None
    ) -> Self:
        """Divides `memory` for an engine of so many workers, as `Engine` takes them, and so many keepers.
        `state_memory`: for all tables together.

        Raises:
            UsageError: there are no keepers.
            MemoryBudgetError: it is too little for all of them.
        """
        if keepers < 1:
            raise UsageError(f"keepers={keepers} leaves the state without a process; give at least 1")
        total, count = memory_of(memory, 1.0), workers_of(workers, 1.0)
        spare = total - Limits.fixed(count) - _LEAST_WAITING - keepers * _KEEPER
        # What is merged into the tables takes as much again.
        wanted = None if state_memory is None else 2 * _size(state_memory)
        least = 2 * keepers * _LEAST_TABLES if wanted is None else wanted
        if spare < least:
            default = (
                ""
                if memory is not None
                else ". Nobody gave memory=, and the default is half of what there is"
            )
            raise MemoryBudgetError(
                f"memory={total:,} bytes ({total // MIB} MiB) is too little for workers={count} and keepers={keepers}, "
                f"which need {-(-(total - spare + least) // MIB):,} MiB; raise memory=, or use fewer{default}"
            )
        state = max(least, int(spare * _KEEPERS_PART)) if wanted is None else wanted
        return cls(
            engine=total - state - keepers * _KEEPER,
            tables=state // 2 // keepers,
            epoch=max(state // 2 // _GROWTH, 64 << 10),
        )


def _size(memory: int | str) -> int:
    try:
        return parse_size(memory)
    except UsageError as error:
        raise UsageError(f"state_memory: {error}") from None
