"""What the stages send each other. Blocks and parts are handles: the bytes lie in the block store or the sink."""

from __future__ import annotations

from dataclasses import dataclass

from asyncmr.job import PartWriter
from asyncmr.storage.block import Block

# How much room a message takes in a channel; its bytes are the block store's business.
HANDLE = 1


@dataclass(frozen=True, slots=True)
class Run:
    """Sorted pairs of one partition, as blocks in order.

    `rank` orders the runs of a partition as their input: the number of the split, then of the flush.
    """

    partition: int
    rank: tuple[int, int]
    blocks: tuple[Block, ...]

    @property
    def size(self) -> int:
        """Encoded bytes."""
        return sum(block.size for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Mapped:
    """The committed output of one split.

    `pairs` left the mapper, `pairs_out` were left of them after combining, and of those
    `reduced` were reduced at once, to `results`.
    """

    split: int
    runs: tuple[Run, ...]
    pairs: int
    pairs_out: int
    reduced: int = 0
    results: int = 0


@dataclass(frozen=True, slots=True)
class Partition:
    """All runs of one partition, in the order of their rank."""

    index: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part of the output."""

    index: int
    writer: PartWriter
