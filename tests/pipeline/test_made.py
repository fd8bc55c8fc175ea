"""What a worker sent, as its attempt keeps it: every byte in order, and what is said of the pieces of runs."""

from __future__ import annotations

from array import array
from mmap import mmap
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.connectors.memory import Collected
from asyncmr.pipeline import made
from asyncmr.pipeline.made import Made
from asyncmr.storage.block import Block

SHARES = st.lists(st.integers(0, 20), max_size=20).map(sorted)


def mapped(data: bytes) -> mmap:
    piece = mmap(-1, len(data))
    piece.write(data)
    return piece


PIECES = st.lists(st.one_of(st.binary(max_size=30), st.binary(min_size=1, max_size=30).map(mapped)))


@given(PIECES)
async def test_a_part_gets_every_byte_in_order_and_whole(pieces):
    """In one write, since a block of pairs must not be cut; in turns of a few bytes here."""
    attempt = Made(None, Collected(), 1)  # type: ignore[arg-type]  # it stores nothing
    with patch.object(made, "READ_BYTES", 10):
        await attempt.take([(("out", 0), piece) for piece in pieces])
    written = attempt.parts[0].chunks if pieces else []  # type: ignore[attr-defined]
    assert len(written) <= 1
    assert b"".join(written) == b"".join(pieces)


def stored(shares):
    attempt = Made(None, None, 1)  # type: ignore[arg-type]
    block = Block(b"x" * len(shares), array("I", range(1, len(shares) + 1)) if shares else None)
    attempt.runs.append((0, block, array("I", shares)))
    (pieces,) = attempt.stored(7)
    return pieces


@given(SHARES)
def test_each_piece_keeps_its_share(shares):
    pieces = stored(shares)
    assert list(pieces.shares) == shares
    assert list(pieces.numbers) == list(range(len(shares)))


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_a_run_with_something_for_each_share_takes_no_room_for_that(first, number):
    assert stored(list(range(first, first + number))).shares == range(first, first + number)
