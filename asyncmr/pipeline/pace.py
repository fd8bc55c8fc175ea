"""How fast something grows, told from the times at which somebody looked: nothing is noted while nobody does."""

from __future__ import annotations

from collections import deque

# A rate is taken over so many seconds, and over so many steps: tasks that take long make few steps.
WINDOW = 5.0
STEPS = 4
# Looks that follow each other faster than this, in seconds, are not noted, so that there are never many.
APART = 0.1


class Pace:
    """The rate of a count that was 0 at the time `began`. Times are in seconds, of any one clock."""

    def __init__(self, began: float) -> None:
        self._steps = deque([(began, 0)])

    def rate(self, now: float, count: int) -> float | None:
        """How much the count grew in a second, lately; it falls while nothing grows."""
        steps = self._steps
        while len(steps) > STEPS and steps[1][0] <= now - WINDOW:
            steps.popleft()
        since, before = steps[0]
        last, noted = steps[-1]
        if count != noted and now - last >= APART:
            steps.append((now, count))
        return (count - before) / (now - since) if now > since else None
