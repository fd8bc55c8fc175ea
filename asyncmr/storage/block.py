"""A block: some bytes that wait together, cut into pieces that are read and freed one by one.

A map task sends one block with the pieces of many partitions behind each other, so there may be a million pieces
while there are a few thousand blocks. A piece is therefore no object: it costs its end in the block, a bit that
says whether it is still wanted and, once it lies on disk, its checksum.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import islice
from operator import le
from typing import Self

from asyncmr.errors import UsageError
from asyncmr.storage.spill_file import Data, SpillFile, Written


class Block:
    """A block in a store. `size`: its bytes. `pieces`: how many it was cut into."""

    __slots__ = ("data", "ends", "file", "reserved", "size", "wanted", "written")

    def __init__(self, data: Data, ends: Sequence[int] | None = None) -> None:
        self.size = len(data)
        self.ends: Sequence[int] = (self.size,) if ends is None else _checked(ends, self.size)
        self.wanted = (1 << len(self.ends)) - 1  # a bit for each piece that was not freed
        self.reserved = False  # room in the budget; without, it is on disk or on its way there
        self.data: Data | None = data  # None once it is on disk
        self.file: SpillFile | None = None
        self.written: Written | None = None

    @classmethod
    def lying(cls, size: int, ends: Sequence[int], file: SpillFile, written: Written) -> Self:
        """A block that lies in a file."""
        block = cls(b"")
        block.size, block.ends, block.wanted = size, _checked(ends, size), (1 << len(ends)) - 1
        block.data, block.file, block.written = None, file, written
        return block

    @property
    def in_memory(self) -> bool:
        """Whether its bytes are in memory, to stay or on their way to disk."""
        return self.data is not None

    @property
    def pieces(self) -> int:
        return len(self.ends)

    def piece_size(self, piece: int) -> int:
        """The bytes of one piece."""
        start, end = self.span(piece)
        return end - start

    def span(self, piece: int) -> tuple[int, int]:
        """Where a piece begins and ends."""
        if not 0 <= piece < len(self.ends):
            raise UsageError(f"there is no piece {piece} in a block of {len(self.ends):,} pieces")
        return self.ends[piece - 1] if piece else 0, self.ends[piece]

    def wants(self, piece: int) -> bool:
        """Whether the piece was not freed yet."""
        return bool(self.wanted >> piece & 1)


def _checked(ends: Sequence[int], size: int) -> array[int]:
    kept = ends if isinstance(ends, array) else array("I", ends)
    if not kept or kept[-1] != size or not all(map(le, kept, islice(kept, 1, None))):
        raise UsageError(
            f"the ends of a block's pieces must go up to its {size:,} bytes and never down; "
            f"{len(kept):,} were given, the last being {kept[-1] if kept else None}"
        )
    return kept
