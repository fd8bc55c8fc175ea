"""What a state holds, for people: of what job it is, how far it has come, and what its size is made of.

No function of the job is needed, and no pickle is opened.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate, groupby
from typing import Any

from asyncmr.kernel.blocks import keys_in, keys_of
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
    once for every pane of time; not `exact`: keys are pickles, which were not opened, and count once for every block
    that has them. `windows`: oldest first; a key counts once in each window. `table_bytes`, `delta_bytes`,
    `aside_bytes`: of the tables, of what was appended to them since, and of lines that were set aside; `disk_bytes`:
    of all files. `positions`: by feed and partition. `tokens`: how many of each feed. `aside`: lines by reason.
    `notes`: what else is committed, such as `time`: how far event time has come.
    """

    path: str
    identity: dict[str, str]
    epoch: int
    committed_at: float | None
    records: int
    bytes: int
    keys: int
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
        windows = parse_windows(snapshot.identity[WINDOWS])
        counting = _Counting(
            windows, [pane for (pane,) in snapshot.count("SELECT DISTINCT pane FROM blocks")]
        )
        for _, stored in groupby(snapshot.blocks(), key=lambda block: block.group):
            counting.take(stored)
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

    def __init__(self, windows: Windows, panes: Iterable[int]) -> None:
        found = sorted(panes)
        self._windows = windows.over(found)
        index = {window: number for number, window in enumerate(self._windows)}
        # The windows over a pane are neighbours: from which one to which.
        self._spans = {
            pane: (index[over[0]], index[over[-1]]) for pane in found if (over := windows.over([pane]))
        }
        # By how many keys each window has more than the one before.
        self._steps = [0] * (len(self._windows) + 1)
        self.keys = 0
        self.exact = True
        self.table_bytes = 0
        self.delta_bytes = 0

    def take(self, stored: Iterable[Stored]) -> None:
        """Counts a key group."""
        panes_of: dict[Any, list[int]] = {}
        for pane, blocks in groupby(stored, key=lambda block: block.pane):
            here: dict[Any, None] = {}
            for number, block in enumerate(blocks):
                if number:
                    self.delta_bytes += len(block.data)
                else:
                    self.table_bytes += len(block.data)
                keys = keys_of(memoryview(block.data))
                if keys is None:
                    self.exact = False
                    self._add([pane], keys_in(memoryview(block.data)))
                else:
                    here.update(dict.fromkeys(keys))
            for key in here:
                panes_of.setdefault(key, []).append(pane)
        for panes, keys_there in Counter(map(tuple, panes_of.values())).items():
            self._add(panes, keys_there)

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
