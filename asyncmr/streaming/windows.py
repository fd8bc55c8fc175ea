"""Windows: which stretches of time a stream answers for.

Time is divided into *panes*, numbered stretches of equal length, and what the records of a pane come to is kept once.
A window is some neighbouring panes: one where windows follow each other, several where they overlap. So a record is
mapped and reduced once, in however many windows it lies.

All times are whole milliseconds since 1970, UTC; ends are exclusive. Kinds of windows are values without state. What
decides when windows are told of (`emission`) asks only which windows lie over the panes that exist; so windows that
follow from the data, as sessions do, can join.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple, Protocol

from asyncmr.errors import UsageError
from asyncmr.streaming.durations import Duration, duration_text, parse_duration


class Window(NamedTuple):
    """A stretch of time in milliseconds since 1970; `end` is the first that is not in it. None: without end."""

    start: int | None
    end: int | None


class Windows(Protocol):
    """A kind of windows. `str()` gives it as text, from which `parse_windows` makes an equal one."""

    def pane_of(self, time: int) -> int:
        """The number of the pane in which a moment lies."""

    def over(self, panes: Iterable[int]) -> list[Window]:
        """The windows in which at least one of these panes lies, by their start."""

    def panes_of(self, window: Window) -> range:
        """The panes of a window."""

    def first_after(self, time: int) -> int | None:
        """The first pane of the windows that end after `time`; None if all are."""

    def open_from(self, frontier: int | None) -> int | None:
        """The first pane of which no window has ended at `frontier` (None: before all time); None if all are open.

        It never goes back when `frontier` does not.
        """

    def last_end(self, pane: int) -> int | None:
        """When the last window with this pane ends; None: never."""


@dataclass(frozen=True, slots=True)
class RunningTotals:
    """All time as one window, in one pane, which never ends."""

    def pane_of(self, time: int) -> int:
        return 0

    def over(self, panes: Iterable[int]) -> list[Window]:
        return [Window(None, None)] if any(True for _ in panes) else []

    def panes_of(self, window: Window) -> range:
        return range(1)

    def first_after(self, time: int) -> int | None:
        return None

    def open_from(self, frontier: int | None) -> int | None:
        return None

    def last_end(self, pane: int) -> int | None:
        return None

    def __str__(self) -> str:
        return "none"


class _Paned:
    """What windows of a fixed size have in common: they start at the multiples of their slide."""

    __slots__ = ()
    size_ms: int
    slide_ms: int

    @property
    def pane_ms(self) -> int:
        """The length of a pane: windows begin and end where panes do."""
        return gcd(self.size_ms, self.slide_ms)

    def pane_of(self, time: int) -> int:
        return time // self.pane_ms

    def over(self, panes: Iterable[int]) -> list[Window]:
        pane, size, slide = self.pane_ms, self.size_ms, self.slide_ms
        starts: list[int] = []
        for number in sorted(panes):
            last = number * pane // slide * slide
            first = ((number + 1) * pane - size + slide - 1) // slide * slide
            # Neighbouring panes are in nearly the same windows.
            begin = max(first, starts[-1] + slide) if starts else first
            starts.extend(range(begin, last + 1, slide))
        return [Window(start, start + size) for start in starts]

    def panes_of(self, window: Window) -> range:
        assert window.start is not None
        assert window.end is not None
        return range(window.start // self.pane_ms, window.end // self.pane_ms)

    def first_after(self, time: int) -> int | None:
        return ((time - self.size_ms) // self.slide_ms + 1) * self.slide_ms // self.pane_ms

    def open_from(self, frontier: int | None) -> int | None:
        if frontier is None:
            return None
        # The last end that has come: all panes before it are in a window that has ended.
        ended = (frontier - self.size_ms) // self.slide_ms * self.slide_ms + self.size_ms
        return ended // self.pane_ms

    def last_end(self, pane: int) -> int | None:
        return pane * self.pane_ms // self.slide_ms * self.slide_ms + self.size_ms


@dataclass(frozen=True, init=False)
class Tumbling(_Paned):
    """Windows of one size, each of which begins where the last one ended; an hour's begin at the full hour, UTC.

        Tumbling("1m")

    `size`: text such as "1m" or "1h30m", a number of seconds, or a timedelta.

    Raises:
        UsageError: it is no length of time, or not positive.
    """

    size_ms: int

    def __init__(self, size: Duration) -> None:
        object.__setattr__(self, "size_ms", parse_duration(size, what="the size of the windows"))

    @property
    def slide_ms(self) -> int:  # type: ignore[override]
        return self.size_ms

    def __str__(self) -> str:
        return duration_text(self.size_ms)


# A window's table is merged from its panes' tables, and a changed key is told of in so many windows.
_MOST_PANES = 10_000


@dataclass(frozen=True, init=False)
class Sliding(_Paned):
    """Windows of one size, one of which begins every `slide`: the last ten minutes, told every minute.

        Sliding("10m", "1m")

    Every moment lies in about `size / slide` windows. Lengths are text, seconds or timedeltas.

    Raises:
        UsageError: they are no lengths of time, the slide is longer than the size, or there would be more than 10,000
            panes in a window, of the greatest common divisor of the two.
    """

    size_ms: int
    slide_ms: int

    def __init__(self, size: Duration, slide: Duration) -> None:
        object.__setattr__(self, "size_ms", parse_duration(size, what="the size of the windows"))
        object.__setattr__(self, "slide_ms", parse_duration(slide, what="the slide of the windows"))
        if self.slide_ms > self.size_ms:
            raise UsageError(
                f"windows of {duration_text(self.size_ms)} every {duration_text(self.slide_ms)} would leave "
                "out what lies between them; give a slide that is at most the size"
            )
        if self.size_ms // self.pane_ms > _MOST_PANES:
            raise UsageError(
                f"windows of {duration_text(self.size_ms)} every {duration_text(self.slide_ms)} have "
                f"{self.size_ms // self.pane_ms:,} panes of {duration_text(self.pane_ms)} each, and may have "
                f"{_MOST_PANES:,}; give a longer slide, best one that divides the size"
            )

    def __str__(self) -> str:
        return f"{duration_text(self.size_ms)}/{duration_text(self.slide_ms)}"


def parse_windows(text: str) -> Windows:
    """Windows as text: "none", a size, "1m", or size/slide, "10s/1s".

    Raises:
        UsageError: it is neither.
    """
    if text == "none":
        return RunningTotals()
    size, slash, slide = text.partition("/")
    return Sliding(size, slide) if slash else Tumbling(size)
