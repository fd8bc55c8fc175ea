"""Those who ask a simulated stream, and those who iterate it; whatever they hear must be of a committed epoch."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from asyncmr.streaming import Stream, Update, WindowInfo
from asyncmr.streaming.windows import Window
from tests.simulation.streams.plan import StreamPlan
from tests.simulation.streams.witness import Known, Table, Witness

MOST = 10_000


class Asker:
    """Asks a stream. `told`: what was said to be final, by window, in all processes."""

    def __init__(
        self,
        stream: Stream,
        plan: StreamPlan,
        witness: Witness,
        told: dict[float, Table],
        broken: list[str],
        seed: str,
    ) -> None:
        self._stream = stream
        self._plan = plan
        self._witness = witness
        self._told = told
        self._broken = broken
        self._draw = random.Random(seed)
        # Where the time of a line is that of its reading, only what all windows together come to is known.
        self._knows = plan.by_lines or plan.windowing.pane_at(0, None) == plan.windowing.pane_at(1e9, None)

    async def ask(self) -> None:
        """Asks for ever, with pauses."""
        questions = [self.top, self.get, self.windows, self.stats, self.set_aside]
        while True:
            await asyncio.sleep(self._draw.choice([0.0, 0.001, 0.1, 1.0]))
            await self._draw.choice(questions)()

    async def top(self) -> None:
        k = self._draw.choice([1, 3, MOST])
        window = self._window()
        since = self._since()
        found = await self._stream.top(k, _start(window))
        if len({key for key, _ in found}) < len(found):
            self._broken.append(f"top({k}) gave a key twice: {found}")

        def right(known: Known) -> bool:
            table = self._table(known, window)
            if not found and self._witness.may_be_gone(known, window):
                return True
            values = sorted(table.values(), reverse=True)[:k]
            same = all(key in table and table[key] == value for key, value in found)
            return same and [value for _, value in found] == values

        self._of_an_epoch(f"top({k}, {window})", found, since, right)

    async def get(self) -> None:
        keys = list(self._witness.table(self._witness.last, None))
        key = self._draw.choice(keys) if keys and self._draw.random() < 0.8 else "nobody"
        window, since = self._window(), self._since()
        found = await self._stream.get(key, _start(window))

        def right(known: Known) -> bool:
            if found is None and self._witness.may_be_gone(known, window):
                return True
            return bool(self._table(known, window).get(key) == found)

        self._of_an_epoch(f"get({key!r}, {window})", found, since, right)

    async def windows(self) -> None:
        # Perhaps the state's thread has committed an epoch of which the loop has not heard.
        since = max(0, self._since() - 1)
        found = await self._stream.windows()
        starts = [window.start for window in found]
        self._of_an_epoch(
            "windows()",
            starts,
            since,
            lambda known: starts == [_start(window) for window in self._witness.retained(known, starts)],
        )
        for window in found:
            if window.state == "closed" and self._plan.by_lines and window.start is not None:
                table = self._witness.table(self._witness.last, _of(window))
                if self._partly_dropped(self._witness.last, _of(window)):
                    continue
                if table != self._told.setdefault(window.start, table):
                    self._broken.append(
                        f"{window} is closed, with {table}; before it was {self._told[window.start]}"
                    )

    async def stats(self) -> None:
        stats, known = self._stream.stats(), self._witness.last
        # Perhaps the state's thread has committed an epoch of which the loop has not heard.
        wanted = [
            sum(len(table) for table in self._witness.panes(one).values())
            for one in self._witness.history[-2:]
        ]
        if stats.epoch != known.epoch:
            self._broken.append(f"stats() are of epoch {stats.epoch}, and committed is {known}")
        if self._knows and stats.keys not in wanted:
            self._broken.append(f"stats() tell of {stats.keys} keys, and there are {wanted} in {known}")
        late = sum(reason == "late" for reason, _ in known.aside)
        if stats.late != late:
            self._broken.append(f"stats() tell of {stats.late} late lines, and there are {late} in {known}")

    async def set_aside(self) -> None:
        since = self._since()
        found = [
            (reason, line)
            for reason, data in await self._stream.set_aside()
            for line in data.decode().removesuffix("\n").split("\n")
        ]
        self._of_an_epoch("set_aside()", found, since, lambda known: list(known.aside) == found)

    async def iterate(self) -> None:
        """Takes updates, slowly or not, to their end or until it has enough; what it has of them then is the state
        as it was when it began, and all that has changed."""
        enough = self._draw.choice([2, 10, None, None])
        pause = self._draw.choice([0.0, 0.0, 0.01, 0.5])
        async with aclosing(self._stream.updates()) as updates:
            before = len(self._stream._updates._senders)
            first = asyncio.ensure_future(anext(updates, None))
            try:
                while len(self._stream._updates._senders) == before and not first.done():
                    await asyncio.sleep(0)
                await self._stream.top(1)
                base = self._witness.last
                update = await first
            finally:
                await _ended(first)
            told = {_start(window): dict(self._table(base, window)) for window in self._all_windows(base)}
            epoch = base.epoch
            final: set[float | None] = set()
            while update is not None:
                if update.epoch > epoch:
                    self._compare(told, epoch)
                    epoch = update.epoch
                parts = [update]
                while not parts[-1].last:
                    parts.append(await anext(updates))
                self._take(told, parts, final)
                if enough is not None and (enough := enough - 1) == 0:
                    return
                if pause:
                    await asyncio.sleep(pause)
                update = await anext(updates, None)
            self._compare(told, epoch)

    def _take(self, told: dict[float | None, Table], parts: list[Update], final: set[float | None]) -> None:
        """What an epoch changed in a window, in as many parts as it takes."""
        known = self._witness.last
        epoch, window = parts[0].epoch, parts[0].window
        changes = [change for part in parts for change in part.changes]
        if {(part.epoch, part.window, part.final) for part in parts} != {(epoch, window, parts[0].final)}:
            self._broken.append(f"{parts} are of different epochs or windows")
        if epoch > known.epoch:
            self._broken.append(f"{parts} came before it was committed: {known}")
        if len(dict(changes)) < len(changes):
            self._broken.append(f"{parts} have a key twice")
        if window in final:
            self._broken.append(f"{parts} came after the window was final")
        if not parts[0].final:
            told.setdefault(window, {}).update(changes)
            return
        assert window is not None
        final.add(window)
        told[window] = dict(changes)
        if self._told.setdefault(window, told[window]) != told[window]:
            self._broken.append(f"{parts} are final, and so was {self._told[window]}")

    def _compare(self, told: dict[float | None, Table], epoch: int) -> None:
        """What was told up to an epoch is what was committed with it; nothing that has been dropped since is missed."""
        if not self._knows or self._plan.windowing.emit == "final":
            return
        known = max((one for one in self._witness.history if one.epoch <= epoch), key=lambda one: one.epoch)
        for window in self._all_windows(known):
            wanted, found = self._table(known, window), told.get(_start(window), {})
            if wanted != found and not self._partly_dropped(known, window):
                self._broken.append(
                    f"updates to epoch {epoch} come to {found} in {window}, not {wanted}: {known}"
                )

    def _partly_dropped(self, known: Known, window: Window | None) -> bool:
        return window is not None and not known.dropped.isdisjoint(
            self._plan.windowing.windows.panes_of(window)
        )

    def _all_windows(self, known: Known) -> list[Window | None]:
        return list(self._witness.windows(known)) if self._plan.by_lines else [None]

    def _table(self, known: Known, window: Window | None) -> Table:
        return self._witness.table(known, window)

    def _window(self) -> Window | None:
        """One to ask about."""
        if not self._plan.by_lines:
            return None
        windows = self._witness.windows(self._witness.last)
        return self._draw.choice(windows) if windows else None

    def _since(self) -> int:
        return len(self._witness.history) - 1

    def _of_an_epoch(self, question: str, answer: Any, since: int, right: Callable[[Known], bool]) -> None:
        """The answer is right for one of the epochs that were committed since the question was asked."""
        if not self._knows or (("None" in question) and self._plan.by_lines):
            return
        epochs = self._witness.history[since:]
        if not any(right(known) for known in epochs):
            self._broken.append(f"{question} gave {answer}, which is of none of {epochs}")


def _of(window: WindowInfo) -> Window:
    assert window.start is not None
    assert window.end is not None
    return Window(round(window.start * 1000), round(window.end * 1000))


def _start(window: Window | None) -> float | None:
    return None if window is None or window.start is None else window.start / 1000


async def _ended(task: asyncio.Task[Any]) -> None:
    """Its end, if it has one: a generator cannot be closed while somebody waits for what it gives."""
    task.cancel()
    await asyncio.wait([task])
