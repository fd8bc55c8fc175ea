"""How many keys the tables of a stream have. There may be a hundred thousand panes: nothing here looks at all of them
for one that changes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from itertools import accumulate

from asyncmr.kernel.cold import Place


class KeyCounts:
    """How many keys each table has. `panes`: those that have any, in order; `total`: of all tables."""

    def __init__(self) -> None:
        self._of: dict[int, dict[int, int]] = {}  # by pane, and group
        self._sums: dict[int, int] = {}  # by pane
        self.panes: list[int] = []
        self.total = 0

    def update(self, counts: Mapping[Place, int]) -> None:
        """These tables have so many by now."""
        for (group, pane), keys in counts.items():
            groups = self._of.get(pane)
            if groups is None:
                groups = self._of[pane] = {}
                self._sums[pane] = 0
                insort(self.panes, pane)
            more = keys - groups.get(group, 0)
            groups[group] = keys
            self._sums[pane] += more
            self.total += more

    def drop(self, panes: Iterable[int]) -> None:
        """These panes are gone."""
        for pane in panes:
            if self._of.pop(pane, None) is not None:
                self.total -= self._sums.pop(pane)
                del self.panes[bisect_left(self.panes, pane)]

    def within(self, ranges: Iterable[range]) -> list[tuple[int, int]]:
        """For each range of panes, how many of them have keys, and how many these are together."""
        sums = list(accumulate(map(self._sums.__getitem__, self.panes), initial=0))
        found = []
        for some in ranges:
            begin, end = bisect_left(self.panes, some.start), bisect_left(self.panes, some.stop)
            found.append((end - begin, sums[end] - sums[begin]))
        return found
