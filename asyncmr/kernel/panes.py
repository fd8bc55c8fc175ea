"""Panes: the lines of a block, divided by their time before they are mapped.

Lines that belong to no pane are set aside with the reason, whole and counted: those that came so late that their window
is final, those without a time that can be read, and those dated further ahead of the clock than is believed. The
last would carry the watermark along, and make everything behind them late.

Nearly always a block lies in one pane, and is then taken as it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
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
    """The lines of a block that lie in one pane, in their order."""

    number: int
    data: memoryview


class Aside(NamedTuple):
    """Lines of a block that lie in no pane."""

    reason: Reason
    lines: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Division:
    """A divided block. `panes` by number. `latest`: of each section, the latest time among its lines in panes, in
    milliseconds since 1970; None if it has none."""

    panes: list[Pane]
    aside: list[Aside]
    latest: list[int | None]
    _block: bytes
    _places: list[_Place] | None

    def position(self, pane: int, position: int) -> int:
        """Where in the block that byte is which is at `position` in a pane."""
        if self._places is None:
            return position
        lengths = [len(line) + 1 for line in self._block.split(b"\n")]
        starts = list(accumulate(lengths, initial=0))
        for index, place in enumerate(self._places):
            if place == pane:
                if position < lengths[index]:
                    return starts[index] + position
                position -= lengths[index]
        return len(self._block)


def divide(
    rule: PaneRule,
    data: bytes | memoryview,
    *,
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
        return Division([], [], [None] * max(len(sections), 1), block, None)
    times = times_of(marks)
    known = times.values()
    if None not in known:
        first, last = min(known), max(known)  # type: ignore[type-var]
        place = _place(first, rule.pane_ms, open_from, believed)
        if isinstance(place, int) and place == _place(last, rule.pane_ms, open_from, believed):
            latest = _latest(block, marks, times, sections)
            return Division([Pane(place, memoryview(block))], [], latest, block, None)
    places = {mark: _place(time, rule.pane_ms, open_from, believed) for mark, time in times.items()}
    of_lines = [places[mark] for mark in marks]
    lines_of: dict[_Place, list[bytes]] = {place: [] for place in set(places.values())}
    for line, place in zip(block.split(b"\n"), of_lines, strict=False):
        lines_of[place].append(line)
    taken = {mark: time if isinstance(places[mark], int) else None for mark, time in times.items()}
    return Division(
        [
            Pane(number, memoryview(_joined(lines_of[number])))
            for number in sorted(place for place in lines_of if isinstance(place, int))
        ],
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
