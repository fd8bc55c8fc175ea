"""What a stream has counted since its state was made, and how fast it counts now."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from asyncmr.streaming.mapping import MappedSplit

# Rates are those of so many seconds.
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Totals:
    """What the committed splits come to: the pairs that the mapper made, and the user's counters, by group and name."""

    pairs: int = 0
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def plus(self, splits: Iterable[MappedSplit]) -> Totals:
        """With these splits too."""
        pairs, counters = self.pairs, {group: dict(names) for group, names in self.counters.items()}
        for split in splits:
            pairs += split.pairs
            for (group, name), count in split.counts.items():
                names = counters.setdefault(group, {})
                names[name] = names.get(name, 0) + count
        return Totals(pairs, counters)

    def saved(self) -> dict[str, Any]:
        """What `restored` needs, as JSON, to commit with the splits."""
        return {"pairs": self.pairs, "counters": self.counters}

    @classmethod
    def restored(cls, saved: Mapping[str, Any] | None) -> Self:
        """Goes on with what was saved."""
        return cls() if saved is None else cls(saved["pairs"], saved["counters"])


@dataclass(slots=True)
class Rate:
    """How much is counted a second, over the last seconds."""

    _noted: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, time: float, amount: int) -> None:
        """So much was counted at this moment of the clock."""
        self._noted.append((time, amount))
        self._forget(time)

    def per_second(self, now: float) -> float:
        """As of now."""
        self._forget(now)
        if not self._noted:
            return 0.0
        return sum(amount for _, amount in self._noted) / max(now - self._noted[0][0], 1.0)

    def _forget(self, now: float) -> None:
        while self._noted and self._noted[0][0] < now - _SECONDS:
            self._noted.popleft()
