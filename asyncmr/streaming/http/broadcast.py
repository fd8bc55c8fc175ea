"""What each epoch changes, told to everybody who subscribed; a slow subscriber is dropped, not waited for.

The stream is asked for its changes only while somebody wants them, and a little longer, so that a subscriber whose
connection broke finds what it missed. All share the bytes of an event; what waits for each has a bound of its own.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from itertools import islice

from starlette.exceptions import HTTPException

from asyncmr.kernel.results import plain
from asyncmr.streaming.http.encoding import dumped
from asyncmr.streaming.http.limits import Limits
from asyncmr.streaming.view import Update, View

# Changes in an event: half a millisecond to encode, then the loop is for others.
_PART = 500
# Seconds for which changes are kept when nobody is left, for those who come back.
LINGER = 30.0


def event(name: str, data: object, identity: str = "") -> bytes:
    """A server-sent event."""
    head = f"id: {identity}\n" if identity else ""
    return f"{head}event: {name}\ndata: {dumped(data)}\n\n".encode()


class _Mailbox:
    """What waits for one subscriber."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: deque[bytes] = deque()
        self._held = 0
        self._some = asyncio.Event()
        self.ended = False

    def put(self, message: bytes) -> bool:
        """Whether there was room; if not, all that waited is gone, and a notice is the last that it gets."""
        if self.ended:
            return True
        if self._held + len(message) <= self._limit:
            self._events.append(message)
            self._held += len(message)
            self._some.set()
            return True
        self._events.clear()
        self._events.append(
            event(
                "dropped",
                {"error": "you read too slowly and missed changes; get the totals and subscribe again"},
            )
        )
        self.end()
        return False

    def end(self) -> None:
        self.ended = True
        self._some.set()

    async def take(self) -> bytes | None:
        """The next events, joined; None at the end."""
        while not self._events:
            if self.ended:
                return None
            self._some.clear()
            await self._some.wait()
        some = b"".join(self._events)
        self._events.clear()
        self._held = 0
        return some


class Broadcast:
    """Tells the changes of a stream. `run` does the work, in a task of the owner's.

    `dropped`: how many subscribers were too slow.
    """

    def __init__(self, view: View, limits: Limits) -> None:
        self._view = view
        self._limits = limits
        self._life = secrets.token_hex(4)  # the numbers of another life of the process mean nothing here
        self._number = 0
        self._past: deque[bytes] = deque()
        self._past_bytes = 0
        self._mailboxes: set[_Mailbox] = set()
        self._seats = 0
        self._wanted = asyncio.Event()
        self.closing = asyncio.Event()
        self.dropped = 0

    @property
    def subscribers(self) -> int:
        """Who subscribes now, to changes or to the page's events."""
        return self._seats

    async def run(self) -> None:
        """Passes on what the stream changes, until it ends."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            until = 0.0
            async with aclosing(self._view.updates()) as updates:
                async for update in updates:
                    await self._tell(update)
                    if self._mailboxes:
                        until = loop.time() + LINGER
                    elif loop.time() > until:
                        self._wanted.clear()
                        break
                else:
                    self.close()
                    return
            # What happens until somebody comes again will be missing.
            self._past.clear()
            self._past_bytes = 0
            self._number += 1

    def close(self) -> None:
        """Ends all subscriptions, with what waits for them."""
        self.closing.set()
        for mailbox in self._mailboxes:
            mailbox.end()

    @contextmanager
    def seat(self) -> Iterator[None]:
        """One of the places for subscribers.

        Raises:
            HTTPException: 503 when all are taken.
        """
        if self.closing.is_set():
            raise HTTPException(503, "the stream is ending; try again in a moment", {"Retry-After": "5"})
        if self._seats >= self._limits.subscribers:
            raise HTTPException(
                503, f"there are {self._seats} subscribers, which is all there may be", {"Retry-After": "5"}
            )
        self._seats += 1
        try:
            yield
        finally:
            self._seats -= 1

    async def changes(self, last: str, heartbeat: float = 15.0) -> AsyncGenerator[bytes, None]:
        """The events behind the one that `last` names, and those to come; a comment when there is none for a while."""
        mailbox = _Mailbox(self._limits.subscriber_bytes)
        missed = self._behind(last)
        self._mailboxes.add(mailbox)
        self._wanted.set()
        try:
            yield b"retry: 2000\n\n"
            if missed is None:
                yield event(
                    "reset",
                    {"error": "changes are missing here; get the totals"},
                    self._name(self._number),
                )
            else:
                for message in missed:
                    yield message
            while True:
                try:
                    async with asyncio.timeout(heartbeat):
                        some = await mailbox.take()
                except TimeoutError:
                    some = b":\n\n"
                if some is None:
                    return
                yield some
        finally:
            self._mailboxes.discard(mailbox)

    async def _tell(self, update: Update) -> None:
        changes = iter(update.changes)
        while part := [[plain(key), plain(value)] for key, value in islice(changes, _PART)]:
            self._number += 1
            data = {"epoch": update.epoch, "window": update.window, "changes": part, "final": update.final}
            message = event("changes", data, self._name(self._number))
            self._remember(message)
            for mailbox in self._mailboxes:
                self.dropped += not mailbox.put(message)
            await asyncio.sleep(0)

    def _remember(self, message: bytes) -> None:
        self._past.append(message)
        self._past_bytes += len(message)
        while self._past_bytes > self._limits.replay_bytes:
            self._past_bytes -= len(self._past.popleft())

    def _name(self, number: int) -> str:
        return f"{self._life}-{number}"

    def _behind(self, last: str) -> list[bytes] | None:
        """Past events behind `last`: none for a newcomer; None when some of them are gone."""
        if not last:
            return []
        life, _, number = last.partition("-")
        if life != self._life or not (number.isascii() and number.isdecimal() and len(number) < 19):
            return None
        first = self._number - len(self._past)
        if not first <= int(number) <= self._number:
            return None
        return list(islice(self._past, int(number) - first, None))
