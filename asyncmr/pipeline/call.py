"""What an async function is called with, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asyncmr.counters import Counts
from asyncmr.protocols import Pair, Piece


class Record(NamedTuple):
    """What a function is called with. `position`: where it lies in its split; None for a key and its values. `pieces`:
    of that split, since a call that fails is told before earlier portions are done. `size`: what it takes in memory.
    `faults`: errors of ours that the function met when it asked for values."""

    key: Any
    value: Any
    position: int | None
    size: int
    faults: Sequence[Exception] = ()
    pieces: tuple[Piece, ...] = ()

    @property
    def shown(self) -> Any:
        """What errors and dead letters show of it."""
        if self.position is None:
            return self.key
        return self.value if self.key is None else (self.key, self.value)


@dataclass(slots=True, eq=False)
class Call:
    """One record, and what became of it: `pairs` and `counts`, or the `error` of the last attempt.

    `repeats`: how many attempts there were after the first. `timed_out`: it took too long. `fatal`: it cannot be left
    out. `is_final`: it fails the job. `closed`: it was ended by force. `size`: what its pairs take in memory.
    """

    record: Record
    number: int
    pairs: list[Pair] = field(default_factory=list)
    counts: Counts = field(default_factory=dict)
    error: BaseException | None = None
    repeats: int = 0
    timed_out: bool = False
    fatal: bool = False
    is_final: bool = False
    ended: bool = False
    closed: bool = False
    context: Context = field(default_factory=copy_context)
    size: int = 0
