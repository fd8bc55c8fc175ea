"""How large things are: the sizes that the stages work with, and how a memory budget is divided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from asyncmr.errors import MemoryBudgetError

MIB = 1 << 20

# What one worker takes beside its input: its interpreter, which shares most pages with the others, and its tables.
_WORKER = 96 * MIB
_LEAST_SHUFFLE = 16 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes.

    `split`, `fused` and `fan_in` decide how values are grouped, so they are constants: a result must not depend
    on the memory given. `split`: a mapper's unit of work. `fused`: the largest input that one task maps and
    reduces. `fan_in`: how many neighbouring map outputs the combiner merges. `round`: what is fed to a merge at
    once. `shuffle`: what may wait in memory between the stages; the rest waits on disk.

    A shuffle has a partition for each `partition` bytes of input, but `least_partitions`, so that reducers
    which are slow on little input find workers; one if there is only a `little`.
    """

    split: int = 16 * MIB
    fused: int = 256 * 1024
    fan_in: int = 16
    round: int = 16 * MIB
    shuffle: int = 256 * MIB
    partition: int = 16 * MIB
    little: int = 4096
    least_partitions: int = 8
    unknown_partitions: int = 16

    @classmethod
    def within(cls, memory: int, workers: int) -> Self:
        """The sizes for an engine that may use `memory` bytes.

        Raises:
            MemoryBudgetError: when that is too little for so many workers.
        """
        fixed = (workers + 1) * cls().split + workers * _WORKER
        if memory < fixed + _LEAST_SHUFFLE:
            raise MemoryBudgetError(
                f"memory={memory:,} bytes is too little for {workers} workers, which need "
                f"{fixed + _LEAST_SHUFFLE:,} bytes ({(fixed + _LEAST_SHUFFLE) // MIB} MiB); "
                "raise memory=, or use fewer workers"
            )
        return cls(shuffle=memory - fixed)

    def partitions(self, input_bytes: int | None) -> int:
        """How many partitions a shuffle of this much input has, when the job does not say."""
        if input_bytes is None:
            return self.unknown_partitions
        if input_bytes <= self.little:
            return 1
        return min(max(self.least_partitions, -(-input_bytes // self.partition)), 4096)
