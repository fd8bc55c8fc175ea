"""Bounded channels with two ends, counted in bytes.

An unbounded asyncio.Queue holds the items and lets receivers wait. The bound is ours and stands at the
sending end: an item is let in when the bytes held and its own fit the capacity, or when nothing is held, so
that an item larger than the whole channel passes alone instead of waiting for ever. Senders that find no
room stand in one line, and only the head of the line may enter: a small item that overtook a large one
would starve it.

What holds at every await, whoever is cancelled there:

- A cancelled `send` has not sent: the item is put by the sender's own task, after its last await.
- A cancelled receive has taken nothing: an item leaves the queue only in the step that returns it.
- The bytes of an item are free again as soon as it is received.

Every send and every receive yields to the loop at least once, so that two ends that never have to wait for
each other do not keep the loop from everybody else. Both ends belong to one loop and are not safe to use
from other threads.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from asyncmr.errors import ClosedError, UsageError

T = TypeVar("T")


class ChannelClosed(ClosedError):
    """This end was closed, or the other end was and nothing can pass any more."""


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """A channel at one moment.

    `items` and `bytes` are held now, `total_items` and `total_bytes` were let in since it was opened.
    `closed`: nothing more can be sent.
    """

    name: str
    capacity: int
    items: int
    bytes: int
    senders: int
    waiting_senders: int
    waiting_receivers: int
    closed: bool
    total_items: int
    total_bytes: int


@dataclass(eq=False, slots=True)
class _Turn:
    """A send that stands in line; `ready` is set when it may look again."""

    sender: object
    charge: int
    ready: asyncio.Future[None]

    def call(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)


class Channel(Generic[T]):
    """What the two ends share. Made by `open_channel`; the owner of an end needs only `stats`."""

    def __init__(self, name: str, capacity: int, dropped: Callable[[T], object] | None = None) -> None:
        if capacity <= 0:
            raise UsageError(f"channel {name!r}: capacity is {capacity} bytes; give it at least 1")
        self.name = name
        self.capacity = capacity
        # None marks the end. It is never handed out: the receiver that meets it puts it back for the others.
        self._queue: asyncio.Queue[tuple[T, int] | None] = asyncio.Queue()
        self._dropped = dropped
        self._line: deque[_Turn] = deque()
        self._held = 0
        self._senders = 0
        self._waiting_receivers = 0
        self._ended = False
        self._receiver_closed = False
        self._failure: Exception | None = None
        self._total_items = 0
        self._total_bytes = 0

    def stats(self) -> ChannelStats:
        """What the channel holds and who waits at it, now."""
        return ChannelStats(
            name=self.name,
            capacity=self.capacity,
            items=self._queue.qsize() - self._ended,
            bytes=self._held,
            senders=self._senders,
            waiting_senders=len(self._line),
            waiting_receivers=self._waiting_receivers,
            closed=self._ended,
            total_items=self._total_items,
            total_bytes=self._total_bytes,
        )

    def _fits(self, charge: int) -> bool:
        return self._held == 0 or self._held + charge <= self.capacity

    def _put(self, item: T, charge: int) -> None:
        self._held += charge
        self._total_items += 1
        self._total_bytes += charge
        self._queue.put_nowait((item, charge))

    def _release(self, charge: int) -> None:
        self._held -= charge
        self._call_head()

    def _call_head(self) -> None:
        if self._line and self._fits(self._line[0].charge):
            self._line[0].call()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._queue.put_nowait(None)

    def _end_at_once(self) -> None:
        """Drops what is held and calls everybody who waits at either end."""
        while not self._queue.empty():
            entry = self._queue.get_nowait()
            if entry is not None and self._dropped is not None:
                self._dropped(entry[0])
        self._held = 0
        self._ended = False
        self._end()
        for turn in self._line:
            turn.call()


class Sender(Generic[T]):
    """The sending end. Close it, or use it in `with`; each clone is closed by itself.

    Leaving `with` by an exception fails the channel, since what was sent until then is not the whole.
    """

    def __init__(self, channel: Channel[T]) -> None:
        self._closed = False
        self.channel = channel
        channel._senders += 1

    async def send(self, item: T, size: int) -> None:
        """Sends `item`, which counts as `size` bytes (an empty one as 1, so that these are bounded too).

        Waits, in the order of the calls, until the channel has room. Cancelled, it has not sent.

        Raises:
            ChannelClosed: this sender or the receiver is closed (also while it waits), or another sender
            failed.
        """
        channel = self.channel
        if size < 0:
            raise UsageError(f"channel {channel.name!r}: an item of {size} bytes was sent; sizes start at 0")
        charge = max(size, 1)
        await asyncio.sleep(0)
        self._check()
        if not channel._line and channel._fits(charge):
            channel._put(item, charge)
            return
        turn = _Turn(self, charge, asyncio.get_running_loop().create_future())
        channel._line.append(turn)
        try:
            await turn.ready
            self._check()
            channel._put(item, charge)
        finally:
            channel._line.remove(turn)
            channel._call_head()

    def clone(self) -> Sender[T]:
        """Another sender of the same channel; the stream ends when the last of them is closed."""
        if self._closed:
            raise ChannelClosed(f"channel {self.channel.name!r}: a closed sender cannot be cloned")
        return Sender(self.channel)

    def close(self) -> None:
        """Ends this sender's part of the stream; its sends that wait raise `ChannelClosed`. Idempotent."""
        if self._closed:
            return
        self._closed = True
        channel = self.channel
        channel._senders -= 1
        for turn in channel._line:
            if turn.sender is self:
                turn.call()
        if channel._senders == 0:
            channel._end()

    def fail(self, error: Exception) -> None:
        """Ends the whole channel by `error` and closes this sender: what is held is dropped, and receiving
        raises `error`.

        The first failure stays. On a sender that is closed already this does nothing.
        """
        if self._closed:
            return
        channel = self.channel
        if channel._failure is None and not channel._receiver_closed:
            channel._failure = error
            channel._end_at_once()
        self.close()

    def stats(self) -> ChannelStats:
        return self.channel.stats()

    def _check(self) -> None:
        channel = self.channel
        if self._closed:
            raise ChannelClosed(f"channel {channel.name!r}: this sender is closed; send before closing it")
        if channel._receiver_closed:
            raise ChannelClosed(
                f"channel {channel.name!r}: its receiver is closed, so nobody can take what is sent"
            )
        if channel._failure is not None:
            raise ChannelClosed(f"channel {channel.name!r}: another sender failed") from channel._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.fail(error)
        elif error is not None:
            self.fail(
                ChannelClosed(f"channel {self.channel.name!r}: its sender was left by {type(error).__name__}")
            )
        self.close()

    def __del__(self) -> None:
        if not self._closed:
            message = f"a sender of channel {self.channel.name!r} was never closed"
            warnings.warn(message, ResourceWarning, stacklevel=1, source=self)


class Receiver(Generic[T]):
    """The receiving end: iterate it, and close it, or use it in `with`.

    Several tasks may iterate the same receiver; each item goes to one of them. The iteration ends when
    every sender is closed and every item taken; it raises what a sender failed with, and `ChannelClosed`
    after `close`.
    """

    def __init__(self, channel: Channel[T]) -> None:
        self._closed = False
        self.channel = channel

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        channel = self.channel
        await asyncio.sleep(0)
        channel._waiting_receivers += 1
        try:
            entry = await channel._queue.get()
        finally:
            channel._waiting_receivers -= 1
        if entry is not None:
            item, charge = entry
            channel._release(charge)
            return item
        channel._queue.put_nowait(None)
        if self._closed:
            raise ChannelClosed(f"channel {channel.name!r}: this receiver is closed")
        if channel._failure is not None:
            raise channel._failure
        raise StopAsyncIteration

    def close(self) -> None:
        """Drops what is held; sends, also those that wait, then raise `ChannelClosed`. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.channel._receiver_closed = True
        self.channel._end_at_once()

    def stats(self) -> ChannelStats:
        return self.channel.stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._closed:
            message = f"the receiver of channel {self.channel.name!r} was never closed"
            warnings.warn(message, ResourceWarning, stacklevel=1, source=self)


def open_channel(
    name: str,
    capacity: int,
    items: type[T] | None = None,
    *,
    dropped: Callable[[T], object] | None = None,
) -> tuple[Sender[T], Receiver[T]]:
    """The two ends of a new channel that holds up to `capacity` bytes.

    `items` is for the type checker alone, which has nothing else to tell the type of the items by. `dropped` is
    called with each item that was sent and will never be received, so that what the item owns can be given back.
    """
    channel: Channel[T] = Channel(name, capacity, dropped)
    return Sender(channel), Receiver(channel)
