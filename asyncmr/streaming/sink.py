"""Sinks: where a stream writes what each epoch changes, exactly once.

What a sink has written of an epoch, and where that ends, is committed in one transaction with the state. After a crash
it is told what was committed, and goes back to there: the epoch that was cut short is made, and written, once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from asyncmr.kernel.results import ResultEncoder
from asyncmr.streaming.feed import Position, Surroundings


class StreamSink(Protocol):
    """Where results go to. `name`: unique in a stream and stable over restarts, as "jsonl:/srv/counts.jsonl"."""

    @property
    def name(self) -> str:
        """What errors and the state call the sink."""

    @property
    def encoder(self) -> ResultEncoder:
        """What makes bytes of results, in the workers that keep the state."""

    async def open(self, position: Position | None, surroundings: Surroundings, /) -> Position:
        """Makes ready, once, and goes back to the committed position: what was written behind it never happened. None:
        nothing was committed. The position that is returned is committed before anything is written.

        Raises:
            ResumeError: it cannot go back to there.
        """

    async def write(self, epoch: int, blocks: AsyncIterator[bytes], /) -> Position:
        """Writes what an epoch changed, and returns the position behind it, which is then committed.

        Epochs come in order; one that changes nothing does not. While this runs the stream waits. What is written must
        be as safe as `surroundings.durable` asks when this returns. After an error the stream ends.
        """

    async def close(self) -> None:
        """Gives back what it holds; also called when `open` failed."""
