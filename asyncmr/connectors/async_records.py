"""Async iterables as a source: records as they come, and no faster than they are mapped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from anyio import CancelScope

from asyncmr.connectors.record_slices import (
    SPLIT_BYTES,
    encoded,
    failed,
    records_of_a_task,
    room_for_more,
)
from asyncmr.errors import UsageError
from asyncmr.kernel.decoding import PairBlocks
from asyncmr.protocols import Buffers, SourceInfo, Split

_log = logging.getLogger("asyncmr")

# What the clean-up of an iterable may take when its job ends early, in seconds: a cancelled job is gone within one.
_CLOSING_LIMIT = 0.5


class AsyncRecords:
    """Any async iterable as a source: each of its items reaches the mapper as `(None, item)`.

    It is drawn from on the event loop, when a task has room for more: what has been drawn and is not mapped yet are
    a few tasks, of about a megabyte each. What the job has begun to read is closed when the job ends, in whatever way.
    """

    decoder = PairBlocks(keyed=False)

    def __init__(self, records: AsyncIterable[Any], *, records_per_task: int | None = None) -> None:
        self._records = records
        self._per_task = records_of_a_task(records_per_task)
        self._used = False

    async def prepare(self, disk: Any) -> SourceInfo:
        if self._used:
            raise UsageError(
                "these records are an async iterator that another job has read; pass a new one to each job"
            )
        self._used = isinstance(self._records, AsyncIterator)
        return SourceInfo(None)

    async def splits(self, buffers: Buffers) -> AsyncGenerator[Split, None]:
        """The splits in order.

        Raises:
            InputError: the iterable raised, which is the cause, or a record of it cannot be pickled.
        """
        before = 0
        ended = False
        async with _closed(aiter(self._records)) as records:
            for index in count():
                pieces: list[bytes] = []
                size = held = 0
                while not ended and held < self._per_task and size < SPLIT_BYTES:
                    some, ended = await _slice(records, self._per_task - held, before)
                    if some:
                        pieces.append(encoded(some, before))
                        size += len(pieces[-1])
                        held += len(some)
                        before += len(some)
                    await asyncio.sleep(0)
                if not held:
                    return
                yield Split(index, size, data=b"".join(pieces))


async def _slice(records: AsyncIterator[Any], most: int, before: int) -> tuple[list[Any], bool]:
    """The next few of the records, and whether these are the last. `before`: how many have been drawn."""
    some: list[Any] = []
    while more := room_for_more(some, most):
        try:
            for _ in range(more):
                some.append(await anext(records))  # noqa: PERF401 - what came before an end is kept
        except StopAsyncIteration:
            return some, True
        except Exception as error:
            raise failed(error, before + len(some)) from error
    return some, False


@asynccontextmanager
async def _closed(records: AsyncIterator[Any]) -> AsyncGenerator[AsyncIterator[Any], None]:
    """Closes them at the end, if they can be closed, also when the job is being cancelled."""
    close = getattr(records, "aclose", None)
    try:
        yield records
    except BaseException:
        if close is not None:
            await _cut_short(close)
        raise
    if close is not None:
        await close()


async def _cut_short(close: Callable[[], Awaitable[None]]) -> None:
    """Closes records that nobody reads to their end. What goes wrong is told, and hides no other error."""
    with CancelScope(shield=True, deadline=asyncio.get_running_loop().time() + _CLOSING_LIMIT) as scope:
        try:
            await close()
        except Exception:
            _log.warning("the records of a job that ended early raised when they were closed", exc_info=True)
    if scope.cancelled_caught:
        _log.warning("the records of a job that ended early took over %g s to close", _CLOSING_LIMIT)
