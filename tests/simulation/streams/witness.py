"""What a stream has committed, as its store is told; and what its state must be then."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from asyncmr.streaming.commit import Commit, Move
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.windows import Window
from tests.oracle import aggregated, mapped
from tests.simulation.streams.plan import EPOCH, TIMESTAMP, StreamPlan

Table = dict[Any, Any]
# Beyond this are only the lines that are dated days ahead.
BELIEVED = EPOCH + 5 * 86_400_000


def time_of(line: str) -> int | None:
    """The time of a line, in milliseconds."""
    found = re.match(TIMESTAMP, line)
    return None if found is None else int(found[1])


@dataclass(frozen=True)
class Known:
    """What was committed up to an epoch: how many lines of each partition, which tokens, and which lines are aside."""

    epoch: int = 0
    positions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    tokens: frozenset[tuple[str, str]] = frozenset()
    aside: tuple[tuple[str, str], ...] = ()
    dropped: frozenset[int] = frozenset()

    def and_then(self, commit: Commit) -> Known:
        lines = [
            (reason, line)
            for reason, _, data in commit.aside
            for line in data.decode().removesuffix("\n").split("\n")
        ]
        return Known(
            commit.epoch,
            {**self.positions, **commit.positions},
            self.tokens | set(commit.tokens),
            (*self.aside, *lines),
            self.dropped | set(commit.dropped),
        )


class Witness:
    """Sees each commit of all processes of a stream. `broken`: where it says what was."""

    def __init__(self, plan: StreamPlan, broken: list[str]) -> None:
        self._plan = plan
        self._broken = broken
        self._states: dict[int, dict[int, Table]] = {}
        self._pending: Known | None = (
            None  # on its way to the disk, as a process was killed or its disk failed
        )
        self.history = [Known()]
        self.killed = False
        self.latest = 0  # the latest time that any feed has given

    @property
    def last(self) -> Known:
        return self.history[-1]

    def begins(self, commit: Commit) -> None:
        if commit.epoch <= self.last.epoch:
            self._broken.append(f"epoch {commit.epoch} is committed after epoch {self.last.epoch}")
        self._pending = self.last.and_then(commit)
        for reason, line in self._pending.aside[len(self.last.aside) :]:
            self._check_aside(reason, line)

    def ends(self) -> None:
        """The commit that has begun is durable."""
        if self._pending is not None and not self.killed:
            self.history.append(self._pending)
            self._pending = None

    def opened(self, store: StateStore) -> None:
        """A process goes on: with what was committed, whole."""
        pending, self.killed = self._pending, False
        if pending is not None and store.epoch == pending.epoch:
            self.ends()
        self._pending = None
        wanted = self.last
        found = {
            (feed, partition): position
            for feed, of in store.positions().items()
            for partition, position in of.items()
        }
        if (store.epoch, found) != (wanted.epoch, dict(wanted.positions)):
            self._broken.append(
                f"the state is of epoch {store.epoch} with the positions {found}, and committed was {wanted}"
            )

    def forget(self) -> None:
        """The state is gone with its process."""
        self._pending = None
        self.history = [Known()]
        self._states.clear()

    # What must be.

    def panes(self, known: Known) -> dict[int, Table]:
        """The tables of all panes; where lines do not say their time, all of them are in pane 0."""
        if known.epoch not in self._states:
            self._states[known.epoch] = self._tables(known)
        return self._states[known.epoch]

    def table(self, known: Known, window: Window | None) -> Table:
        """That of a window, or of all time."""
        if window is None or window.start is None:
            lines = [line for _, _, lines in self._lines(known) for line in lines]
            return self._reduced(self._left(lines, known))
        panes = self._plan.windowing.windows.panes_of(window)
        lines = [line for line in self._counted(known) if self._pane(line) in panes]
        return self._reduced([line for line in lines if self._pane(line) not in known.dropped])

    def windows(self, known: Known) -> list[Window]:
        """Those that there are."""
        return self._plan.windowing.windows.over(sorted(self.panes(known)))

    def retained(self, known: Known, shown: list[float | None]) -> list[Window]:
        """Those that must be shown, if these are: what is not, must have been final for long enough, and what is, must
        be whole."""
        found = []
        for window in self.windows(known):
            if window.start is None or window.start / 1000 in shown:
                if not known.dropped.isdisjoint(self._plan.windowing.windows.panes_of(window)):
                    self._broken.append(f"{window} is shown, and panes of it are gone: {known}")
                found.append(window)
            elif not self.may_be_gone(known, window):
                found.append(window)
        return found

    def may_be_gone(self, known: Known, window: Window | None) -> bool:
        """Whether the window may be final for so long that it is not retained."""
        retain = self._plan.windowing.retain_ms
        if retain is None or window is None or window.end is None:
            return False
        # As far as the latest time, or, when the feeds have ended, the end of the last window.
        ended = self._plan.windowing.ended(self.panes(known)) or 0
        return window.end + retain <= (self._plan.windowing.frontier(max(self.latest, ended)) or 0)

    def _tables(self, known: Known) -> dict[int, Table]:
        if not self._plan.by_lines:
            table = self.table(known, None)
            return {0: table} if table else {}
        panes: dict[int, list[str]] = {}
        for line in self._counted(known):
            if (pane := self._pane(line)) not in known.dropped:
                panes.setdefault(pane, []).append(line)
        tables = {pane: self._reduced(lines) for pane, lines in sorted(panes.items())}
        return {pane: table for pane, table in tables.items() if table}

    def _lines(self, known: Known) -> list[tuple[str, str, list[str]]]:
        """The lines that were committed, by feed and partition or token."""
        found = []
        for source in self._plan.sources:
            for partition, lines in source.partitions.items():
                end = known.positions.get((source.name, partition), 0)
                found.append((source.name, partition, list(lines[:end])))
            for token, lines in source.tokens.items():
                if (source.name, token) in known.tokens:
                    found.append((source.name, token, list(lines)))
        return found

    def _counted(self, known: Known) -> list[str]:
        return self._left([line for _, _, lines in self._lines(known) for line in lines], known)

    def _left(self, lines: list[str], known: Known) -> list[str]:
        """Those of these lines that are not aside."""
        aside = Counter(line for _, line in known.aside)
        left = []
        for line in lines:
            if aside[line]:
                aside[line] -= 1
            else:
                if line == self._plan.poison:
                    self._broken.append(f"{line!r} cannot be mapped, and was not set aside")
                left.append(line)
        if aside.total():
            self._broken.append(f"lines are aside that nobody gave, or twice: {+aside}")
        return left

    def _pane(self, line: str) -> int:
        time = time_of(line)
        if time is None or time > BELIEVED:
            self._broken.append(f"a line counts whose time is not to be believed: {line!r}")
        return self._plan.windowing.windows.pane_of(time or 0)

    def _check_aside(self, reason: str, line: str) -> None:
        time, windowing = time_of(line), self._plan.windowing
        if reason == "failed":
            if line != self._plan.poison:
                self._broken.append(f"{line!r} is set aside as failed, and nothing was wrong with it")
            return
        if time is None or time > BELIEVED:
            right = reason == ("untimed" if time is None else "ahead")
        else:
            # As late as if every partition had come as far as the one that is furthest.
            first = windowing.open_from(self.latest)
            right = reason == "late" and first is not None and windowing.windows.pane_of(time) < first
        if not right:
            self._broken.append(f"{line!r} is set aside as {reason!r}, and the latest time is {self.latest}")

    def _reduced(self, lines: list[str]) -> Table:
        job = self._plan.plain
        values: dict[Any, list[Any]] = {}
        for key, value in mapped(job, lines):
            values.setdefault(key, []).append(value)
        if job.fold is not None:
            return {key: reduce(job.fold, some) for key, some in values.items()}
        return {key: aggregated(job.aggregator, some) for key, some in values.items()}


class WitnessedStore(StateStore):
    """A store that says what it commits, and at a step of a commit may be the last thing that its process does."""

    def __init__(self, path: str, *, witness: Witness, fatal: Callable[[str], None], **options: Any) -> None:
        def reach(step: str) -> None:
            if self._committing:
                fatal(step)

        super().__init__(path, reach=reach, **options)
        self._witness = witness
        self._committing = False

    def open(self, identity: Mapping[str, str]) -> None:
        super().open(identity)
        self._witness.opened(self)

    def commit(self, commit: Commit) -> None:
        self._witness.begins(commit)
        with self._reached():
            super().commit(commit)
        self._witness.ends()

    def move(self, moves: Sequence[Move]) -> None:
        with self._reached():
            super().move(moves)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        self._committing = True
        try:
            yield
        finally:
            self._committing = False


class Fatal:
    """Kills the process when a step is reached so often."""

    def __init__(self, step: str, times: int, crash: Callable[[], None]) -> None:
        self._step = step
        self._left = times
        self._crash = crash

    def __call__(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                self._crash()
