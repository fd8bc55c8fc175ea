"""The last stage: hands finished parts to the sink, and makes the output visible when all are there."""

from __future__ import annotations

from asyncmr.actors import Actor
from asyncmr.job import Sink
from asyncmr.pipeline.messages import Part


class SinkActor(Actor[Part, None]):
    """Accepts parts in any order. The sink itself is committed or aborted by the flow, which owns it."""

    def __init__(self, sink: Sink) -> None:
        super().__init__("sink")
        self._sink = sink

    async def handle(self, item: Part) -> None:
        await self._sink.accept(item.index, item.writer)
