"""Where the runs of each share lie among stored pieces."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from asyncmr.pipeline.messages import Piece, Pieces, Run


class Shelf:
    """Stored pieces, to be taken share by share. Blocks of one rank lie in the order in which they were put there."""

    def __init__(self, stored: Iterable[Pieces]) -> None:
        self._stored = sorted(stored, key=lambda pieces: pieces.rank)

    def shares(self) -> Sequence[int]:
        """The shares that have runs, in order."""
        return sorted({number for pieces in self._stored for number in pieces.shares})

    def take(self, share: int) -> tuple[Run, ...]:
        """The runs of this share, in the order of their rank."""
        runs: dict[tuple[int, int], list[Piece]] = {}
        sizes: dict[tuple[int, int], int] = {}
        for pieces in self._stored:
            shares = pieces.shares
            at = bisect_left(shares, share)
            while at < len(shares) and shares[at] == share:
                number, rank = pieces.numbers[at], pieces.rank
                runs.setdefault(rank, []).append((pieces.block, number))
                sizes[rank] = sizes.get(rank, 0) + pieces.block.piece_size(number)
                at += 1
        return tuple(Run(rank, tuple(found), sizes[rank]) for rank, found in runs.items())
