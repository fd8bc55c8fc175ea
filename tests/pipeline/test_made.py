"""What is said of stored runs is what the worker said of them, however it is kept."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.pipeline.made import Made
from asyncmr.storage.block import Block

SHARES = st.lists(st.integers(0, 20), max_size=20).map(sorted)


def stored(shares):
    made = Made(None, None, 1)  # type: ignore[arg-type]
    block = Block(b"x" * len(shares), array("I", range(1, len(shares) + 1)) if shares else None)
    made.runs.append((0, block, array("I", shares)))
    (pieces,) = made.stored(7)
    return pieces


@given(SHARES)
def test_each_piece_keeps_its_share(shares):
    pieces = stored(shares)
    assert list(pieces.shares) == shares
    assert list(pieces.numbers) == list(range(len(shares)))


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_a_run_with_something_for_each_share_takes_no_room_for_that(first, number):
    assert stored(list(range(first, first + number))).shares == range(first, first + number)
