"""Marks: where a worker was when it died.

Before a guarded attempt calls a user function it writes into a file, its trail, what it calls it for. A few bytes in
the page cache survive whatever kills the process.
"""

from __future__ import annotations

import struct
from time import monotonic
from typing import NamedTuple

# Whose calls are numbered, each role's from 0: a mapper's records, a reducer's keys, and the pairs that a following
# mapper gets. What is called for many of them at once is a bundle, such as the batch of a batch function.
BUNDLE_OF = {"mapper": "records", "reducer": "keys", "following": "pairs"}
BUNDLES = tuple(BUNDLE_OF.values())
ROLES = (*BUNDLE_OF, *BUNDLES)
Place = tuple[str, int]
"""A role, and the number of the call."""

_MARK = struct.Struct("<bqd")
NO_MARK = _MARK.pack(-1, 0, 0.0)


class Mark(NamedTuple):
    """The call that a worker was in, since when (`time.monotonic`)."""

    place: Place
    since: float

    @classmethod
    def read(cls, trail: bytes) -> Mark | None:
        """What a trail says; None if the worker was in no call."""
        role, number, since = _MARK.unpack(trail)
        return None if role < 0 else cls((ROLES[role], number), since)


class Marks:
    """Leaves marks in a trail, a file that holds `NO_MARK`. Close it."""

    def __init__(self, trail: str) -> None:
        self._trail = open(trail, "r+b", buffering=0)  # noqa: SIM115
        self._marked = False

    def set(self, place: Place) -> None:
        """A call begins."""
        role, number = place
        self._write(_MARK.pack(ROLES.index(role), number, monotonic()))
        self._marked = True

    def clear(self) -> None:
        """What the worker does now is nobody's call: to die of it does not speak against the last one."""
        if self._marked:
            self._write(NO_MARK)
            self._marked = False

    def close(self) -> None:
        """Closes the trail."""
        self._trail.close()

    def _write(self, mark: bytes) -> None:
        self._trail.seek(0)
        self._trail.write(mark)
