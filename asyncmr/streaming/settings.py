"""What a stream was asked for, checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from asyncmr.errors import UsageError
from asyncmr.job import Job
from asyncmr.protocols import Decoder
from asyncmr.streaming.division import Division
from asyncmr.streaming.feed import Clock
from asyncmr.streaming.mapping import key_groups, streamable
from asyncmr.streaming.store import StateStore
from asyncmr.streaming.windowing import Windowing
from asyncmr.streaming.windows import RunningTotals

Executor = Literal["process", "thread", "inline"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of a `Stream`, as they are described there. `folder`: that of the state; None for one of its own.

    Raises:
        UsageError: the job cannot be streamed, or a number is none that it can be.
    """

    job: Job
    windowing: Windowing
    division: Division
    folder: str | os.PathLike[str] | None
    interval: float
    keepers: int
    executor: Executor
    max_keys: int | None
    skip_limit: int | None
    decoder: Decoder
    clock: Clock
    durable: bool
    make_store: Callable[..., StateStore]

    def __post_init__(self) -> None:
        streamable(self.job)
        if not self.interval > 0:
            raise UsageError(
                f"interval={self.interval} is no time; give seconds between two commits, 0.2 say"
            )
        if isinstance(self.skip_limit, float):
            raise UsageError(
                f"skip_limit={self.skip_limit} is a share, and of a stream nobody knows the whole; give a number, for "
                "the life of the state, or None for any"
            )
        groups = key_groups(self.job)
        if self.max_keys is not None and self.max_keys < groups:
            raise UsageError(
                f"max_keys={self.max_keys} is less than one key for each of the {groups} key groups that the state is "
                "divided into; give more, or the job fewer partitions="
            )

    @property
    def windowed(self) -> bool:
        """Whether there are windows, rather than running totals."""
        return not isinstance(self.windowing.windows, RunningTotals)
