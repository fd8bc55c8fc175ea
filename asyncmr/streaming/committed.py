"""What a stream has committed, as keepers and store hold it together: how epochs are added, and what may be asked.

A commit and a question take turns, so an answer is never of an epoch that may yet be lost.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Literal

from asyncmr.actors import Receiver
from asyncmr.errors import UsageError
from asyncmr.kernel.sketch import Sketch
from asyncmr.storage.disk import Disk
from asyncmr.storage.runs import BlockStore
from asyncmr.streaming.commit import Commit
from asyncmr.streaming.emission import is_final
from asyncmr.streaming.epochs import Epoch, Epochs
from asyncmr.streaming.failed import FAILED, FailureLimit
from asyncmr.streaming.feed import Clock
from asyncmr.streaming.keepers import Keepers
from asyncmr.streaming.outputs import PAIRS, Outputs
from asyncmr.streaming.progress import Moved, Progress
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.telling import Telling, Told
from asyncmr.streaming.totals import Rate, Totals
from asyncmr.streaming.updates import Updates
from asyncmr.streaming.view import QueueInfo, WindowInfo, WindowState
from asyncmr.streaming.windowing import Windowing
from asyncmr.streaming.windows import RunningTotals, Window


class Committed:
    """The state of a stream. `disk` is the thread of `store`; `mapped` holds what mappers made, until it is committed;
    `positions` are those of each feed, by partition; `totals` is what has been counted. `commit_seconds`: what the last
    commit took. `overflow`: how many keys were left out."""

    def __init__(
        self,
        store: StateStore,
        disk: Disk,
        keepers: Keepers,
        *,
        mapped: BlockStore,
        windowing: Windowing,
        progress: Progress,
        positions: dict[str, dict[str, Any]],
        totals: Totals,
        left_out: Sketch,
        updates: Updates,
        outputs: Outputs,
        clock: Clock,
        limit: FailureLimit,
    ) -> None:
        self.store = store
        self.positions = positions
        self.progress = progress
        self.totals = totals
        self._left_out = left_out
        self.overflow = left_out.count()
        self.records_rate = Rate()
        self.pairs_rate = Rate()
        self.commit_seconds = 0.0
        self.ended = asyncio.Event()
        self._disk = disk
        self._keepers = keepers
        self._mapped = mapped
        self._windowing = windowing
        self._windowed = not isinstance(windowing.windows, RunningTotals)
        self._updates = updates
        self._outputs = outputs
        self._clock = clock
        self._limit = limit
        self._turn = asyncio.Lock()
        self._busy: Literal["keepers", "commit"] | None = None
        self._stopped = False
        self._final = progress.final  # as far as it is committed

    @property
    def keys(self) -> int:
        """How many keys all tables have."""
        return self._keepers.keys.total

    def queues(self) -> list[QueueInfo]:
        """Who works at an epoch."""
        return [QueueInfo(name, int(name == self._busy), 1) for name in ("keepers", "commit")]

    def stop(self) -> None:
        """The feeds are being stopped: they are not at their end, and windows that are open stay open."""
        self._stopped = True

    async def take(self, epochs: Epochs, inlet: Receiver[Epoch]) -> None:
        """Commits epochs, one after the other, until there are no more."""
        number = self.store.epoch
        with inlet:
            async for epoch in inlet:
                for cut in epoch.cuts:
                    await cut.done.wait()
                number = epoch.number
                told = await self._commit(epoch, self._moved(epoch))
                epochs.committed(epoch)
                for tell in epoch.told:
                    tell()
                await self._updates.publish(told)
        if self._windowed and not self._stopped:
            moved = self.progress.finish(self._windowing.ended(self._keepers.keys.panes))
            await self._updates.publish(await self._commit(Epoch(number + 1), moved))
        self._updates.end()
        self.ended.set()

    def _moved(self, epoch: Epoch) -> Moved:
        """How far the epoch brings time."""
        now = self._clock.time()
        latest: dict[tuple[str, str], int | None] = {}
        if self._windowing.rule is None:
            latest["", "clock"] = math.floor(now * 1000)
        for cut in epoch.cuts:
            for (place, _), time in zip(cut.sections, cut.mapped.latest if cut.mapped else (), strict=False):
                before = latest.get(place)
                latest[place] = before if time is None else time if before is None else max(before, time)
        return self.progress.commit([cut.number for cut in epoch.cuts], latest, now)

    async def _commit(self, epoch: Epoch, moved: Moved) -> Told:
        store, windowing = self.store, self._windowing
        splits = [cut.mapped for cut in epoch.cuts if cut.mapped is not None]
        mapped = [paned for split in splits for paned in split.panes]
        here = {pane for pane, _ in mapped}
        panes = sorted({*self._keepers.keys.panes, *here}) if here else self._keepers.keys.panes
        final = windowing.final(panes, *moved)
        expired = windowing.expired(panes, moved.after)
        if not (splits or epoch.positions or epoch.tokens or final or expired):
            return Telling(self._mapped, epoch.number, (), ()).told(PAIRS)
        failed = [split.failed for split in splits if split.failed is not None]
        self._limit.check(store.aside.get(FAILED, 0), failed)
        encoders = [PAIRS] * self._updates.wanted + self._outputs.wanted
        wanted: list[Window] = []
        if encoders:
            changed = windowing.changed(here) if windowing.emit == "updates" else []
            wanted = [*(window for window in changed if window not in final), *final]
        async with self._turn:
            specs = [
                (self._panes_of(window, panes), seconds(window.start), window in final) for window in wanted
            ]
            telling = Telling(self._mapped, epoch.number, specs, encoders)
            began = perf_counter()
            self._busy = "keepers"
            changes = await self._keepers.apply(mapped, store.outgrown(), telling)
            self._busy = "commit"
            await self._outputs.write(telling)
            totals = self.totals.plus(splits)
            left_out = self._left_out
            if changes.left_out is not None:
                left_out = left_out.merged(changes.left_out)
            commit = Commit(
                epoch.number,
                self._clock.time(),
                records=sum(split.records for split in splits),
                bytes=epoch.bytes,
                deltas=[delta for delta in changes.deltas if delta.place[1] not in expired],
                positions=epoch.positions,
                tokens=epoch.tokens,
                dropped=expired,
                aside=[aside for split in splits for aside in split.aside],
                notes={
                    "totals": totals.saved(),
                    **({} if left_out is self._left_out else {"left out": left_out.text()}),
                    **self._outputs.noted(),
                    **self._time(),
                },
            )
            await self._disk.run(store.commit, commit)
            self._keepers.keys.update(changes.keys)
            self._final = moved.after
            if left_out is not self._left_out:
                self._left_out, self.overflow = left_out, left_out.count()
            if expired:
                await self._keepers.drop(expired)
            await self._keepers.tidy()  # what is dropped must not become cold
            self.commit_seconds = perf_counter() - began
            self._busy = None
        for _, stored in mapped:
            for pieces in stored:
                self._mapped.free(pieces.block)
        for (feed, partition), position in epoch.positions.items():
            self.positions.setdefault(feed, {})[partition] = position
        self.records_rate.note(commit.time, commit.records)
        self.pairs_rate.note(commit.time, totals.pairs - self.totals.pairs)
        self.totals = totals
        self._limit.tell(store.aside.get(FAILED, 0), failed, commit.time)
        return telling.told(PAIRS)

    def _time(self) -> dict[str, Any]:
        """How far time has come, for the next start."""
        return {"time": self.progress.saved()} if self._windowed else {}

    async def top(self, k: int, window: float | None) -> list[tuple[Any, Any]]:
        """As `Stream.top`."""
        async with self._turn:
            return await self._keepers.top(k, self._panes(window))

    async def get(self, key: Any, window: float | None) -> Any:
        """As `Stream.get`."""
        async with self._turn:
            return await self._keepers.get(key, self._panes(window))

    async def windows(self) -> list[WindowInfo]:
        """As `Stream.windows`."""
        counts, windowing = self._keepers.keys, self._windowing
        frontier = windowing.frontier(self._final)
        windows = windowing.held(counts.panes, self._final)
        found = counts.within(map(windowing.windows.panes_of, windows))
        infos = []
        for window, (panes, keys) in zip(windows, found, strict=True):
            state: WindowState = "closed" if is_final(window, frontier) else "open"
            infos.append(WindowInfo(seconds(window.start), seconds(window.end), keys, state, panes == 1))
        return infos

    async def set_aside(self) -> list[tuple[str, bytes]]:
        """As `Stream.set_aside`."""
        return await self._disk.run(self.store.set_aside)

    def _panes(self, start: float | None) -> list[int]:
        """The panes of the window that starts then; by default of the latest."""
        panes, windowing = self._keepers.keys.panes, self._windowing
        if not self._windowed and start is not None:
            raise UsageError(f"window={start}: this stream has no windows, but running totals; leave it out")
        found: list[Window] = []
        if start is None:
            found = windowing.held(panes[-1:], self._final)
        elif math.isfinite(start):
            around = windowing.held([windowing.windows.pane_of(round(start * 1000))], self._final)
            found = [window for window in around if seconds(window.start) == start]
        return self._panes_of(found[-1], panes) if found else []

    def _panes_of(self, window: Window, panes: Sequence[int]) -> list[int]:
        """Those of these panes, which are in order, that are in a window."""
        of = self._windowing.windows.panes_of(window)
        return list(panes[bisect_left(panes, of.start) : bisect_left(panes, of.stop)])


def seconds(milliseconds: int | None) -> float | None:
    """Of the time of the kernel that of the view."""
    return None if milliseconds is None else milliseconds / 1000
