"""The first stage: reads the input as splits."""

from __future__ import annotations

from contextlib import aclosing

from asyncmr.actors import Actor
from asyncmr.pipeline.messages import HANDLE
from asyncmr.protocols import Buffers, Source, Split


class SourceActor(Actor[None, Split]):
    """Emits the splits of a source. It waits for a free buffer before it reads on: that is the backpressure."""

    def __init__(self, source: Source, buffers: Buffers) -> None:
        super().__init__("source")
        self._source = source
        self._buffers = buffers

    async def produce(self) -> None:
        async with aclosing(self._source.splits(self._buffers)) as splits:
            async for split in splits:
                try:
                    await self.emit(split, HANDLE)
                except BaseException:
                    split.release()
                    raise
