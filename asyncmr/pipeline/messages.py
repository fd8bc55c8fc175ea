"""What the stages send each other. Pieces and parts are handles: the bytes lie in the block store or the sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asyncmr.protocols import PartWriter
from asyncmr.storage.block import Block

# How much room a message takes in a channel; its bytes are the block store's business.
HANDLE = 1

Piece = tuple[Block, int]
"""A piece of a run: the block that holds it, and its number therein."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of runs, stored as one block. A large job has a million pieces: they are arrays, or ranges.

    `rank` orders runs as their input: the number of the split, then of the flush. `shares`: which share, of all
    partitions' shares, each piece belongs to, ascending; `numbers`: which piece of the block it is.
    """

    rank: tuple[int, int]
    block: Block
    shares: Sequence[int]
    numbers: Sequence[int]

    @property
    def size(self) -> int:
        """Encoded bytes."""
        return sum(map(self.block.piece_size, self.numbers))


@dataclass(frozen=True, slots=True)
class Run:
    """What one attempt made for one share of a partition, in order: one piece, or several, of `size` bytes in all."""

    rank: tuple[int, int]
    pieces: tuple[Piece, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """The committed output of one split.

    `pairs` left the mapper, and `pairs_out` were left of them after combining.
    """

    split: int
    stored: tuple[Pieces, ...]
    pairs: int
    pairs_out: int


@dataclass(frozen=True, slots=True)
class Partition:
    """All runs of one partition. A large job has thousands: they are looked up by whoever reduces them.

    `take`: gives the runs of a share, in the order of their rank; `numbers`: those of its shares.
    """

    index: int
    take: Callable[[int], tuple[Run, ...]]
    numbers: Sequence[int]

    def shares(self) -> list[tuple[int, tuple[Run, ...]]]:
        """The runs of each of its shares, numbered from 0, that has any."""
        found = enumerate(map(self.take, self.numbers))
        return [(number, runs) for number, runs in found if runs]


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part of the output."""

    index: int
    writer: PartWriter
