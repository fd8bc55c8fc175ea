"""How a stream of bytes is cut into splits of about `split_bytes`, each of whole records.

A split is the first `split_bytes` of what is left of the stream, up to the last end of a record therein. If there is
none, one slice after the other is added until a record ends. So the cut depends on the contents alone, and the
bytes behind it, which the next split begins with, are fewer than `split_bytes`.

The bytes are read in threads, a slice at a time, into the buffer that the worker reads from. The event
loop sees of them only what lies behind the last record of each slice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from asyncmr.protocols import Buffer, Buffers, Piece, Split

SPLIT_BYTES = 8 << 20
"""The best of what was measured: twice that falls out of the cache and leaves workers idle at the end."""

SLICE_BYTES = 1 << 20
"""What is read in one trip to a thread: long enough to pay for the trip, short enough to cancel."""


class ByteStream(Protocol):
    """Records as bytes, one behind the other."""

    @property
    def left(self) -> int:
        """No more bytes than this are to come; 0 at the end."""

    async def read(self, view: memoryview, at: int, stop: int, pieces: list[Piece]) -> int:
        """Fills `view[at:stop]`, or less only at the end; returns where it ends, and adds to `pieces` what is there."""

    def last_end(self, view: memoryview, start: int, stop: int) -> int:
        """The position behind the last record that ends in `view[start:stop]`, which was read just now; or 0."""

    async def close(self) -> None:
        """Closes what is open."""


async def splits_of(
    stream: ByteStream, buffers: Buffers, split_bytes: int = SPLIT_BYTES
) -> AsyncGenerator[Split, None]:
    """The splits of a stream, which is closed at the end. Their buffers belong to whoever takes them."""
    index, tail, pieces = 0, b"", list[Piece]()
    try:
        while tail or stream.left:
            buffer = await buffers.lease(min(split_bytes, len(tail) + stream.left))
            try:
                filled, cut = await _fill(buffer, stream, split_bytes, tail, pieces)
                # Copied out, not into the next buffer: to wait for one while holding one would deadlock.
                tail = bytes(buffer.view[cut:filled])
                behind = _behind(pieces, cut, buffer.view) if tail else []
            except BaseException:
                buffer.release()
                raise
            if not filled:  # the end of a stream that did not know how long it is
                buffer.release()
                return
            inside = tuple(piece for piece in pieces if piece.start < cut)
            yield Split(index, cut, buffer=buffer, pieces=inside)
            index, pieces = index + 1, behind
    finally:
        await stream.close()


async def _fill(
    buffer: Buffer, stream: ByteStream, split_bytes: int, tail: bytes, pieces: list[Piece]
) -> tuple[int, int]:
    """Fills a buffer with the tail and what comes next; returns where it ends, and where its last record does."""
    filled, cut, limit = len(tail), 0, split_bytes
    buffer.view[:filled] = tail
    while stream.left and (filled < limit or not cut):
        if filled == limit:
            limit += min(SLICE_BYTES, split_bytes)
            needed = min(limit, filled + stream.left)
            if needed > len(buffer.view):
                await buffer.grow(max(needed, min(2 * len(buffer.view), filled + stream.left)))
        view = buffer.view
        stop = min(limit, filled + min(SLICE_BYTES, stream.left))
        start, filled = filled, await stream.read(view, filled, stop, pieces)
        cut = stream.last_end(view, start, filled) or cut
    return filled, cut if stream.left else filled


def _behind(pieces: list[Piece], cut: int, view: memoryview) -> list[Piece]:
    """The pieces of what lies behind `cut`, as they lie once that is moved to the front."""
    last = max(number for number, piece in enumerate(pieces) if piece.start <= cut)
    first = pieces[last]
    offset, line = first.offset, first.line
    if offset is not None:
        offset += cut - first.start
    if line is not None:
        line += bytes(view[first.start : cut]).count(b"\n")
    moved = [Piece(first.path, offset, 0, line)]
    return moved + [
        Piece(piece.path, piece.offset, piece.start - cut, piece.line) for piece in pieces[last + 1 :]
    ]


def behind_last_newline(view: memoryview, start: int, stop: int) -> int:
    """The position behind the last newline of `view[start:stop]`, or 0."""
    step = 4096
    while start < stop:
        begin = max(start, stop - step)
        at = bytes(view[begin:stop]).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        stop, step = begin, min(2 * step, SLICE_BYTES)
    return 0
