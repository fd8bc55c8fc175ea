"""How large things are: the sizes that the stages work with, and how a memory budget is divided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from asyncmr.errors import MemoryBudgetError
from asyncmr.protocols import SourceInfo

MIB = 1 << 20

# Each bucket gets the pairs of about this much input: some ten thousand words, whose table stays in the cache.
_BUCKET = MIB // 2
_BUCKETS = 8
# More buckets than this would each get too few of a split's pairs to be worth a block of their own.
_ALL_BUCKETS = 4096
# How many pieces of runs the host can keep account of, and what that takes for one, also when runs are handed on.
_PIECES = 1 << 22
_ACCOUNT = 32

# What one worker takes beside its input: its interpreter, which shares most pages with the others, and its tables.
_WORKER = 72 * MIB
# What the engine adds to the host, and the processes that start and watch the workers.
_HOST = 36 * MIB
_LEAST_SHUFFLE = 4 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes.

    All but `shuffle` decide how values are grouped, so they are constants: a result must not depend on the memory
    given. `split`: a mapper's unit of work. `fused`: the largest input that one task maps and reduces. `table`: what a
    mapper's table may take before it is flushed. `fan_in`: how many neighbouring map outputs the combiner merges,
    if their partial results take `large_partial` bytes each. `share`: how much input there is for each share of a
    partition. `whole`: the largest share, encoded, that is reduced at once. `bucket`: the largest part of it that is
    gathered at once. Of sorted runs `merged` are merged at once, fed `round` bytes at a time.

    `shuffle`: what may wait in memory between the stages; the rest waits on disk.

    A shuffle has a partition for each `partition` bytes of input, but `least_partitions`, so that reducers
    which are slow on little input find workers; one if there is only a `little`.
    """

    split: int = 8 * MIB
    fused: int = 256 * 1024
    table: int = 40 * MIB
    fan_in: int = 16
    large_partial: int = 512
    share: int = 4 * MIB
    whole: int = 8 * MIB
    bucket: int = 2 * MIB
    round: int = 1 * MIB
    merged: int = 64
    shuffle: int = 256 * MIB
    partition: int = 16 * MIB
    little: int = 4096
    least_partitions: int = 8
    unknown_partitions: int = 16
    unknown_shares: int = 64

    @classmethod
    def within(cls, memory: int, workers: int) -> Self:
        """The sizes for an engine that may use `memory` bytes.

        Raises:
            MemoryBudgetError: when that is too little for so many workers.
        """
        fixed = cls.fixed(workers)
        if memory < fixed + _LEAST_SHUFFLE:
            raise MemoryBudgetError(
                f"memory={memory:,} bytes is too little for {workers} workers, which need "
                f"{fixed + _LEAST_SHUFFLE:,} bytes ({(fixed + _LEAST_SHUFFLE) // MIB} MiB); "
                "raise memory=, or use fewer workers"
            )
        return cls(shuffle=memory - fixed)

    @classmethod
    def fixed(cls, workers: int) -> int:
        """What the host and so many workers take, beside what waits between the stages."""
        return _HOST + (workers + 1) * cls().split + workers * _WORKER

    def room(self, workers: int) -> int:
        """The bytes that each worker may take for what a job says that its functions take."""
        return max(0, self.shuffle - _LEAST_SHUFFLE) // workers

    def is_small(self, info: SourceInfo) -> bool:
        """Whether one task maps and reduces an input."""
        return info.bytes is not None and info.bytes <= self.fused and not info.divided

    def partitions(self, input_bytes: int | None) -> int:
        """How many partitions a shuffle of this much input has, when the job does not say."""
        if input_bytes is None:
            return self.unknown_partitions
        if input_bytes <= self.little:
            return 1
        return min(max(self.least_partitions, -(-input_bytes // self.partition)), 4096)

    def shares(self, input_bytes: int | None, partitions: int) -> int:
        """How many shares each of so many partitions has."""
        if input_bytes is None:
            return max(1, self.unknown_shares // partitions)
        most = _PIECES * self.split // max(input_bytes, 1)
        return max(1, -(-min(input_bytes // self.share, most) // partitions))

    def account(self, input_bytes: int | None, shares: int) -> int:
        """The bytes that the host takes for its account of the pieces of a shuffle in so many shares.

        It grows with the square of the input, so it is set aside, but never more than half of what may wait.
        """
        splits = -(-(input_bytes or 0) // self.split)
        return min(splits * shares * _ACCOUNT, self.shuffle // 2)

    def buckets(self, input_bytes: int | None, shares: int) -> int:
        """How many buckets a share has, if there are so many shares in all."""
        if input_bytes is None:
            return _BUCKETS
        return max(1, min(input_bytes // (shares * _BUCKET), _BUCKETS, _ALL_BUCKETS // shares))
