"""The feed of a stream that others push lines into: HTTP requests, or the program that embeds the stream.

What was pushed is held until it is durable, and counted in bytes until then: a full feed refuses. A stream that opens
its feed again gets what was not committed, once more and in the same order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import partial

import xxhash

from asyncmr.errors import ClosedError, PushFull, TokenReused, UsageError
from asyncmr.streaming.feed import Batch, Guarantee, Position, Surroundings

# Where a request is cut is part of the tokens of its pieces: with another size, one that is repeated after an upgrade
# would be counted twice.
PIECE_BYTES = 1 << 20


@dataclass(eq=False, slots=True)
class _Push:
    """What one call pushed. `digest`: of its lines, if it has a token. `pieces`: those that are not durable."""

    token: str | None
    digest: str
    durable: asyncio.Future[None]
    pieces: deque[_Piece] = field(default_factory=deque)


@dataclass(eq=False, slots=True)
class _Piece:
    push: _Push
    number: int
    data: bytes
    committed: bool = False

    @property
    def token(self) -> str | None:
        return None if self.push.token is None else f"{self.push.token}#{self.number}"


class PushFeed:
    """Lines that are pushed into a stream. For the thread of its loop only.

        lines = PushFeed()
        ...  # a stream with `lines` among its feeds
        await lines.push(b"to be or not to be\\n", token="request 1")

    `capacity`: bytes that may wait to be durable. With a token a push is counted once, however often it is repeated
    within a day; without, one that is repeated since its answer got lost is counted again.
    """

    def __init__(
        self, name: str = "http:", *, capacity: int = 16 << 20, line_limit: int = PIECE_BYTES
    ) -> None:
        if capacity < 1:
            raise UsageError(f"the capacity of the feed {name!r} is {capacity} bytes; give it at least 1")
        if not 1 <= line_limit <= PIECE_BYTES:
            raise UsageError(f"line_limit is {line_limit} bytes; it may be 1 to {PIECE_BYTES:,}")
        self.name = name
        self.guarantee: Guarantee = "exactly-once"
        self.capacity = capacity
        self.line_limit = line_limit
        self.held = 0
        self._pieces: deque[_Piece] = deque()  # in order of arrival, until durable
        self._given = 0  # how many of them the stream has
        self._more = asyncio.Event()
        self._pushes: dict[str, _Push] = {}
        self._closed = False

    @property
    def lag(self) -> int:
        """Bytes that were pushed, or are on their way, and are not durable."""
        return self.held

    def reserve(self, size: int) -> None:
        """Takes room for `size` bytes that are on their way. Give it back by `release`.

        Raises:
            PushFull: there is none.
            ClosedError: the feed was closed.
        """
        self._refuse_when_closed()
        if self.held and self.held + size > self.capacity:
            raise PushFull(
                f"{self.held:,} of {self.capacity:,} bytes wait to be committed, which leaves no room for {size:,} "
                "more; try again in a moment",
                held=self.held,
                capacity=self.capacity,
            )
        self.held += size

    def release(self, size: int) -> None:
        """Gives back what `reserve` took."""
        self.held -= size

    def push(self, data: bytes, token: str | None = None) -> asyncio.Future[None]:
        """Takes whole lines in; the last may lack its line end. Returns a future that is done when they are durable.

        To cancel the future takes nothing back. A token that is on its way already gets the future of its first push.

        Raises:
            PushFull: there is no room; nothing was taken.
            TokenReused: the token came with other lines before; where those are durable, the future raises this.
            UsageError: a line is longer than `line_limit`.
            ClosedError: the feed was closed.
        """
        self._refuse_when_closed()
        digest = "" if token is None else xxhash.xxh3_128_hexdigest(data)
        if token is not None and (before := self._pushes.get(token)) is not None:
            if before.digest != digest:
                raise _reused(token)
            return asyncio.shield(before.durable)
        if data and not data.endswith(b"\n"):
            data += b"\n"
        self._refuse_long_lines(data)
        push = _Push(token, digest, asyncio.get_running_loop().create_future())
        # Whoever waits may go away: an error that nobody is left to hear of is not worth a warning.
        push.durable.add_done_callback(lambda done: done.cancelled() or done.exception())
        if not data:
            push.durable.set_result(None)
            return push.durable
        self.reserve(len(data))
        push.pieces.extend(_Piece(push, number, piece) for number, piece in enumerate(pieces(data)))
        self._pieces.extend(push.pieces)
        if token is not None:
            self._pushes[token] = push
        self._more.set()
        return asyncio.shield(push.durable)

    async def batches(
        self, positions: Mapping[str, Position], surroundings: Surroundings
    ) -> AsyncGenerator[Batch, None]:
        """What was pushed and is not durable, and then what comes, until the feed is closed."""
        self._given = 0
        while True:
            while self._given < len(self._pieces):
                piece = self._pieces[self._given]
                self._given += 1
                if piece.committed:
                    continue
                now = surroundings.clock.time()
                if piece.token is not None and piece.number == 0:
                    # What tells a push that is repeated from another with its token. Committed before the lines are,
                    # or with them.
                    mark = f"{piece.push.token}={piece.push.digest}"
                    if await surroundings.known(self.name, piece.token) and not await surroundings.known(
                        self.name, mark
                    ):
                        self._refuse(piece.push)
                        continue
                    yield Batch(b"", "", None, now, token=mark)
                yield Batch(
                    piece.data, "", None, now, token=piece.token, committed=partial(self._commit, piece)
                )
            if self._closed:
                return
            self._more.clear()
            await self._more.wait()

    def close(self) -> None:
        """Takes no more. What was pushed is still given to the stream, and then its feed ends."""
        self._closed = True
        self._more.set()

    def abandon(self) -> None:
        """Closes, and tells everybody who waits that it is not known whether the lines were taken in."""
        self.close()
        for piece in self._pieces:
            if not piece.push.durable.done():
                piece.push.durable.set_exception(
                    ClosedError("the stream ended before the lines were known to be durable; push them again")
                )
        self.release(sum(len(piece.data) for piece in self._pieces))
        self._pieces.clear()
        self._pushes.clear()
        self._given = 0

    def _commit(self, piece: _Piece) -> None:
        if piece.committed:
            return
        piece.committed = True
        push = piece.push
        push.pieces.remove(piece)
        while self._pieces and self._pieces[0].committed:
            done = self._pieces.popleft()
            self._given = max(0, self._given - 1)
            self.release(len(done.data))
        if not push.pieces:
            if push.token is not None:
                self._pushes.pop(push.token, None)
            if not push.durable.done():
                push.durable.set_result(None)

    def _refuse(self, push: _Push) -> None:
        if not push.durable.done():
            push.durable.set_exception(_reused(push.token))
        for piece in tuple(push.pieces):
            self._commit(piece)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ClosedError(
                "the stream takes no more lines, since it is ending; push them again when it is back"
            )

    def _refuse_long_lines(self, data: bytes) -> None:
        start = 0
        while len(data) - start > self.line_limit:
            end = data.rfind(b"\n", start, start + self.line_limit + 1)
            if end < 0:
                number = data.count(b"\n", 0, start) + 1
                raise UsageError(
                    f"line {number} is longer than {self.line_limit:,} bytes, and nothing was taken; "
                    "is a line end missing?"
                )
            start = end + 1


def _reused(token: str | None) -> TokenReused:
    return TokenReused(
        f"the token {token!r} came before, with other lines, and nothing was taken; give each set of lines a token of "
        "its own",
        token=token or "",
    )


def pieces(data: bytes) -> list[bytes]:
    """Whole lines, none longer than `PIECE_BYTES`, in pieces of up to so many bytes. Depends on the data alone."""
    found = []
    start = 0
    while len(data) - start > PIECE_BYTES:
        end = data.rfind(b"\n", start, start + PIECE_BYTES) + 1
        if end <= start:  # the line end itself is one byte too far
            end = start + PIECE_BYTES + 1
        found.append(data[start:end])
        start = end
    if start < len(data):
        found.append(data[start:])
    return found
