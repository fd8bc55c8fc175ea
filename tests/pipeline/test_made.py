"""What an attempt writes to its parts: all that its worker sent, in bits that do not hold the loop."""

from __future__ import annotations

from mmap import mmap
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.connectors.memory import Collected
from asyncmr.pipeline import made
from asyncmr.pipeline.made import Made

MOST = 10  # bytes at a time


def mapped(data: bytes) -> mmap:
    piece = mmap(-1, len(data))
    piece.write(data)
    return piece


PIECES = st.lists(st.one_of(st.binary(max_size=30), st.binary(min_size=1, max_size=30).map(mapped)))


@given(PIECES)
async def test_a_part_gets_every_byte_in_order_and_few_at_a_time(pieces):
    sink = Collected()
    attempt = Made(None, sink, 1)  # type: ignore[arg-type]  # it stores nothing
    with patch.object(made, "READ_BYTES", MOST):
        await attempt.take([(("out", 0), piece) for piece in pieces])
    written = attempt.parts[0].chunks if pieces else []  # type: ignore[attr-defined]
    assert b"".join(written) == b"".join(pieces)
    whole = [piece for piece in pieces if isinstance(piece, bytes)]
    assert all(len(some) <= MOST or some in whole for some in written)
