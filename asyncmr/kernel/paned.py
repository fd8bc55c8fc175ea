"""Mapping by panes: a split whose lines are divided by their time, and each pane mapped as if it were the split.

The lines are put in the order of their panes first, and positions are those in what comes of that. What is mapped
leaves as runs, as from any split, except that shares are numbered through all panes: of the pane that comes first, then
of the next.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from copy import copy
from itertools import groupby
from time import perf_counter
from typing import Any, NamedTuple

from asyncmr.batches import batch_kind
from asyncmr.kernel.failures import UserFailure
from asyncmr.kernel.layout import Feed
from asyncmr.kernel.mapping import Work, cuts_between, share_of
from asyncmr.kernel.outlets import ChunkOutlet, Item, Outlet, RunOutlet
from asyncmr.kernel.panes import Division, PaneRule, divide
from asyncmr.kernel.program import StepProgram, Task, add_blocks
from asyncmr.kernel.several import TAG, Part, Several, number_of
from asyncmr.protocols import Decoder


class PaneCut(NamedTuple):
    """What the host says of a split; as `divide` takes it."""

    open_from: int | None = None
    believed: int | None = None
    sections: tuple[int, ...] = ()


class PanedProgram(StepProgram):
    """A step whose lines are divided by their time. The tasks that map are those of `paned`.

    `shares`: how many there are in a pane.
    """

    def __init__(self, *, rule: PaneRule, shares: int, **others: Any) -> None:
        super().__init__(**others)
        self._rule = rule
        self._shares = shares
        self._cut = PaneCut()
        self._division: Division | None = None
        self._last: dict[tuple[bytes, PaneCut], Division] = {}

    def paned(self, argument: tuple[tuple[Any, ...], str, Any], feed: Feed) -> Task:
        """Another method on a split. `argument`: a `PaneCut`, the name of the method, and its argument."""
        cut, method, own = argument
        program = copy(self)
        program._cut = PaneCut(*cut)
        return getattr(program, method)(own, feed)  # type: ignore[no-any-return]

    def map(self, argument: tuple[int, bool, bool, bytes], feed: Feed) -> Task:
        """As of any split; then come the lines that are in no pane, items `("aside", reason)`.

        Further facts: `panes`, their numbers; `aside`, how many lines, by reason, in the order of the items, which are
        among the `records`; `latest`, the latest time of each section.
        """
        (data,) = feed.ask(())
        division = divide(self._rule, data, *self._cut)
        facts = yield from self._within(division, super().map, argument)
        for aside in division.aside:
            yield ("aside", aside.reason), aside.data
        return {
            **facts,
            "records": facts["records"] + sum(aside.lines for aside in division.aside),
            "panes": [pane.number for pane in division.panes],
            "aside": {aside.reason: aside.lines for aside in division.aside},
            "latest": division.latest,
        }

    def share(self, argument: tuple[int, int], feed: Feed) -> Task:
        """As of any split."""
        (data,) = feed.ask(())
        return (yield from self._within(self._divided(bytes(data)), super().share, argument))

    def _divided(self, data: bytes) -> Division:
        """The shares of a split mostly go to the same few workers, and each would divide it again."""
        division = self._last.get((data, self._cut))
        if division is None:
            division = divide(self._rule, data, *self._cut)
            self._last.clear()
            self._last[data, self._cut] = division
        return division

    def _within(self, division: Division, method: Callable[[Any, Feed], Task], argument: Any) -> Task:
        """The method on the divided lines; what fails is told with its place in the split."""
        self._division = division
        if self._guarding is not None:
            self._guarding.left_out.origin = division.origin
        try:
            return (yield from method(argument, _Once(memoryview(division.data))))
        except UserFailure as failure:
            for name in ("position", "last"):
                if failure.facts.get(name) is not None:
                    failure.facts[name] = division.origin(failure.facts[name])
            raise

    def _whole(self, data: memoryview) -> Work:
        return self._mapped(data, 0, len(data))

    def _mapped(self, data: memoryview, start: int, stop: int) -> Work:
        assert self._division is not None
        parts = []
        for place, pane in enumerate(self._division.panes):
            begin, end = max(start, pane.start), min(stop, pane.stop)
            if begin < end:
                parts.append(Part(place, super()._mapped(data, begin, end), begin, end))
        if not parts:
            parts.append(Part(0, super()._mapped(data, 0, 0), 0, 0))
        kind = batch_kind(self._mapper)
        return _Panes(parts, self._decoder, data, None if kind is None else kind.size)

    def _taken_up(self, blocks: list[memoryview], outlet: RunOutlet | ChunkOutlet) -> Iterator[Item]:
        assert isinstance(outlet, PanedOutlet)
        for place, some in groupby(blocks, key=number_of):
            yield from outlet.turn(place)
            yield from add_blocks(self._mapping, [block[TAG:] for block in some], outlet)

    def _outlet(self, index: int, bounds: bytes) -> RunOutlet:
        reduction, layout = self._shuffle()
        return PanedOutlet(
            reduction, layout, folds=reduction.folds, table_bytes=self._table_bytes, shares=self._shares
        )


class PanedOutlet(RunOutlet):
    """The pairs of one pane after the other, each into a table of its own. `shares`: how many there are in a pane."""

    def __init__(self, *arguments: Any, shares: int, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self._shares = shares
        self._place = 0

    def turn(self, place: int) -> Iterator[Item]:
        """What comes is of this pane; gives the runs of the one before it."""
        if place != self._place:
            yield from self.finish()
            self._place = place

    def finish(self) -> Iterator[Item]:
        first = self._place * self._shares
        for (kind, flush, shares, ends), data in super().finish():
            numbers = array("I", (first + share for share in memoryview(shares).cast("I")))
            yield (kind, flush, numbers.tobytes(), ends), data

    def put_down(self) -> tuple[tuple[Any, ...], bytes]:
        state, table = super().put_down()
        return (self._place, state), table

    def take_up(self, state: tuple[Any, ...], data: memoryview) -> None:
        self._place, own = state
        super().take_up(own, data)


class _Panes(Several):
    """The mappers of panes at work. `batch`: the bytes of a batch, of a mapper that takes batches: a pane is cut where
    one of them ends, which it knows itself."""

    def __init__(self, parts: list[Part], decoder: Decoder, data: memoryview, batch: int | None) -> None:
        super().__init__(parts)
        self._decoder = decoder
        self._data = data
        self._batch = batch

    def into(self, outlet: Outlet) -> Iterator[Item]:
        assert isinstance(outlet, PanedOutlet)
        began, before = perf_counter(), 0
        for at, part in enumerate(self._parts):
            yield from outlet.turn(part.number)
            yield from part.work.into(outlet)
            cuts: list[int] = []
            if left := part.work.left:
                cuts = self._cuts(at, left, bytes(self._data[left[0] : left[1]]).count(b"\n"))
            elif at == 0:  # it may have paid for an import
                began, before = perf_counter(), self.records
            elif not self.patient and (share := share_of(self.records - before, perf_counter() - began)):
                cuts = self._cuts(at, [part.stop], share)
            if left or len(cuts) > 2:
                self.left, self._resting = cuts, part
                return

    def _cuts(self, at: int, left: list[int], share: int) -> list[int]:
        """Where to cut the rest, which begins with what is `left` of a pane, into shares of so many records."""
        stop = self._parts[-1].stop
        if self._batch is None:
            return cuts_between(self._decoder, self._data, left[0], stop, share)
        cuts = left[:-1]
        for later in self._parts[at + 1 :]:
            if not cuts or later.start - cuts[-1] >= self._batch:
                cuts.append(later.start)
        return [*cuts, stop]


class _Once:
    """Feeds one buffer."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def ask(self, wanted: tuple[int, ...]) -> list[memoryview]:
        return [self._data]
