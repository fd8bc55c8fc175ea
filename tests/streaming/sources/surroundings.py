"""What a stream lends to its feeds, with a clock that only moves when it is told to."""

from __future__ import annotations

import asyncio

from asyncmr.storage.disk import Disk
from asyncmr.streaming.feed import Batch, Feed, Surroundings


class SetClock:
    """Who sleeps is woken by `advance`. `asleep` is set while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.asleep = asyncio.Event()
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float, /) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[sleeper] = self.now + seconds
        self.asleep.set()
        try:
            await sleeper
        finally:
            del self._sleepers[sleeper]
            if not self._sleepers:
                self.asleep.clear()

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for sleeper, until in self._sleepers.items():
            if until <= self.now and not sleeper.done():
                sleeper.set_result(None)


class Pulled:
    """A feed, and what it has given. `async with Pulled(feed, disk) as pulled:` pulls it when asked to."""

    def __init__(self, feed: Feed, disk: Disk, positions=None, clock=None, **limits) -> None:
        self.clock = clock or SetClock()
        self.positions = dict(positions or {})
        self.lines: list[bytes] = []
        self._batches = feed.batches(self.positions, Surroundings(disk, self.clock, **limits))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error) -> None:
        await self._batches.aclose()

    async def next(self) -> Batch:
        batch = await anext(self._batches)
        self.lines += batch.data.splitlines()
        if batch.position is not None:
            self.positions[batch.partition] = batch.position
        return batch

    async def until(self, count: int) -> list[bytes]:
        """Pulls until there are so many lines. The clock moves whenever the feed sleeps."""
        while len(self.lines) < count:
            pulling = asyncio.ensure_future(self.next())
            try:
                while not pulling.done():
                    sleeping = asyncio.ensure_future(self.clock.asleep.wait())
                    await asyncio.wait([pulling, sleeping], return_when=asyncio.FIRST_COMPLETED)
                    sleeping.cancel()
                    self.clock.advance(0.5)
                    await asyncio.sleep(0)
                await pulling
            finally:
                pulling.cancel()
        return self.lines

    async def rest(self) -> list[bytes]:
        """Pulls to the end."""
        async for batch in self._batches:
            self.lines += batch.data.splitlines()
        return self.lines
