"""Whatever pieces are put on a shelf, and in whatever order, a share's runs come off it in the order of their rank."""

from array import array
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.pipeline.messages import Pieces
from asyncmr.pipeline.shelf import Shelf
from asyncmr.storage.block import Block

RANKS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), unique=True, max_size=8)


def stored(rank, shares):
    block = Block(b"x" * len(shares), array("I", range(1, len(shares) + 1)))
    return Pieces(rank, block, array("I", sorted(shares)), array("I", range(len(shares))))


@given(st.data(), RANKS)
def test_every_piece_is_taken_once_in_order(data, ranks):
    blocks = [
        stored(rank, data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=5)))
        for rank in ranks
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    want = defaultdict(list)
    for pieces in sorted(blocks, key=lambda pieces: pieces.rank):
        for share, number in zip(pieces.shares, pieces.numbers, strict=True):
            want[share].append((pieces.rank, (pieces.block, number)))
    mixed = data.draw(st.permutations(ranks))
    shelf = Shelf(pieces for rank in mixed for pieces in blocks if pieces.rank == rank)
    assert list(shelf.shares()) == sorted(want)
    for share in range(7):
        runs = shelf.take(share)
        assert [(run.rank, piece) for run in runs for piece in run.pieces] == want[share]
        assert [run.rank for run in runs] == sorted({run.rank for run in runs})


def test_a_share_without_runs_has_none():
    shelf = Shelf([stored((0, 0), [3])])
    assert shelf.take(1) == ()
    assert [run.rank for run in shelf.take(3)] == [(0, 0)]
    assert shelf.take(4) == ()


def test_the_size_of_a_run_is_that_of_its_pieces():
    pieces = stored((0, 0), [1, 1, 2])
    assert pieces.size == 3
    assert [run.size for run in Shelf([pieces]).take(1)] == [2]
