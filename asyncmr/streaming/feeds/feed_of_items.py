"""Anything that can be iterated over with `async for` as a feed: brokers, change feeds, clients of yours."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

from asyncmr.errors import AsyncMRError, InputError, UsageError
from asyncmr.streaming.feed import Batch, Position, Surroundings

Records = str | bytes | Sequence[str] | Sequence[bytes]
Item = tuple[Records, Position] | tuple[Records, Position, str]
Read = Callable[[Mapping[str, Position]], AsyncIterable[Item]]

# What one item may have, in batches: it is read whole, since only its end has a position.
_LARGEST = 4


class FeedOf:
    """A feed of items `(records, position)`, or `(records, position, partition)`, that come from an async iterable.

    `read` is called with the committed positions, by partition (that of an item without one is ""), and gives the
    items behind them. The records of an item, one or a list of them, are lines without their ends; give some hundred
    at a time, since every item is a batch. The position is what a restart needs to go on behind the item: JSON-able,
    an offset say. It is drawn from only while the stream has room.

        async def read(positions):
            offset = positions.get("", 0)
            async for lines in client.fetch(offset):
                offset += len(lines)
                yield lines, offset

        Stream(job, FeedOf("orders", read))

    Exactly once, if `read` gives the same records behind the same position again. An async iterable in place of a
    function cannot: it is at most once.

    Raises:
        UsageError: the name is empty, or `read` neither a function nor an async iterable.
    """

    def __init__(self, name: str, read: Read | AsyncIterable[Item]) -> None:
        if not name:
            raise UsageError("a feed needs a name, which is how the state knows it after a restart")
        if not callable(read) and not isinstance(read, AsyncIterable):
            raise UsageError(
                f"the feed {name!r} reads from {type(read).__name__}, which is neither a function that takes "
                "the positions nor an async iterable"
            )
        self.name = name
        self.guarantee: Literal["exactly-once", "at-most-once"] = (
            "at-most-once" if isinstance(read, AsyncIterable) else "exactly-once"
        )
        self._read = read

    async def batches(
        self, positions: Mapping[str, Position], surroundings: Surroundings, /
    ) -> AsyncGenerator[Batch, None]:
        """Ends where the iterable ends. The iterable is closed at the end, also when it is cancelled.

        Raises:
            InputError: the iterable raised, which is the cause, or gave something else.
        """
        items = self._read if isinstance(self._read, AsyncIterable) else self._read(positions)
        most = _LARGEST * surroundings.batch_bytes
        number = 0
        async with aclosing(_entered(items)) as entered:
            while True:
                try:
                    item = await anext(entered)
                except StopAsyncIteration:
                    return
                except AsyncMRError:
                    raise
                except Exception as error:
                    raise InputError(
                        f"the feed {self.name!r} raised {type(error).__name__} after {number:,} items: {error}"
                    ) from error
                batch = self._batch(item, number, surroundings.clock.time())
                if len(batch.data) > most:
                    raise InputError(
                        f"item {number:,} of the feed {self.name!r} has {len(batch.data):,} bytes, more than the "
                        f"{most:,} that one may have; give fewer records at a time"
                    )
                number += 1
                yield batch

    def _batch(self, item: Any, number: int, now: float) -> Batch:
        try:
            records, position, *rest = item
            (partition,) = rest or ("",)
            if not isinstance(partition, str):
                raise TypeError(f"a partition is a str, not {type(partition).__name__}")
            data, lines = _joined(records)
            if self.guarantee == "exactly-once":
                json.dumps(position)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"item {number:,} of the feed {self.name!r} is not (records, position) or (records, position, "
                f"partition) with records of str or bytes and a position for JSON: {error}"
            ) from error
        if data.count(b"\n") != lines:
            raise InputError(
                f"a record in item {number:,} of the feed {self.name!r} has a line end within; a record is one line: "
                "encode it, as JSON say"
            )
        return Batch(data, partition, None if self.guarantee == "at-most-once" else position, now)


def _joined(records: Any) -> tuple[bytes, int]:
    """The records as lines, and how many they are."""
    if isinstance(records, str | bytes):
        records = [records]
    if not records:
        return b"", 0
    if isinstance(records[0], str):
        return ("\n".join(records) + "\n").encode(), len(records)
    return b"\n".join(records) + b"\n", len(records)


async def _entered(items: AsyncIterable[Item]) -> AsyncGenerator[Item, None]:
    """The items; an iterator that can be closed is closed with this one."""
    iterator = aiter(items)
    try:
        async for item in iterator:
            yield item
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
