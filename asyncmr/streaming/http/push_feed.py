"""The feed of a stream that others push lines into: HTTP requests, or the program that embeds the stream.

What was pushed is held until it is durable, and counted in bytes until then: a full feed refuses. A stream that opens
its feed again gets what was not committed, once more and in the same order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from asyncmr.errors import AsyncMRError, ClosedError, UsageError
from asyncmr.streaming.feed import Batch, Guarantee, Position, Surroundings

# Where a request is cut is part of the tokens of its pieces: with another size, one that is repeated after an upgrade
# would be counted twice.
PIECE_BYTES = 1 << 20


class PushFull(AsyncMRError):
    """No room for more lines until the stream has committed some of those that wait.

    Nothing was taken. `held`, `capacity`: in bytes.
    """

    def __init__(self, message: str, *, held: int = 0, capacity: int = 0) -> None:
        super().__init__(message)
        self.held = held
        self.capacity = capacity


@dataclass(eq=False, slots=True)
class _Push:
    """What one call pushed. `left`: how many of its pieces are not durable."""

    size: int
    token: str | None
    durable: asyncio.Future[None]
    left: int = 0


@dataclass(eq=False, slots=True)
class _Piece:
    push: _Push
    data: bytes
    token: str | None
    committed: bool = False


class PushFeed:
    """Lines that are pushed into a stream. For the thread of its loop only.

        lines = PushFeed()
        ...  # a stream with `lines` among its feeds
        await lines.push(b"to be or not to be\\n", token="request 1")

    `capacity`: bytes that may wait to be durable. With a token a push is counted once, however often it is repeated;
    without, one that is repeated since its answer got lost is counted again.
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
            UsageError: a line is longer than `line_limit`.
            ClosedError: the feed was closed.
        """
        self._refuse_when_closed()
        if token is not None and (before := self._pushes.get(token)) is not None:
            return asyncio.shield(before.durable)
        if data and not data.endswith(b"\n"):
            data += b"\n"
        self._refuse_long_lines(data)
        push = _Push(len(data), token, asyncio.get_running_loop().create_future())
        # Whoever waits may go away: an error that nobody is left to hear of is not worth a warning.
        push.durable.add_done_callback(lambda done: done.cancelled() or done.exception())
        if not data:
            push.durable.set_result(None)
            return push.durable
        self.reserve(len(data))
        for number, piece in enumerate(pieces(data)):
            name = None if token is None else f"{token}#{number}"
            self._pieces.append(_Piece(push, piece, name))
            push.left += 1
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
                yield Batch(
                    data=piece.data,
                    partition="",
                    position=None,
                    time=surroundings.clock.time(),
                    token=piece.token,
                    committed=self._committer(piece),
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

    def _committer(self, piece: _Piece) -> Callable[[], None]:
        return lambda: self._commit(piece)

    def _commit(self, piece: _Piece) -> None:
        if piece.committed:
            return
        piece.committed = True
        piece.push.left -= 1
        while self._pieces and self._pieces[0].committed:
            done = self._pieces.popleft()
            self._given = max(0, self._given - 1)
            self.release(len(done.data))
        if not piece.push.left:
            if piece.push.token is not None:
                self._pushes.pop(piece.push.token, None)
            if not piece.push.durable.done():
                piece.push.durable.set_result(None)

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
