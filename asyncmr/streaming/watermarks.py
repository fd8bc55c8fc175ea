"""Watermarks: how far event time has come.

A partition (a file, a connection, a topic partition) has come as far as the latest time in its records; records of
different partitions may be far apart. So the watermark is the minimum over the active partitions. A partition from
which no time has come for the idle timeout holds it back no longer; nor does one that brings only records without a
time, or late ones. Where all are idle, the watermark is what the one that was furthest has reached. It never goes back.

Times of records are milliseconds since 1970, those of the clock seconds. Nothing here looks at a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Partition = tuple[str, str]
"""A feed, and one of its partitions."""


class Watermarks:
    """The watermark of a stream, from what comes of its partitions.

        watermarks = Watermarks(idle=30.0)
        watermarks.observe({("dir:logs", "a.log"): 12_000, ("dir:logs", "b.log"): 10_000}, now=0.0)
        watermarks.advance(now=1.0)   # 10,000
        watermarks.advance(now=15.0)
        watermarks.advance(now=30.0)  # 12,000: both are idle

    `idle`: seconds. Only active partitions take memory, so there may be any number of short-lived ones.
    `saved` is JSON, to commit with the epoch; `restored` goes on with it.
    """

    def __init__(self, *, idle: float) -> None:
        self._idle = idle
        self._value: int | None = None
        # Of each active partition, how far it has come, and when it was heard of last, in seconds of `_elapsed`.
        self._active: dict[Partition, tuple[int, float]] = {}
        # As far as any partition has come, those that are forgotten by now included.
        self._furthest: int | None = None
        self._now: float | None = None
        self._elapsed = 0.0

    @property
    def value(self) -> int | None:
        """The watermark, as of the last `advance`; None before any time was seen."""
        return self._value

    def observe(self, latest: Mapping[Partition, int | None], now: float) -> None:
        """Something came of these partitions; the latest time in it, None if no record had one that counts."""
        self._tick(now)
        for partition, time in latest.items():
            if time is not None:
                before, _ = self._active.get(partition, (time, 0.0))
                self._active[partition] = max(before, time), self._elapsed
                self._furthest = _later(self._furthest, time)

    def ended(self, partition: Partition) -> None:
        """Nothing more comes of this partition; it does not hold the watermark back."""
        self._active.pop(partition, None)

    def advance(self, now: float) -> int | None:
        """The watermark at this moment of the clock. To be called every now and then, also when nothing comes."""
        self._tick(now)
        oldest = self._elapsed - self._idle
        self._active = {partition: heard for partition, heard in self._active.items() if heard[1] > oldest}
        least = min((time for time, _ in self._active.values()), default=self._furthest)
        self._value = _later(self._value, least)
        return self._value

    def _tick(self, now: float) -> None:
        # If much time has passed at once, the stream itself stood still, and no partition is to blame for its silence.
        # Nor is it when the clock is set.
        passed = 0.0 if self._now is None else now - self._now
        self._elapsed += min(max(passed, 0.0), self._idle / 2)
        self._now = now

    def finish(self, until: int | None) -> int | None:
        """The input has ended: no partition holds the watermark, and it moves on to `until`, where all is final."""
        self._active.clear()
        self._value = _later(self._value, _later(self._furthest, until))
        return self._value

    def saved(self) -> dict[str, Any]:
        """What `restored` needs, as JSON."""
        active = [[*partition, time] for partition, (time, _) in self._active.items()]
        return {"watermark": self._value, "furthest": self._furthest, "active": active}

    @classmethod
    def restored(cls, saved: Mapping[str, Any], *, idle: float, now: float) -> Watermarks:
        """Goes on with what was saved; its partitions count as active since `now`."""
        watermarks = cls(idle=idle)
        watermarks._value, watermarks._furthest = saved["watermark"], saved["furthest"]
        watermarks._active = {(feed, partition): (time, 0.0) for feed, partition, time in saved["active"]}
        watermarks._now = now
        return watermarks


def _later(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
