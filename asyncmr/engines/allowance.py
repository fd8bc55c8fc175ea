"""Allowance: how much one job may say, so that a print for each of ten million records holds nobody up."""

from __future__ import annotations

# Lines a second; more than anybody reads, and a few hundredths of the loop's time.
LINES = 1_000
WINDOW = 1.0


class Allowance:
    """Counts lines of one kind, in windows of a second, and those that were dropped."""

    def __init__(self) -> None:
        self._dropped = 0
        self._left = 0
        self._until = float("-inf")

    def take(self, wanted: int, now: float) -> tuple[int, int]:
        """How many of `wanted` lines may pass now; and how many were dropped, when a new window begins."""
        told = 0
        if now >= self._until:
            self._left, self._until = LINES, now + WINDOW
            told = self.told()
        taken = min(wanted, self._left)
        self._left -= taken
        self._dropped += wanted - taken
        return taken, told

    def drop(self) -> None:
        """One that might have passed did not."""
        self._dropped += 1

    def told(self) -> int:
        """How many were dropped since that was last told."""
        dropped, self._dropped = self._dropped, 0
        return dropped
