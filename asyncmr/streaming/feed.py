"""Feeds: where the lines of a stream come from, and how far each has been read.

A feed gives batches of whole lines, each with the position behind it. The stream commits that position together with
what it made of the batch, in one transaction, so that a restart goes on exactly there: what a batch did is in the
state once, however often the process died.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from asyncmr.storage.disk import Disk

Position = Any
"""JSON-able: what a feed needs to go on behind what it gave."""

Guarantee = Literal["exactly-once", "at-most-once"]


class Clock(Protocol):
    """The time of a stream. Tests bring their own."""

    def time(self) -> float:
        """Seconds since the epoch."""

    async def sleep(self, seconds: float, /) -> None:
        """Returns when so many seconds have passed."""


class SystemClock:
    """The time of this machine."""

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


class Origin(NamedTuple):
    """Where lines are in a file: its path, and the byte at which they begin, of its text if it is compressed."""

    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Some whole lines.

    `data`: they, each with its line end. `partition`: which file, connection or topic partition they are of; positions
    and watermarks are kept for each. `position`: behind the batch; None from a feed that cannot go back. `time`: when
    it was read, in seconds since the epoch, by the stream's clock. `token`: an idempotency key: a batch whose token
    was committed before is dropped. `committed`: called on the loop when the epoch with the batch is durable. `origin`:
    where the lines are, if they are in a file; errors name them by it.
    """

    data: bytes
    partition: str
    position: Position | None
    time: float
    token: str | None = None
    committed: Callable[[], None] | None = None
    origin: Origin | None = None


async def _unknown(_feed: str, _token: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a stream lends to its feeds and sinks. A line longer than `line_limit` is never held whole. `durable`: what
    is committed must outlive a power failure. `known`: whether a batch of this feed with this token was committed."""

    disk: Disk
    clock: Clock
    batch_bytes: int = 1 << 20
    line_limit: int = 1 << 20
    durable: bool = True
    known: Callable[[str, str], Awaitable[bool]] = _unknown


class Feed(Protocol):
    """Where the lines of a stream come from.

    `name`: unique in a stream and stable over restarts, as "tail:/var/log/x". `guarantee`: "exactly-once" for a feed
    whose batches have positions.
    """

    @property
    def name(self) -> str:
        """What errors and the state call the feed."""

    @property
    def guarantee(self) -> Guarantee:
        """What a restart does to its lines."""

    def batches(
        self, positions: Mapping[str, Position], surroundings: Surroundings, /
    ) -> AsyncGenerator[Batch, None]:
        """Batches from behind the committed positions on, which are given by partition.

        It ends where the input ends (standard input, say), or never. It is pulled only while the stream has room.
        """
