"""Async forms of plain functions, whose calls end in another order than they begin."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

from asyncmr import Job
from asyncmr.batches import batch_kind
from tests.family import JOBS


async def turns(seed: int, *arguments: object) -> None:
    """Waits for a number of turns of the loop that follows from the arguments."""
    for _ in range(zlib.crc32(repr((seed, *arguments)).encode()) % 13):
        await asyncio.sleep(0)


class LateMapper:
    """A coroutine function."""

    def __init__(self, mapper: Any, seed: int = 0) -> None:
        self._mapper = mapper
        self._seed = seed

    async def __call__(self, key: Any, value: Any) -> Any:
        await turns(self._seed, key, value)
        return self._mapper(key, value)


class LateReducer:
    """An async generator."""

    def __init__(self, reducer: Any, seed: int = 0) -> None:
        self._reducer = reducer
        self._seed = seed

    async def __call__(self, key: Any, values: Any) -> Any:
        await turns(self._seed, key)
        found = [value async for value in values]
        assert [value async for value in values] == found
        for pair in self._reducer(key, iter(found)):
            await turns(self._seed, pair)
            yield pair


PLAIN = {name: job for name, job in JOBS.items() if batch_kind(job.mapper) is None}


def late(job: Job, functions: str, seed: int = 0, **changes: Any) -> Job:
    """The job with an async mapper ("m"), reducer ("r") or both ("mr"); one without a reducer with an async mapper."""
    if "m" in functions or job.reducer is None:
        changes["mapper"] = LateMapper(job.mapper, seed)
    if "r" in functions and job.reducer is not None:
        changes["reducer"] = LateReducer(job.reducer, seed)
    return job.replace(**changes)
