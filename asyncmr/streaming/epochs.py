"""Epochs: batches become splits, which are mapped as soon as they are cut, and an interval's splits commit together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from anyio import CancelScope

from asyncmr.actors import Receiver, Sender, TaskScope
from asyncmr.pipeline.feeding import PIPE_BYTES
from asyncmr.pipeline.messages import HANDLE
from asyncmr.protocols import Piece, Split
from asyncmr.streaming.feed import Batch, Clock, Feed
from asyncmr.streaming.mapping import MappedSplit
from asyncmr.streaming.view import QueueInfo
from asyncmr.workers import Segments

SPLIT_BYTES = 4 << 20
# An epoch that is still open takes no more than this; what mappers made of it waits in the block store.
EPOCH_BYTES = 32 << 20


@dataclass(slots=True)
class Cut:
    """A split on its way. `pane`: the stretch of time that all of it belongs to, unless it is to be divided. `told`:
    the watermark when it was begun. `sections`: where what came from a partition of a feed ends in it."""

    number: int
    pane: int
    told: int | None
    batches: list[tuple[Feed, Batch]]
    size: int = 0
    begun: bool = False
    sections: list[tuple[tuple[str, str], int]] = field(default_factory=list)
    mapped: MappedSplit | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Epoch:
    """What is to be committed together: the splits, in order, and how far they bring each feed. `told`: to be called
    when it is durable."""

    number: int
    cuts: list[Cut] = field(default_factory=list)
    bytes: int = 0
    positions: dict[tuple[str, str], Any] = field(default_factory=dict)
    tokens: list[tuple[str, str]] = field(default_factory=list)
    told: list[Callable[[], None]] = field(default_factory=list)


class Epochs:
    """Makes epochs of batches.

    `map` maps a split that was cut; `known` says whether a token was committed; `begin` gives the watermark that a
    split with this number is told; `pane_of` gives the pane of a batch. `ticks`: an epoch ends after each interval,
    even if nothing came.
    """

    def __init__(
        self,
        scope: TaskScope,
        segments: Segments,
        clock: Clock,
        *,
        interval: float,
        first: int,
        concurrency: int,
        map: Callable[[Split, Cut], Awaitable[MappedSplit]],
        known: Callable[[str, str], Awaitable[bool]],
        begin: Callable[[int], int | None],
        pane_of: Callable[[Batch], int],
        ticks: bool = False,
        most: int = EPOCH_BYTES,
    ) -> None:
        self._scope = scope
        self._segments = segments
        self._clock = clock
        self._interval = interval
        self._map = map
        self._known = known
        self._begin = begin
        self._pane_of = pane_of
        self._ticks = ticks
        self._most = min(most, EPOCH_BYTES)
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._under_way = 0
        self._guard = asyncio.Lock()  # of the open epoch: whoever adds to it or closes it
        self._epoch = Epoch(first)
        self._begun = asyncio.Event()
        self._closed = asyncio.Event()
        self._ended = False
        self._pause = CancelScope()
        self._tokens: set[tuple[str, str]] = set()  # on their way
        self._splits = 0

    def queues(self) -> list[QueueInfo]:
        """How full the open epoch is, and how many splits are being mapped."""
        return [
            QueueInfo("epoch", self._epoch.bytes, self._most),
            QueueInfo("mappers", self._under_way, self._concurrency),
        ]

    async def collect(self, inlet: Receiver[tuple[Feed, Batch]]) -> None:
        """Takes batches until there are no more. While the epoch is full, it takes none."""
        with inlet:
            async for feed, batch in inlet:
                async with self._guard:
                    await self._add(feed, batch)
                    full = self._epoch.bytes >= self._most
                    if full:
                        self._closed.clear()
                    self._begun.set()
                if full:
                    self._pause.cancel()
                    await self._closed.wait()
        self._ended = True
        self._begun.set()
        self._pause.cancel()

    async def close(self, outlet: Sender[Epoch]) -> None:
        """Closes an epoch an interval after its first batch, and sends it on; at the end the last one."""
        with outlet:
            while True:
                if not self._ticks:
                    await self._begun.wait()
                self._pause = CancelScope()
                if not self._ended and self._epoch.bytes < self._most:
                    with self._pause:
                        await self._clock.sleep(self._interval)
                async with self._guard:
                    epoch = self._epoch
                    await self._begin_last(epoch)
                    ended = (
                        self._ended
                    )  # as of now: the last feed may have ended while this waited for a worker
                    something = bool(
                        epoch.cuts or epoch.positions or epoch.tokens or epoch.told or self._ticks
                    )
                    self._epoch = Epoch(epoch.number + something)
                    if not ended:
                        self._begun.clear()
                    self._closed.set()
                if something:
                    await outlet.send(epoch, HANDLE)
                if ended:
                    return

    def committed(self, epoch: Epoch) -> None:
        """The epoch is durable."""
        self._tokens.difference_update(epoch.tokens)

    async def _add(self, feed: Feed, batch: Batch) -> None:
        epoch = self._epoch
        if batch.committed is not None:
            epoch.told.append(batch.committed)
        if batch.token is not None:
            token = (feed.name, batch.token)
            if token in self._tokens or await self._known(*token):
                self._moved(feed, batch)
                return
            self._tokens.add(token)
            epoch.tokens.append(token)
        self._moved(feed, batch)
        if not batch.data:
            return
        pane = self._pane_of(batch)
        last = epoch.cuts[-1] if epoch.cuts else None
        if last is None or last.begun or last.pane != pane or last.size + len(batch.data) > SPLIT_BYTES:
            await self._begin_last(epoch)
            self._splits += 1
            # Both in one turn of the loop: the pane is open by the watermark that is told.
            told, pane = self._begin(self._splits), self._pane_of(batch)
            last = Cut(self._splits, pane, told, [])
            epoch.cuts.append(last)
        last.batches.append((feed, batch))
        last.size += len(batch.data)
        epoch.bytes += len(batch.data)

    def _moved(self, feed: Feed, batch: Batch) -> None:
        if batch.position is not None:
            self._epoch.positions[feed.name, batch.partition] = batch.position

    async def _begin_last(self, epoch: Epoch) -> None:
        """Maps the split that is being filled, if there is one, as soon as enough of those before it are done."""
        if epoch.cuts and not epoch.cuts[-1].begun:
            cut = epoch.cuts[-1]
            cut.begun = True
            batches, cut.batches = cut.batches, []
            await self._slots.acquire()
            self._under_way += 1
            self._scope.spawn(lambda: self._mapped(cut, batches), name="map")

    async def _mapped(self, cut: Cut, batches: list[tuple[Feed, Batch]]) -> None:
        try:
            split = await self._split(cut, batches)
            batches.clear()
            cut.mapped = await self._map(split, cut)
            cut.done.set()
        finally:
            self._under_way -= 1
            self._slots.release()

    async def _split(self, cut: Cut, batches: list[tuple[Feed, Batch]]) -> Split:
        """The batches as one split, in memory that the workers share unless it is little."""
        pieces: list[Piece] = []
        parts: list[bytes] = []
        size = 0
        for feed, batch in batches:
            pieces.append(_piece(feed, batch, size))
            parts.append(batch.data)
            size += len(batch.data)
            if not batch.data.endswith(b"\n"):
                parts.append(b"\n")
                size += 1
            place = (feed.name, batch.partition)
            if cut.sections and cut.sections[-1][0] == place:
                cut.sections.pop()
            cut.sections.append((place, size))
        if size <= PIPE_BYTES:
            return Split(cut.number, size, b"".join(parts), pieces=tuple(pieces))
        segment = await self._segments.lease(size)
        at = 0
        for part in parts:
            segment.view[at : at + len(part)] = part
            at += len(part)
            await asyncio.sleep(0)
        return Split(cut.number, size, buffer=segment, pieces=tuple(pieces))


def _piece(feed: Feed, batch: Batch, start: int) -> Piece:
    """Where the lines of a batch came from, for errors: a file, or else the batch by its position or time, whose lines
    are numbered from 1."""
    if batch.origin is not None:
        return Piece(batch.origin.path, batch.origin.offset, start)
    name = (
        feed.name
        if not batch.partition or batch.partition in feed.name
        else f"{feed.name}, {batch.partition}"
    )
    if isinstance(batch.position, int | str):
        return Piece(f"{name}, batch before position {batch.position}", None, start, 1)
    time = datetime.fromtimestamp(batch.time, UTC).isoformat(timespec="seconds")
    return Piece(f"{name}, batch of {time}", None, start, 1)
