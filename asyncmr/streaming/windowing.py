"""What a stream is asked for with `window=`: which windows, by which time, and when they are told of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from asyncmr.errors import UsageError
from asyncmr.kernel.panes import PaneRule
from asyncmr.kernel.timestamps import Timestamp
from asyncmr.streaming.durations import Duration, duration_text, parse_duration
from asyncmr.streaming.emission import expired_panes, final_windows
from asyncmr.streaming.windows import RunningTotals, Sliding, Tumbling, Window, Windows, parse_windows

Emit = Literal["updates", "final"]

_IDLE, _AHEAD, _RETAIN = 30_000, 86_400_000, 86_400_000
_CLAUSES = {"late": "lateness", "idle": "idle", "ahead": "ahead", "retain": "retain"}


@dataclass(frozen=True, init=False)
class Windowing:
    r"""Windows, by the time of processing or of the records, and when they are told of.

        Windowing("1m")                                              # tumbling, by the time at which lines are read
        Windowing("10m/1m", emit="final")                            # sliding, told when they are over
        Windowing("1h", timestamp=r"^(\S+)", lateness="30s")         # by the time at the beginning of each line
        Windowing.of("1h late 30s retain 7d event json:meta.time")   # the same as text

    `windows`: text, `Tumbling`, `Sliding`, or `RunningTotals` for all time as one. `timestamp`: where the time of a
    line is, for event time (see `Timestamp`). `lateness`: for how long windows stay open behind the watermark; 0 s.
    `idle`: after how long a partition from which nothing comes holds the watermark back no longer; 30 s. `ahead`: lines
    dated further ahead of the clock than this are set aside; 1 d, None believes all. `retain`: how long a final window
    is kept; 1 d, None keeps all. `emit`: "updates" tells of each change, "final" of windows that cannot change any
    more, once.

    Raises:
        UsageError: an argument is not what it should be, or has no meaning with the others.
    """

    windows: Windows
    timestamp: Timestamp | None
    lateness_ms: int
    idle_ms: int
    ahead_ms: int | None
    retain_ms: int | None
    emit: Emit

    def __init__(
        self,
        windows: str | Windows = "none",
        *,
        timestamp: str | Timestamp | None = None,
        lateness: Duration | None = None,
        idle: Duration | None = None,
        ahead: Duration | Literal["any"] | None = "1d",
        retain: Duration | Literal["all"] | None = "1d",
        emit: Emit = "updates",
    ) -> None:
        chosen = parse_windows(windows) if isinstance(windows, str) else windows
        if not isinstance(chosen, RunningTotals | Tumbling | Sliding):
            raise UsageError(f'{windows!r} are no windows; write a size, "1m", or size/slide, "10m/1m"')
        running = isinstance(chosen, RunningTotals)
        if running and timestamp is not None:
            raise UsageError(
                f"the timestamp {str(timestamp)!r} divides nothing without windows; give their size, such as "
                'window="1m", or leave the timestamp out'
            )
        if timestamp is None and lateness is not None:
            raise UsageError(
                "a lateness has a meaning only by the time of the records, since by that of processing nothing is "
                'late; say where that time is, such as timestamp="json:time"'
            )
        if emit not in ("updates", "final"):
            raise UsageError(f'emit={emit!r} is neither "updates" nor "final"')
        if running and emit == "final":
            raise UsageError('running totals are never final; give window="1m", say, or emit="updates"')
        place = timestamp if isinstance(timestamp, Timestamp | None) else Timestamp(timestamp)
        found: dict[str, Any] = {
            "windows": chosen,
            "timestamp": place,
            "lateness_ms": 0
            if lateness is None
            else parse_duration(lateness, what="the lateness", zero=True),
            "idle_ms": _IDLE if idle is None else parse_duration(idle, what="the idle timeout"),
            "ahead_ms": _limit(ahead, "any", "how far ahead a line may be dated"),
            "retain_ms": _limit(retain, "all", "the time for which windows are retained"),
            "emit": emit,
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, window: str | Windows | Windowing | None, **options: Any) -> Windowing:
        """What a `window=` argument means.

        Text is the windows, and then any of "late 30s", "idle 1m", "ahead any", "retain 7d" and "final"; and at the
        end, since it may hold blanks, "event" and a timestamp. `options`: more arguments, which text must not have too;
        None stands for one that is not given.

        Raises:
            UsageError: it means nothing.
        """
        options = {name: value for name, value in options.items() if value is not None}
        if isinstance(window, Windowing):
            return window
        if not isinstance(window, str):
            return cls("none" if window is None else window, **options)
        head, event, timestamp = window.partition(" event ")
        windows, *words = head.split() or [""]
        given: dict[str, Any] = {"timestamp": timestamp} if event else {}
        rest = iter(words)
        for word in rest:
            if word == "final":
                given["emit"] = "final"
            elif word in _CLAUSES:
                if (length := next(rest, None)) is None:
                    raise UsageError(
                        f'the window {window!r} does not say how long "{word}" is; write "{word} 30s", say'
                    )
                given[_CLAUSES[word]] = length
            else:
                raise UsageError(
                    f"the window {window!r}: {word!r} is not understood; write a size or size/slide, then any of "
                    '"late 30s", "idle 1m", "ahead 1h", "retain 7d" and "final", and at the end "event" and a regular '
                    'expression or json:path, such as "5m late 30s event json:time"'
                )
        if twice := given.keys() & options.keys():
            name = min(twice)
            raise UsageError(
                f"the window {window!r} says already what {name}={options[name]!r} says once more; say it in one place"
            )
        given |= options
        if windows == "none" and "retain" in given:
            raise UsageError(
                f"running totals are kept for ever, and retain={given['retain']!r} is about windows; give their size, "
                'such as window="1m", or leave it out'
            )
        return cls(windows, **given)

    @property
    def rule(self) -> PaneRule | None:
        """How workers divide lines; None where all lines of a batch lie in the pane of `pane_at`."""
        if self.timestamp is None or not isinstance(self.windows, Tumbling | Sliding):
            return None
        return PaneRule(str(self.timestamp), self.windows.pane_ms)

    def pane_at(self, seconds: float, watermark: int | None) -> int:
        """The pane of a batch that is read at this moment: by the time of processing nothing is late, even if the clock
        was set back."""
        pane, first = self.windows.pane_of(math.floor(seconds * 1000)), self.open_from(watermark)
        return pane if first is None else max(pane, first)

    def believed(self, seconds: float) -> int | None:
        """The latest time of a record that is believed at this moment of the clock; in milliseconds."""
        return None if self.ahead_ms is None else math.floor(seconds * 1000) + self.ahead_ms

    def frontier(self, watermark: int | None) -> int | None:
        """The watermark less the lateness: windows that end there are final."""
        return None if watermark is None else watermark - self.lateness_ms

    def open_from(self, watermark: int | None) -> int | None:
        """The first pane that still takes records; None if all do."""
        return self.windows.open_from(self.frontier(watermark))

    def changed(self, panes: Iterable[int]) -> list[Window]:
        """The windows that a change of these panes changes."""
        return self.windows.over(panes)

    def final(self, panes: Iterable[int], before: int | None, watermark: int | None) -> list[Window]:
        """The windows that become final when the watermark moves from `before`; `panes` are those that exist."""
        return final_windows(self.windows, panes, self.frontier(before), self.frontier(watermark))

    def expired(self, panes: Iterable[int], watermark: int | None) -> list[int]:
        """Which of these panes may go, once the windows that are final have been told of."""
        return expired_panes(self.windows, panes, self.frontier(watermark), self.retain_ms)

    def held(self, panes: Iterable[int], watermark: int | None) -> list[Window]:
        """The windows over these panes that are retained: of others, some panes may have gone."""
        frontier, retain = self.frontier(watermark), self.retain_ms
        windows = self.windows.over(panes)
        if frontier is None or retain is None:
            return windows
        return [window for window in windows if window.end is None or window.end + retain > frontier]

    def ended(self, panes: Iterable[int]) -> int | None:
        """The watermark at which all windows over these panes are final; None if none ever is."""
        ends = [end for pane in panes if (end := self.windows.last_end(pane)) is not None]
        return max(ends) + self.lateness_ms if ends else None

    def fingerprint(self) -> dict[str, str]:
        """What a state is bound to: with other windows its panes would mean something else."""
        return {
            "the windows": str(self.windows),
            "the time of a record": "that at which it is read"
            if self.timestamp is None
            else str(self.timestamp),
        }

    def __str__(self) -> str:
        """As `of` takes it."""
        words = [str(self.windows)]
        if self.lateness_ms:
            words.append(f"late {duration_text(self.lateness_ms)}")
        if self.idle_ms != _IDLE:
            words.append(f"idle {duration_text(self.idle_ms)}")
        if self.ahead_ms != _AHEAD:
            words.append(f"ahead {'any' if self.ahead_ms is None else duration_text(self.ahead_ms)}")
        if self.retain_ms != _RETAIN:
            words.append(f"retain {'all' if self.retain_ms is None else duration_text(self.retain_ms)}")
        if self.emit == "final":
            words.append("final")
        if self.timestamp is not None:
            words.append(f"event {self.timestamp}")
        return " ".join(words)


def _limit(length: Duration | None, unlimited: str, what: str) -> int | None:
    if length is None or length == unlimited:
        return None
    return parse_duration(length, what=what, zero=True)
