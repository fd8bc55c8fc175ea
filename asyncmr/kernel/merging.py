"""From sorted runs, fed block by block, to whole keys in order.

The runs of a partition are numbered in input order. The host feeds blocks; the merge asks for the runs that it
needs next. Of every run that is not exhausted the last place fed is known, and the least of these is the bound:
whatever lies before it is complete and is given as one stretch, a slice of each run in input order. A key whose
pairs fill more than a round stops the bound; it is then given as a stretch of its own that asks for more while
it is read, so that a key never has to fit in memory. Memory: what one round feeds, plus at most a block of each run.
"""

from __future__ import annotations

import marshal
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from asyncmr.kernel.blocks import Slice, decode_block
from asyncmr.kernel.layout import Feed, Stretch

# Grouping a few thousand keys at a time keeps their table in the processor's cache: half the time of one large table.
STRETCH_KEYS = 8192


def describe_round(blocks: list[tuple[int, bool]]) -> bytes:
    """The first buffer of a round: for each block behind it, its run and whether it is that run's last."""
    return marshal.dumps(blocks)


@dataclass(slots=True)
class _Run:
    """What has been fed of a run and not been taken."""

    slices: deque[Slice] = field(default_factory=deque)
    last: Any = None
    exhausted: bool = False

    def feed(self, run: Slice, exhausted: bool) -> None:
        self.slices.append(run)
        self.last = run.places[-1]
        self.exhausted = exhausted

    def take(self, bound: Any, *, through: bool) -> Iterator[Slice]:
        """What lies before `bound`; with `through`, also what lies at it."""
        cut = bisect_right if through else bisect_left
        while self.slices:
            run = self.slices[0]
            at = cut(run.places, bound)
            if at < len(run.keys):
                if at:
                    head, self.slices[0] = run.cut(at)
                    yield head
                return
            self.slices.popleft()
            yield run


class Merge:
    """The merge of one partition's runs."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._runs: dict[int, _Run] = {}

    def stretches(self) -> Iterator[Stretch]:
        """Stretches of whole keys, in order. Each must be read before the next is asked for."""
        self._take(self._feed.ask(()))
        while True:
            waiting = [run.last for run in self._runs.values() if not run.exhausted]
            bound = min(waiting, default=None)
            ready = False
            for slices in self._before(bound, complete=not waiting):
                ready = True
                yield Stretch(iter(slices))
            if not waiting:
                return
            if ready:
                self._take(self._feed.ask(self._needed(bound)))
            else:
                endless = self._endless(bound)
                yield Stretch(endless, endless=True)
                deque(endless, maxlen=0)

    def _before(self, bound: Any, *, complete: bool) -> Iterator[list[Slice]]:
        """All that lies before `bound` (all there is, if `complete`), in portions that stay in the cache."""
        runs = [run for _, run in sorted(self._runs.items())]
        longest = max(runs, key=lambda run: sum(len(piece.keys) for piece in run.slices))
        step = max(1, STRETCH_KEYS // len(runs))
        for piece in list(longest.slices):
            for cut in piece.places[step::step]:
                if not complete and not cut < bound:
                    break
                if portion := [part for run in runs for part in run.take(cut, through=False)]:
                    yield portion
        if complete:
            rest = [part for run in runs for part in run.slices]
        else:
            rest = [part for run in runs for part in run.take(bound, through=False)]
        if rest:
            yield rest

    def _needed(self, bound: Any) -> tuple[int, ...]:
        return tuple(
            number
            for number, run in sorted(self._runs.items())
            if not run.exhausted and (not run.slices or not bound < run.last)
        )

    def _endless(self, place: Any) -> Iterator[Slice]:
        for number, run in sorted(self._runs.items()):
            yield from run.take(place, through=True)
            while not run.slices and not run.exhausted:
                self._take(self._feed.ask((number,)))
                yield from run.take(place, through=True)

    def _take(self, buffers: list[memoryview]) -> None:
        described = marshal.loads(buffers[0])
        for (number, exhausted), block in zip(described, buffers[1:], strict=True):
            self._runs.setdefault(number, _Run()).feed(decode_block(block), exhausted)
