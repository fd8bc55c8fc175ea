"""Which tasks are slow: those that take much longer for each byte than most others of their kind did."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable

# So many tasks of a kind must have ended before another can be called slow.
_FEWEST = 3
# Slow is what takes so many times as long as the median, and at least so many seconds: a rival costs a worker's
# time, and the loser's worker a new process.
_TIMES = 2.0
_SECONDS = 0.3


class Stragglers:
    """The pace of the tasks that have ended, by kind."""

    def __init__(self) -> None:
        self._paces: dict[Hashable, list[float]] = {}

    def note(self, kind: Hashable, size: int, seconds: float) -> None:
        """A task of `size` bytes has ended, so many seconds after its worker began."""
        insort(self._paces.setdefault(kind, []), seconds / max(size, 1))

    def is_slow(self, kind: Hashable, size: int, seconds: float) -> bool:
        """Whether a task that has run for so many seconds is."""
        paces = self._paces.get(kind, [])
        if len(paces) < _FEWEST or seconds < _SECONDS:
            return False
        return seconds > _TIMES * paces[len(paces) // 2] * max(size, 1)
