"""An actor: takes items from an inbox, handles them, emits others to an outbox.

Its life, which a `Crew` leads: `start`, then `handle` for each item (or `produce`, for a source), then
`finish` when the inbox has ended and every item is handled; then its outbox is closed. If any of these
raises, or the actor is cancelled, `abort` is called instead of the rest.

Only an actor that has finished closes its outbox. One that failed leaves it open until the crew has
cancelled everybody, since the next actor would take the end of the stream for the end of the data, and
commit half of it.

With `concurrency` n, n lanes iterate the inbox. A lane receives its next item when its last one is handled,
so there are never more than n items in the actor: that is the backpressure. Items start in order and may
end in any.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Generic, Literal, Self, TypeVar

from asyncmr.actors.channel import Receiver, Sender
from asyncmr.actors.scope import TaskScope
from asyncmr.errors import UsageError

In = TypeVar("In")
Out = TypeVar("Out")

ActorState = Literal["new", "running", "finishing", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class ActorStats:
    """An actor at one moment.

    `handling`: items inside `handle` now. `waiting`: "receive" when it has nothing to do, "emit" when all
    that it does is wait for room in its outbox, else None.
    """

    name: str
    state: ActorState
    handled: int
    handling: int
    waiting: Literal["receive", "emit"] | None
    emitted: int
    emitted_bytes: int


class Actor(Generic[In, Out]):
    """Base class. Override `handle` (or, in a source, `produce`), and of the other hooks what you need.

    `concurrency`: how many `handle` may run at once; set it in the class or before the actor starts.
    """

    concurrency: int = 1

    def __init__(self, name: str) -> None:
        self.name = name
        self.inbox: Receiver[In] | None = None
        self.outbox: Sender[Out] | None = None
        self._state: ActorState = "new"
        self._receiving = False
        self._handled = 0
        self._handling = 0
        self._emitting = 0
        self._emitted = 0
        self._emitted_bytes = 0

    def connect(self, *, inbox: Receiver[In] | None = None, outbox: Sender[Out] | None = None) -> Self:
        """Hands the ends over; its crew closes them. A source has no inbox, a sink no outbox."""
        if inbox is not None:
            self.inbox = inbox
        if outbox is not None:
            self.outbox = outbox
        return self

    async def start(self) -> None:
        """Called once, before the first item."""

    async def handle(self, item: In) -> None:
        """Called for each item of the inbox."""
        raise NotImplementedError(
            f"actor {self.name!r} has an inbox, so {type(self).__name__} must define handle()"
        )

    async def produce(self) -> None:
        """Called once, in place of `handle`, in an actor without an inbox."""
        raise NotImplementedError(
            f"actor {self.name!r} has no inbox, so {type(self).__name__} must define produce()"
        )

    async def finish(self) -> None:
        """Called once, when the inbox has ended and every item is handled; may still emit."""

    async def abort(self) -> None:
        """Called in place of `finish` when the actor failed or was cancelled: release what you hold, briefly.

        It is shielded from cancellation, runs after the last `handle` has ended, and also when `start`
        failed half-way.
        """

    async def emit(self, item: Out, size: int) -> None:
        """Sends `item`, of `size` bytes, to the outbox; waits until that has room.

        Raises:
            UsageError: the actor is a sink.
            ChannelClosed: nobody receives any more.
        """
        if self.outbox is None:
            raise UsageError(
                f"actor {self.name!r} has no outbox to emit to; connect(outbox=...) before it starts"
            )
        self._emitting += 1
        try:
            await self.outbox.send(item, size)
        finally:
            self._emitting -= 1
        self._emitted += 1
        self._emitted_bytes += size

    def stats(self) -> ActorStats:
        """What the actor has done and is doing, now."""
        waiting: Literal["receive", "emit"] | None = None
        if self._emitting and self._emitting >= self._handling:
            waiting = "emit"
        elif self._receiving and not self._handling:
            waiting = "receive"
        return ActorStats(
            name=self.name,
            state=self._state,
            handled=self._handled,
            handling=self._handling,
            waiting=waiting,
            emitted=self._emitted,
            emitted_bytes=self._emitted_bytes,
        )

    async def run(self) -> None:
        """Lives the life up to `finish`, once. For the crew, which sees to `abort` and to failures."""
        if self._state != "new":
            raise UsageError(f"actor {self.name!r} has run already; make a new one")
        if self.concurrency < 1:
            raise UsageError(f"actor {self.name!r}: concurrency is {self.concurrency}; give it at least 1")
        self._state = "running"
        try:
            await self.start()
            if self.inbox is None:
                await self.produce()
            else:
                await self._handle_all(self.inbox)
            self._state = "finishing"
            await self.finish()
        except asyncio.CancelledError:
            self._state = "cancelled"
            raise
        except BaseException:
            self._state = "failed"
            raise
        self._state = "done"
        if self.outbox is not None:
            self.outbox.close()

    async def _handle_all(self, inbox: Receiver[In]) -> None:
        async def lane() -> None:
            async for item in inbox:
                self._handling += 1
                try:
                    await self.handle(item)
                finally:
                    self._handling -= 1
                self._handled += 1

        self._receiving = True
        try:
            async with TaskScope() as lanes:
                for number in range(self.concurrency):
                    lanes.spawn(lane, name=f"{self.name}[{number}]")
        finally:
            self._receiving = False
