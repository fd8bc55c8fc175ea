"""Feeds and clocks of tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal

from asyncmr.streaming.feed import Batch, Surroundings


class Listed:
    """Gives batches of lines from a list; the position is how many of the list were given. The stream has committed one
    before it gets the next, unless the next is of the same epoch: `epochs` says how many batches each has."""

    guarantee: Literal["exactly-once"] = "exactly-once"

    def __init__(self, batches: Sequence[bytes], epochs: Sequence[int] = (), name: str = "listed") -> None:
        self.name = name
        self._batches = batches
        self._epochs = epochs
        self.given = asyncio.Event()

    async def batches(
        self, positions: Mapping[str, Any], around: Surroundings
    ) -> AsyncGenerator[Batch, None]:
        at = first = positions.get("", 0)
        sizes = iter(self._epochs)
        while at < len(self._batches):
            waits = [asyncio.Event() for _ in range(next(sizes, 1))]
            for wait in waits[: len(self._batches) - at]:
                at += 1
                yield Batch(self._batches[at - 1], "", at, around.clock.time(), committed=wait.set)
            for wait in waits[: at - first]:
                await wait.wait()
            first = at
        self.given.set()


class Endless:
    """Gives what it has, and then waits for ever."""

    guarantee: Literal["exactly-once"] = "exactly-once"

    def __init__(self, *batches: bytes, name: str = "endless") -> None:
        self.name = name
        self._batches = batches
        self.durable = asyncio.Event()

    async def batches(
        self, positions: Mapping[str, Any], around: Surroundings
    ) -> AsyncGenerator[Batch, None]:
        for at in range(positions.get("", 0), len(self._batches)):
            last = at + 1 == len(self._batches)
            yield Batch(self._batches[at], "", at + 1, 0.0, committed=self.durable.set if last else None)
        await asyncio.Event().wait()


class Instant:
    """A clock on which an interval is over as soon as everything else has had its turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        for _ in range(20):
            await asyncio.sleep(0)
