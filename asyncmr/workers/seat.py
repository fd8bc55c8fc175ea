"""Seat: one worker as the pool and its sessions see it, whichever executor it belongs to."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from asyncmr.workers.output import Output


class Slot(Protocol):
    """A worker of one of the three executors."""

    maps_segments: bool

    @property
    def output(self) -> Output | None: ...
    @property
    def sentinel(self) -> int | None: ...
    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def call(self, operation: str, *arguments: Any) -> asyncio.Future[Any]: ...
    def disconnect(self) -> None: ...
    def kill(self) -> None: ...
    def join(self) -> int | None: ...
    def stop(self) -> None: ...


class Occupant(Protocol):
    """The session that holds a seat."""

    @property
    def calling(self) -> bool: ...
    def fail(self, exc: Exception) -> None: ...


class Seat:
    """A slot as the pool sees it. `ended` is its exit code to be, once the slot was given up.

    `dead`: its process was seen to end, although a session may still have to hear of it. `cause`: why it died, if it
    did so by itself, once it has ended. `about`: what its session, or the last that it had, is about.
    """

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.programs: set[int] = set()  # a hint: the worker asks for a program that it has dropped
        self.prepared: set[int] = set()  # the same for programs that were prepared there, and for their parts
        self.session: Occupant | None = None
        self.about: object = None
        self.dead = False
        self.cause: str | None = None
        self.ended: asyncio.Future[int | None] | None = None
