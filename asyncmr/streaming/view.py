"""What pages, queries and subscribers ask of a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from asyncmr.streaming.feed import Guarantee

WindowState = Literal["open", "closed"]


class QueueInfo(NamedTuple):
    """How full a queue of the stream is, in bytes or messages.

    Their names, in the order of the data's way: "batches" of the feeds, "epoch", what the one that is open takes in,
    "mappers", the splits on their way through the workers, "epochs" that are closed, "keepers" and "commit", who work
    at one epoch at a time, and "updates", of the subscriber for whom most is waiting.
    """

    name: str
    held: int
    capacity: int


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """How far a feed has been read. `position`: as text, for people; `lag`: bytes not read yet, where that is known."""

    name: str
    guarantee: Guarantee
    partitions: int
    position: str
    lag: int | None = None


@dataclass(frozen=True, slots=True)
class WindowInfo:
    """A window: seconds since 1970, `end` exclusive; None where the stream has no windows and all time is one.

    `keys`: how many it has; not `exact`: at most so many, since one that is in several panes of an overlapping window
    counts in each.
    """

    start: float | None
    end: float | None
    keys: int
    state: WindowState
    exact: bool = True


@dataclass(frozen=True, slots=True)
class StreamStats:
    """How a stream is doing: as of its last committed epoch, except the queues, which are as of now.

    `committed_at`: seconds since 1970, None before the first commit; `checkpoint_age`: the seconds that have passed
    since, which are many where nothing comes; `commit_seconds`: what the last commit took, the keepers' part too.
    `records`, `bytes` and `pairs`, which the mapper made of them (of a word count, the words), are since the state was
    made; the rates are those of the last seconds. `late`: records that came behind the watermark; `skipped`: those on
    which the mapper failed. `keys`: one counts once for each pane of time that it is in; `cold_keys`: those that are on
    disk alone; `overflow`: about how many, within 2 %, were not taken in because of `max_keys`. `counters`: what the
    mapper counts with `asyncmr.counter`, by group and name.
    """

    epoch: int
    committed_at: float | None
    records: int
    bytes: int
    records_per_second: float
    keys: int
    pairs: int = 0
    pairs_per_second: float = 0.0
    checkpoint_age: float | None = None
    commit_seconds: float = 0.0
    late: int = 0
    skipped: int = 0
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cold_keys: int = 0
    overflow: int = 0
    queues: tuple[QueueInfo, ...] = ()
    watermark: float | None = None
    state_bytes: int = 0
    sources: tuple[SourceInfo, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Update:
    """What an epoch changed in a window: keys with their new values. `window`: its start, None without windows.
    `final`: nothing will change in it any more, and these are all of its keys. When more than some thousand keys
    changed, several updates tell of them, and `last` is true of the last one alone."""

    epoch: int
    window: float | None
    changes: list[tuple[Any, Any]]
    final: bool = False
    last: bool = True


class View(Protocol):
    """A stream as those see it who only ask. All answers are of committed epochs."""

    async def top(self, k: int, window: float | None = None) -> list[tuple[Any, Any]]:
        """The `k` keys with the largest values, largest first, equal ones in the order of the key."""

    async def get(self, key: Any, window: float | None = None) -> Any:
        """The value of a key; None if the window has none."""

    async def windows(self) -> list[WindowInfo]:
        """The windows that the state holds, oldest first."""

    def stats(self) -> StreamStats:
        """How the stream is doing."""

    def updates(self) -> AsyncGenerator[Update, None]:
        """What each epoch changes, from now on."""
