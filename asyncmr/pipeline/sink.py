"""The last stage: hands finished parts to the sink, and makes the output visible when all are there."""

from __future__ import annotations

from asyncmr.actors import Actor
from asyncmr.pipeline.messages import Part
from asyncmr.protocols import PartWriter, Sink


class SinkActor(Actor[Part, None]):
    """Accepts parts in any order. The sink itself is committed or aborted by the flow, which owns it.

    `accepted`: gets the parts, by number.
    """

    def __init__(self, sink: Sink, accepted: dict[int, PartWriter]) -> None:
        super().__init__("sink")
        self._sink = sink
        self._accepted = accepted

    async def handle(self, item: Part) -> None:
        self._accepted[item.index] = item.writer
        await self._sink.accept(item.index, item.writer)
