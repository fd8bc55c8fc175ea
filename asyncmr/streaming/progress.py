"""How far a stream has come in event time, while its splits are mapped ahead of their commits.

A split is told, when its mapping begins, from which pane on it may take lines. By the time it is committed the
watermark has moved on, and with it the first open pane. What is final must not change any more, so it is decided by
the watermark that the oldest split was told which is not committed: an epoch or so behind the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from asyncmr.streaming.watermarks import Partition, Watermarks

CLOCK: Partition = ("", "")
"""What stands for all partitions by the time of processing."""


class Moved(NamedTuple):
    """From which to which watermark a commit moves what is final; None: before all time."""

    before: int | None
    after: int | None


class Progress:
    """The watermark that each split is told, and the one by which windows are final.

        progress = Progress(idle=30.0)
        watermark = progress.begin(1)                                  # to be told to split 1
        moved = progress.commit([1], {("tail:a", "a"): 12_000}, now)   # then windowing.final(panes, *moved)

    By the time of processing, the clock is the only partition: `progress.commit(splits, {CLOCK: milliseconds}, now)`.
    Splits begin in the order of their numbers. `saved` is JSON, to commit with the epoch; `restored` goes on with it,
    and what was not committed begins anew.
    """

    def __init__(self, *, idle: float) -> None:
        self._watermarks = Watermarks(idle=idle)
        self._told: dict[int, int | None] = {}
        self._final: int | None = None

    @property
    def watermark(self) -> int | None:
        """How far event time has come; None before any time was seen."""
        return self._watermarks.value

    @property
    def final(self) -> int | None:
        """The watermark by which windows are final now."""
        return self._final

    def begin(self, split: int) -> int | None:
        """The watermark that the split is told."""
        self._told[split] = self._watermarks.value
        return self._watermarks.value

    def commit(self, splits: Iterable[int], latest: Mapping[Partition, int | None], now: float) -> Moved:
        """These splits are committed; the latest time that they had of each partition, at this moment of the clock.

        Without splits, time moves on for partitions that became idle.
        """
        for split in splits:
            del self._told[split]
        self._watermarks.observe(latest, now)
        return self._move(self._watermarks.advance(now))

    def finish(self, until: int | None) -> Moved:
        """The input has ended and is committed: time moves on to `until`, as `Windowing.ended` gives it."""
        return self._move(self._watermarks.finish(until))

    def _move(self, watermark: int | None) -> Moved:
        before = self._final
        self._final = next(iter(self._told.values()), watermark)
        return Moved(before, self._final)

    def saved(self) -> dict[str, Any]:
        """What `restored` needs, as JSON."""
        return {"final": self._final, **self._watermarks.saved()}

    @classmethod
    def restored(cls, saved: Mapping[str, Any], *, idle: float, now: float) -> Progress:
        """Goes on with what was saved."""
        progress = cls(idle=idle)
        progress._watermarks = Watermarks.restored(saved, idle=idle, now=now)
        progress._final = saved["final"]
        return progress
