"""What a stream commits: epochs, and moves of keys between what is hot and what is cold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncmr.kernel.cold import Place

Aside = tuple[str, int, bytes]
"""Lines that count nowhere: why, how many, and they."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What an epoch changed in one table; `whole`: it is all of the table. The first `returned` of its keys have come
    back from the cold: what their rows say counts no more."""

    place: Place
    data: bytes
    whole: bool
    returned: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """An epoch. `time`: when, in seconds since the epoch. `records`, `bytes`: what it read. `positions`: by feed and
    partition. `tokens`: by feed. `dropped`: panes that are not needed any more. `aside`: lines
    that count nowhere. `notes`: what else is to be known after a restart, as JSON-able values
    by name."""

    epoch: int
    time: float
    records: int = 0
    bytes: int = 0
    deltas: Sequence[Delta] = ()
    positions: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    tokens: Sequence[tuple[str, str]] = ()
    dropped: Sequence[int] = ()
    aside: Sequence[Aside] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Move:
    """Keys of a place that become cold: what `stays` hot, and the `rows` that come, as JSON and the bytes behind it.
    `stale`: hashes of rows that go, as JSON. `cold`: how many rows there are then.

    It changes where keys are, and nothing of what they are.
    """

    place: Place
    rows: list[tuple[bytes, bytes]] = field(default_factory=list)
    stale: bytes = b""
    stays: bytes = b""
    cold: int = 0
