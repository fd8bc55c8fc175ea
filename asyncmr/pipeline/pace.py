"""How fast something grows, told from the times at which somebody looked: nothing is noted while nobody does."""

from __future__ import annotations

from collections import deque

# Over so many seconds a rate is taken: several tasks of most jobs, and short enough to show that one has stopped.
WINDOW = 5.0
# Looks that follow each other faster than this, in seconds, are not noted, so that there are never many.
_APART = 0.1


class Pace:
    """The rate of a count that was 0 at the time `began`. Times are in seconds, of any one clock."""

    def __init__(self, began: float) -> None:
        self._seen = deque([(began, 0)])

    def rate(self, now: float, count: int) -> float | None:
        """How much the count grew in a second: over the window, or longer if nobody has looked within it."""
        seen = self._seen
        while len(seen) > 1 and seen[1][0] <= now - WINDOW:
            seen.popleft()
        since, before = seen[0]
        if now - seen[-1][0] >= _APART:
            seen.append((now, count))
        return (count - before) / (now - since) if now > since else None
