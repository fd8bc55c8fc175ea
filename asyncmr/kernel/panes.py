"""Panes: the lines of a block, divided by their time before they are mapped.

Lines that belong to no pane are set aside with the reason, whole and counted: those that came so late that their window
is final, those without a time that can be read, and those dated further ahead of the clock than is believed. The
last would carry the watermark along, and make everything behind them late.

Nearly always a block lies in one pane, and is then taken as it is.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Literal, NamedTuple

from asyncmr.kernel.instants import times_of
from asyncmr.kernel.timestamps import Marks, Timestamp

Reason = Literal["late", "untimed", "ahead"]
REASONS: tuple[Reason, ...] = ("late", "untimed", "ahead")
# The number of a pane, or why a line is in none.
_Place = int | Reason


class PaneRule(NamedTuple):
    """How lines are divided: where their time is, as `Timestamp` takes it, and how long a pane is, in milliseconds."""

    timestamp: str
    pane_ms: int


class Pane(NamedTuple):
    """The lines of a block that lie in one pane, in their order: where they begin and end in what was divided."""

    number: int
    start: int
    stop: int


class Aside(NamedTuple):
    """Lines of a block that lie in no pane."""

    reason: Reason
    lines: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Division:
    """A divided block: `data`, the lines of the panes by their number, one pane's behind the other's. `latest`: of each
    section, the latest time among its lines in panes, in milliseconds since 1970; None if it has none."""

    data: bytes
    panes: list[Pane]
    aside: list[Aside]
    latest: list[int | None]
    _block: bytes
    _places: list[_Place] | None
    # Where each line of `data` begins, there and in the block; worked out when somebody asks.
    _starts: list[tuple[int, int]] = field(default_factory=list)

    def origin(self, position: int) -> int:
        """Where in the block that byte is which is at a position of `data`."""
        if self._places is None:
            return position
        if not self._starts:
            lengths = [len(line) + 1 for line in self._block.split(b"\n")]
            begins = list(accumulate(lengths, initial=0))
            taken = [(place, line) for line, place in enumerate(self._places) if isinstance(place, int)]
            lines = [line for _, line in sorted(taken)]
            starts = accumulate((lengths[line] for line in lines), initial=0)
            self._starts[:] = [(start, begins[line]) for start, line in zip(starts, lines, strict=False)]
        start, begin = self._starts[bisect(self._starts, position, key=itemgetter(0)) - 1]
        return begin + position - start


def divide(
    rule: PaneRule,
    data: bytes | memoryview,
    open_from: int | None = None,
    believed: int | None = None,
    sections: Sequence[int] = (),
) -> Division:
    """Divides whole lines.

    `open_from`: the first pane that takes lines; those of panes before are late. `believed`: the latest time that is
    taken for one, in milliseconds since 1970. None: no such limit. `sections`: where parts of the block end that were
    read from different partitions, each at a line end; by default it is all one.
    """
    block = bytes(data)
    marks = Timestamp(rule.timestamp).marks(block)
    if not marks:
        return Division(block, [], [], [None] * max(len(sections), 1), block, None)
    times = times_of(marks)
    known = times.values()
    if None not in known:
        first, last = min(known), max(known)  # type: ignore[type-var]
        place = _place(first, rule.pane_ms, open_from, believed)
        if isinstance(place, int) and place == _place(last, rule.pane_ms, open_from, believed):
            latest = _latest(block, marks, times, sections)
            return Division(block, [Pane(place, 0, len(block))], [], latest, block, None)
    places = {mark: _place(time, rule.pane_ms, open_from, believed) for mark, time in times.items()}
    of_lines = [places[mark] for mark in marks]
    lines_of: dict[_Place, list[bytes]] = {place: [] for place in set(places.values())}
    for line, place in zip(block.split(b"\n"), of_lines, strict=False):
        lines_of[place].append(line)
    taken = {mark: time if isinstance(places[mark], int) else None for mark, time in times.items()}
    numbers = sorted(place for place in lines_of if isinstance(place, int))
    joined = [_joined(lines_of[number]) for number in numbers]
    ends = accumulate(map(len, joined), initial=0)
    return Division(
        b"".join(joined),
        [Pane(number, start, stop) for number, (start, stop) in zip(numbers, pairwise(ends), strict=True)],
        [
            Aside(reason, len(lines_of[reason]), _joined(lines_of[reason]))
            for reason in REASONS
            if reason in lines_of
        ],
        _latest(block, marks, taken, sections),
        block,
        of_lines,
    )


def _place(time: int | None, pane_ms: int, open_from: int | None, believed: int | None) -> _Place:
    if time is None:
        return "untimed"
    if believed is not None and time > believed:
        return "ahead"
    number = time // pane_ms
    return "late" if open_from is not None and number < open_from else number


def _latest(
    block: bytes, marks: Marks, times: dict[Hashable, int | None], sections: Sequence[int]
) -> list[int | None]:
    """The latest time of the marks of each section."""
    if len(sections) < 2:
        return [_last(times.values())]
    latest = []
    start = line = 0
    for end in sections:
        behind = len(marks) if end == len(block) else line + block.count(b"\n", start, end)
        latest.append(_last(map(times.__getitem__, set(marks[line:behind]))))
        start, line = end, behind
    return latest


def _last(times: Iterable[int | None]) -> int | None:
    return max((time for time in times if time is not None), default=None)


def _joined(lines: list[bytes]) -> bytes:
    return b"\n".join((*lines, b""))
