from __future__ import annotations

import sys
from array import array

import pytest

from asyncmr.errors import UsageError
from asyncmr.storage.block import Block


def test_without_ends_a_block_is_one_piece() -> None:
    for data in (b"", b"abc"):
        block = Block(data)
        assert (block.pieces, block.size, block.span(0)) == (1, len(data), (0, len(data)))


def test_pieces_lie_one_behind_the_other_and_may_be_empty() -> None:
    block = Block(b"abcdef", [0, 4, 4, 6])
    assert [block.span(piece) for piece in range(4)] == [(0, 0), (0, 4), (4, 4), (4, 6)]
    assert [block.piece_size(piece) for piece in range(4)] == [0, 4, 0, 2]


@pytest.mark.parametrize("ends", [[], [2], [4], [2, 1, 3], [3, 2], [0]])
def test_ends_that_do_not_fit_are_refused(ends: list[int]) -> None:
    with pytest.raises(UsageError, match="3 bytes"):
        Block(b"abc", ends)


@pytest.mark.parametrize("piece", [-1, 2])
def test_a_piece_that_is_not_there_is_refused(piece: int) -> None:
    with pytest.raises(UsageError, match=f"no piece {piece} in a block of 2"):
        Block(b"abc", [1, 3]).span(piece)


def test_a_piece_takes_little_beside_its_bytes() -> None:
    pieces = 10_000
    block = Block(b"", array("I", bytes(4 * pieces)))
    assert sys.getsizeof(block.ends) + sys.getsizeof(block.wanted) < 5 * pieces
