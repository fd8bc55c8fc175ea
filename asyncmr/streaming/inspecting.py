"""What a state holds, for people: of what job it is, how far it has come, and what its size is made of.

No function of the job is needed, and no pickle is opened.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any

from asyncmr.kernel.blocks import keys_in, keys_of
from asyncmr.kernel.cold import Place, decode_keys, is_pickled
from asyncmr.streaming.identity import WINDOWS
from asyncmr.streaming.snapshot import Snapshot, Stored
from asyncmr.streaming.windows import Windows, parse_windows


@dataclass(frozen=True, slots=True)
class WindowKeys:
    """How many keys a window has; seconds since the epoch, None for all time."""

    start: float | None
    end: float | None
    keys: int


@dataclass(frozen=True, slots=True)
class StateInfo:
    """A state as of its last epoch.

    `identity`: what it is bound to. `committed_at`: when that epoch was committed, in seconds since the epoch; None
    before the first. `records` and `bytes`: what was read since the state was made. `keys`: how many there are, each
    once for every pane of time; `cold_keys`: how many of these the keepers have no room for. Not `exact`: keys are
    pickles, which were not opened, and count once for every block that has them. `windows`: oldest first; a key counts
    once in each window. `table_bytes`, `delta_bytes`, `aside_bytes`: of the tables of hot keys, of what was appended to
    them since, and of lines that were set aside; `disk_bytes`: of all files. `positions`: by feed and partition.
    `tokens`: how many of each feed. `aside`: lines by reason. `notes`: what else is committed, such as `time`: how far
    event time has come.
    """

    path: str
    identity: dict[str, str]
    epoch: int
    committed_at: float | None
    records: int
    bytes: int
    keys: int
    cold_keys: int
    exact: bool
    windows: list[WindowKeys]
    table_bytes: int
    delta_bytes: int
    aside_bytes: int
    disk_bytes: int
    positions: dict[str, dict[str, Any]]
    tokens: dict[str, int]
    aside: dict[str, int]
    notes: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return asdict(self)


def inspect_state(state: str | os.PathLike[str]) -> StateInfo:
    """What the state in a folder holds, as of its last commit; a stream may go on with it meanwhile. It blocks.

        info = asyncmr.streaming.inspect_state("counts")
        print(info.epoch, info.keys, info.positions)

    Raises:
        ResumeError: there is no state, it is of another version, or belongs to somebody else.
        StorageError: it is damaged.
    """
    with Snapshot(state) as snapshot:
        counting = _Counting(snapshot, parse_windows(snapshot.identity[WINDOWS]))
        for group, stored in groupby(snapshot.blocks(), key=lambda block: block.group):
            counting.take(group, stored)
        counting.take_cold()
        positions: dict[str, dict[str, Any]] = {}
        for feed, partition, position in snapshot.positions():
            positions.setdefault(feed, {})[partition] = position
        ((aside_bytes,),) = snapshot.count("SELECT coalesce(sum(length(data)), 0) FROM aside")
        progress = snapshot.progress
        return StateInfo(
            path=snapshot.path,
            identity=snapshot.identity,
            epoch=progress.get("epoch", 0),
            committed_at=progress.get("time"),
            records=progress.get("records", 0),
            bytes=progress.get("bytes", 0),
            keys=counting.keys,
            cold_keys=counting.cold_keys,
            exact=counting.exact,
            windows=counting.windows(),
            table_bytes=counting.table_bytes,
            delta_bytes=counting.delta_bytes,
            aside_bytes=aside_bytes,
            disk_bytes=_size(snapshot.path),
            positions=positions,
            tokens=dict(snapshot.count("SELECT feed, count(*) FROM tokens GROUP BY feed ORDER BY feed")),
            aside=progress.get("aside", {}),
            notes=snapshot.notes,
        )


class _Counting:
    """Counts the keys of panes and windows, one key group at a time; so much is held at once."""

    def __init__(self, snapshot: Snapshot, windows: Windows) -> None:
        self._snapshot = snapshot
        # Those that are still to be counted, by key group and pane.
        self._cold: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for (group, pane), rows in snapshot.cold_places().items():
            self._cold[group][pane] = rows
        hot = {pane for (pane,) in snapshot.count("SELECT DISTINCT pane FROM blocks")}
        found = sorted(hot.union(*self._cold.values()))
        self._windows = windows.over(found)
        index = {window: number for number, window in enumerate(self._windows)}
        # The windows over a pane are neighbours: from which one to which.
        self._spans = {
            pane: (index[over[0]], index[over[-1]]) for pane in found if (over := windows.over([pane]))
        }
        spans = list(self._spans.values())
        self._overlap = any(first <= last for (_, last), (first, _) in pairwise(spans))
        # By how many keys each window has more than the one before.
        self._steps = [0] * (len(self._windows) + 1)
        self.keys = 0
        self.cold_keys = 0
        self.exact = True
        self.table_bytes = 0
        self.delta_bytes = 0

    def take(self, group: int, stored: Iterable[Stored]) -> None:
        """Counts a key group that has blocks."""
        cold = self._cold.pop(group, {})
        keys: dict[int, set[Any]] = {}
        for pane, blocks in groupby(stored, key=lambda block: block.pane):
            keys[pane] = set()
            returned = self._take_blocks(pane, blocks, keys[pane])
            if pane in cold:
                cold[pane] -= returned
        panes_of: dict[Any, list[int]] = {}
        for pane in sorted({*keys, *cold}):
            here = keys.pop(pane, set())
            self._take_rows((group, pane), cold.get(pane, 0), here)
            for key in here:
                panes_of.setdefault(key, []).append(pane)
        for panes, number in Counter(map(tuple, panes_of.values())).items():
            self._add(panes, number)

    def take_cold(self) -> None:
        """Counts the key groups that have no blocks."""
        for group in sorted(self._cold):
            self.take(group, ())

    def _take_blocks(self, pane: int, blocks: Iterable[Stored], keys: set[Any]) -> int:
        """Adds the keys of a table, or counts them; how many of its cold rows count no more."""
        returned = 0
        for number, block in enumerate(blocks):
            returned += block.returned
            if number:
                self.delta_bytes += len(block.data)
            else:
                self.table_bytes += len(block.data)
            found = keys_of(memoryview(block.data))
            if found is None:
                self._add_pickles(pane, keys_in(memoryview(block.data)))
            else:
                keys.update(found)
        return returned

    def _take_rows(self, place: Place, cold: int, keys: set[Any]) -> None:
        """The same for cold rows, of which so many count."""
        self.cold_keys += cold
        if not self._overlap:  # each is in the windows of its own pane alone, whatever it is
            self._add([place[1]], cold)
            return
        for key, _ in self._snapshot.cold(place):
            if is_pickled(key):
                self._add_pickles(place[1], 1)
            else:
                keys.update(decode_keys([key]))

    def _add_pickles(self, pane: int, keys: int) -> None:
        self.exact = False
        self._add([pane], keys)

    def _add(self, panes: Iterable[int], keys: int) -> None:
        """There are so many keys that are in these panes."""
        reached = -1
        for pane in panes:
            self.keys += keys
            first, last = self._spans[pane]
            first = max(first, reached + 1)
            if first <= last:
                self._steps[first] += keys
                self._steps[last + 1] -= keys
                reached = last

    def windows(self) -> list[WindowKeys]:
        keys: Iterator[int] = accumulate(self._steps)
        return [
            WindowKeys(_seconds(window.start), _seconds(window.end), number)
            for window, number in zip(self._windows, keys, strict=False)
        ]


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _size(folder: str) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False))
