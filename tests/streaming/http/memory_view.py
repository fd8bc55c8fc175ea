"""A stream at the seam that pages and queries see: it commits when a test says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

from asyncmr.storage.disk import Disk
from asyncmr.streaming.feed import Batch, Surroundings, SystemClock
from asyncmr.streaming.http import PushFeed
from asyncmr.streaming.view import QueueInfo, SourceInfo, StreamStats, Update, WindowInfo


class MemoryView:
    """Counts words. `add` is an epoch."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.epoch = 0
        self.records = 0
        self.asked = 0
        self.committed_at: float | None = None
        self.watermark: float | None = None
        self.queues: tuple[QueueInfo, ...] = (QueueInfo("mapper", 25, 100),)
        self.sources: tuple[SourceInfo, ...] = (
            SourceInfo("tail:/var/log/secret", "exactly-once", 1, "12", 7),
        )
        self.rate = 0.0
        self.late = 0
        self._listeners: set[asyncio.Queue[Update | None]] = set()
        self.listening = asyncio.Event()

    def add(self, counts: dict[str, int]) -> None:
        """An epoch with these."""
        self.counts.update(counts)
        self.epoch += 1
        for listener in self._listeners:
            listener.put_nowait(Update(self.epoch, None, [(key, self.counts[key]) for key in counts]))

    def end(self) -> None:
        for listener in self._listeners:
            listener.put_nowait(None)

    async def top(self, k: int, window: float | None = None) -> list[tuple[Any, Any]]:
        self.asked += 1
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:k]

    async def get(self, key: Any, window: float | None = None) -> Any:
        return self.counts.get(key)

    async def windows(self) -> list[WindowInfo]:
        return [WindowInfo(None, None, len(self.counts), "open")]

    def stats(self) -> StreamStats:
        return StreamStats(
            epoch=self.epoch,
            committed_at=self.committed_at,
            records=self.records,
            bytes=self.records * 40,
            records_per_second=self.rate,
            pairs_per_second=self.rate,
            late=self.late,
            keys=len(self.counts),
            queues=self.queues,
            watermark=self.watermark,
            sources=self.sources,
        )

    async def updates(self) -> AsyncGenerator[Update, None]:
        queue: asyncio.Queue[Update | None] = asyncio.Queue()
        self._listeners.add(queue)
        self.listening.set()
        try:
            while (update := await queue.get()) is not None:
                yield update
        finally:
            self._listeners.discard(queue)


class Reader:
    """The stream's end of a feed: takes batches as a test says, and commits them."""

    def __init__(self, feed: PushFeed, view: MemoryView | None = None) -> None:
        self.view = view or MemoryView()
        self.seen: set[str] = set()
        self._disk = Disk()  # of no use to this feed
        self._batches = feed.batches({}, Surroundings(self._disk, SystemClock(), known=self._known))

    async def take(self) -> Batch:
        """The next batch with lines; what tells of its token before is committed at once."""
        while not (batch := await anext(self._batches)).data:
            assert batch.token is not None
            self.seen.add(batch.token)
        return batch

    async def _known(self, _feed: str, token: str) -> bool:
        return token in self.seen

    def commit(self, *batches: Batch) -> None:
        """In one epoch; a token that was seen counts nothing."""
        counts: Counter[str] = Counter()
        for batch in batches:
            if batch.token is None or batch.token not in self.seen:
                counts.update(batch.data.decode().split())
            if batch.token is not None:
                self.seen.add(batch.token)
        self.view.add(counts)
        for batch in batches:
            assert batch.committed is not None
            batch.committed()

    async def run(self) -> None:
        while True:
            self.commit(await self.take())

    async def close(self) -> None:
        await self._batches.aclose()
        await self._disk.__aexit__(None, None, None)
