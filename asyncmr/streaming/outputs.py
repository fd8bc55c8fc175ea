"""All sinks of a stream, and how far each has been written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NoReturn

from asyncmr.errors import AsyncMRError, StorageError, UsageError
from asyncmr.kernel.results import PairResults, ResultEncoder
from asyncmr.streaming.feed import Surroundings
from asyncmr.streaming.sink import StreamSink
from asyncmr.streaming.telling import Telling, Told

PAIRS = 0
"""The encoder for those who iterate the stream."""


class Outputs:
    """The sinks of the job called `job`. `encoders`: that of pairs, and theirs, each once; `positions`: those that are
    to be committed, by name, also those of sinks that the stream had before and has not now."""

    def __init__(self, sinks: Sequence[StreamSink], job: str) -> None:
        names = [sink.name for sink in sinks]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"two sinks are called {min(twice)!r}; give each a file, or a name, of its own")
        self._sinks = sinks
        self._job = job
        encoders: list[ResultEncoder] = [PairResults()]
        for sink in sinks:
            if sink.encoder not in encoders:
                encoders.append(sink.encoder)
        self.encoders = tuple(encoders)
        self.wanted = sorted({encoders.index(sink.encoder) for sink in sinks})
        self.positions: dict[str, Any] = {}

    def noted(self) -> dict[str, Any]:
        """The positions as a note of the state; nothing if there never was a sink."""
        return {"sinks": self.positions} if self.positions else {}

    async def open(self, committed: Mapping[str, Any], surroundings: Surroundings) -> bool:
        """Brings each sink back to what was committed; whether there are positions to be committed now.

        Raises:
            ResumeError: one cannot go back.
            StorageError: one cannot be used.
        """
        self.positions = dict(committed)
        for sink in self._sinks:
            try:
                self.positions[sink.name] = await sink.open(committed.get(sink.name), surroundings)
            except Exception as error:
                self._failed(sink, error, "it was not opened")
        return self.positions != committed

    async def write(self, telling: Telling) -> None:
        """Writes what is told of an epoch to each sink, and moves the positions.

        Raises:
            StorageError: a sink failed.
        """
        for encoder in self.wanted:
            told = telling.told(encoder)
            told.hold()
            try:
                for sink in self._sinks:
                    if told.size and self.encoders.index(sink.encoder) == encoder:
                        await self._write(sink, told)
            finally:
                told.release()

    async def close(self) -> None:
        """Closes all sinks."""
        for sink in self._sinks:
            await sink.close()

    async def _write(self, sink: StreamSink, told: Told) -> None:
        try:
            async with aclosing(_blocks(told)) as blocks:
                self.positions[sink.name] = await sink.write(told.epoch, blocks)
        except Exception as error:
            after = f"epoch {told.epoch:,} is not committed, and will be written again at the next start"
            self._failed(sink, error, after)

    def _failed(self, sink: StreamSink, error: Exception, after: str) -> NoReturn:
        if isinstance(error, AsyncMRError):
            error.add_note(f"in the sink {sink.name!r} of job {self._job!r}; {after}")
            raise error
        raise StorageError(
            f"job {self._job!r}: the sink {sink.name!r} raised {type(error).__name__}: {error}; {after}"
        ) from error


async def _blocks(told: Told) -> AsyncGenerator[bytes, None]:
    async with aclosing(told.read()) as blocks:
        async for _, data, _ in blocks:
            yield data
