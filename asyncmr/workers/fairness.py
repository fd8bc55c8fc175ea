"""Who gets the next free slot: the account that has used the least worker time.

Within one account the order is first come, first served. Time counts while a call runs, not only once it
has ended, so that a job with long tasks does not look idle. One that comes anew, or comes back, starts level with
whoever was served last: otherwise a fresh job would get every worker until it had used as much as an old one.
(Start-time fair queueing: Goyal, Vin, Cheng, 1996.)
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class Account:
    """The worker time of one job. `used_seconds` covers the calls that have ended."""

    __slots__ = ("__weakref__", "_ahead", "_running", "_since", "name", "used_seconds")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.used_seconds = 0.0
        self._running = 0
        self._since = 0.0  # the sum of the start times of the calls that run now
        self._ahead = 0.0  # what it was given on top, to start level with others

    def __repr__(self) -> str:
        return f"<Account {self.name!r} used_seconds={self.used_seconds:.3f}>"

    @property
    def running(self) -> int:
        """How many calls run now."""
        return self._running

    def begin(self, now: float) -> None:
        self._running += 1
        self._since += now

    def end(self, begun: float, now: float) -> None:
        self._running -= 1
        self._since -= begun
        self.used_seconds += now - begun

    def used(self, now: float) -> float:
        """Seconds of worker time up to `now`, calls under way and what it started with included."""
        return self.used_seconds + self._running * now - self._since + self._ahead

    def start(self, level: float, now: float) -> None:
        """Raises what an idle account has used to `level`."""
        if not self._running:
            self._ahead += max(0.0, level - self.used(now))


class FairQueue(Generic[T]):
    """Futures that wait for a `T`, by account."""

    def __init__(self) -> None:
        self._waiting: dict[Account, deque[asyncio.Future[T]]] = {}
        self._level = 0.0  # what the account had used that was served last

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def join(self, account: Account) -> asyncio.Future[T]:
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if account not in self._waiting:
            account.start(self._level, monotonic())
        self._waiting.setdefault(account, deque()).append(waiter)
        return waiter

    def serve(self, account: Account) -> None:
        """Notes that this account was served, without waiting."""
        now = monotonic()
        account.start(self._level, now)
        self._level = max(self._level, account.used(now))

    def leave(self, account: Account, waiter: asyncio.Future[T]) -> None:
        """Forgets a waiter that gave up; harmless once it was served."""
        line = self._waiting.get(account)
        if line is not None and waiter in line:
            line.remove(waiter)
            if not line:
                del self._waiting[account]

    def pop(self) -> asyncio.Future[T] | None:
        """The waiter to serve next, or None when nobody waits."""
        now = monotonic()
        while self._waiting:
            account = min(self._waiting, key=lambda account: account.used(now))
            line = self._waiting[account]
            waiter = line.popleft()
            if not line:
                del self._waiting[account]
            if not waiter.done():
                self._level = max(self._level, account.used(now))
                return waiter
        return None
