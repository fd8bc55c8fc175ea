"""Watching: some values of some keys, put aside beside a table, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from asyncmr.kernel.counterexamples import Kept
from asyncmr.kernel.footprint import estimate_bytes

# Of one key, so many values, of so many bytes each.
MOST_VALUES = 8
_VALUE_BYTES = 64 << 10
# Of one table, so many keys, of so many bytes together.
MOST_KEYS = 256
_TABLE_BYTES = 2 << 20
# Keys are chosen among the first of a table. A hash costs several times a look whether a key was chosen.
CANDIDATES = 1 << 12
WINDOW = 1 << 15
# Values that come one by one are looked at when there are so many of them.
_LOOKS = frozenset({2, 3, MOST_VALUES})


class Watched:
    """What is put aside beside a table. `room`: the pairs that are still looked at, of which the first `candidates`
    are hashed."""

    __slots__ = ("_bytes", "candidates", "keys", "room")

    def __init__(self) -> None:
        self.keys: dict[Any, list[Kept]] = {}
        self.candidates = CANDIDATES
        self.room = WINDOW
        self._bytes = 0

    def add(self, key: Any, value: Any) -> list[Kept] | None:
        """Puts a value of a key aside; gives what is there of the key, if it is time to look at that."""
        values = self.keys.get(key)
        if values is None:
            if len(self.keys) >= MOST_KEYS:
                return None
            values = self.keys[key] = []
        elif not values or len(values) >= MOST_VALUES:
            return None
        kept = _kept(value)
        if kept is None or self._bytes + kept.size > _TABLE_BYTES:
            # What follows is no neighbour of what came before.
            self._drop(values)
            return None
        self._bytes += kept.size
        values.append(kept)
        return values if len(values) in _LOOKS else None

    def _drop(self, values: list[Kept]) -> None:
        self._bytes -= sum(kept.size for kept in values)
        values.clear()


def _kept(value: Any) -> Kept | None:
    """A value put aside; None if it is too large, or cannot be: then the job says so when it moves it."""
    if estimate_bytes([value]) > _VALUE_BYTES:  # before it is pickled, which may cost far more
        return None
    with suppress(Exception):
        kept = Kept.of(value)
        return kept if kept.size <= _VALUE_BYTES else None
    return None


def all_kept(values: list[Any]) -> Iterator[Kept]:
    """The values, up to the first that cannot be put aside."""
    for value in values:
        kept = _kept(value)
        if kept is None:
            return
        yield kept
