"""The last stage: hands finished parts to the sink, and makes the output visible when all are there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asyncmr.actors import Actor
from asyncmr.job import PartWriter
from asyncmr.pipeline.messages import Part

Accept = Callable[[int, PartWriter], Awaitable[None]]


class SinkActor(Actor[Part, None]):
    """Has parts accepted, in any order. The sink itself is committed or aborted by the flow, which owns it."""

    def __init__(self, accept: Accept) -> None:
        super().__init__("sink")
        self._accept = accept

    async def handle(self, item: Part) -> None:
        await self._accept(item.index, item.writer)
