"""Functions that run on the event loop: which ones they are, and the values that a reducer among them gets."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from types import FunctionType
from typing import Any, Generic

from asyncmr.errors import UsageError
from asyncmr.typevars import V

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

# What one key's values may take in memory, estimated, and still be held there for a plain loop.
HELD_BYTES = 4 << 20

DEFAULT_CONCURRENCY = 32

# So many values that are held are given without a turn of the loop.
_TURN = 1024


def is_async(function: object) -> bool:
    """Whether a call of it gives something to await, or an async generator."""
    if (
        type(function) is FunctionType and not function.__dict__
    ):  # a tenth of the time, at each run of each job
        return bool(function.__code__.co_flags & _ASYNC)
    if not inspect.isroutine(function) and not isinstance(function, partial):
        function = getattr(type(function), "__call__", function)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def is_async_setup(setup: object) -> bool:
    """Whether what it makes must be awaited or entered, so that it can only run on an event loop."""
    if isinstance(setup, type):
        return hasattr(setup, "__aenter__")
    return is_async(setup) or inspect.isasyncgenfunction(inspect.unwrap(setup) if callable(setup) else None)


class Values(Generic[V]):
    """The values of a key, in input order, as a reducer that is an `async def` gets them.

        async def total(word, counts):
            yield word, sum(counts)

        async def sent(user, events):
            async for event in events:
                await client.post(url, event)
            yield user, "sent"

    `async for` takes any number of values: those that have no room in memory are read as the loop goes on.
    A plain loop, `sum(values)` or `list(values)` takes those of a key whose values have room, which is 4 MiB. Each loop
    begins at the first value.

    Raises:
        UsageError: a plain loop over more than that.
    """

    def __init__(
        self,
        key: str,
        held: list[V] | None,
        pieces: Callable[[], AsyncIterator[list[V]]] | None = None,
    ) -> None:
        self._key = key
        self._held = held
        self._pieces = pieces

    def __iter__(self) -> Iterator[V]:
        if self._held is None:
            raise UsageError(
                f"the values of the key {self._key} take more than {HELD_BYTES >> 20} MiB, so not all of them are in "
                "memory; use `async for value in values`, or let a combiner make fewer of them"
            )
        return iter(self._held)

    async def __aiter__(self) -> AsyncIterator[V]:
        if self._held is not None:
            from asyncio import sleep

            for number, value in enumerate(self._held, 1):
                yield value
                if number % _TURN == 0:
                    await sleep(0)
        elif self._pieces is not None:
            async for piece in self._pieces():
                for value in piece:
                    yield value

    def __repr__(self) -> str:
        return f"<the values of the key {self._key}>"


def refuse_async(role: str, function: Any) -> None:
    """Raises a UsageError if a function that can only run in a worker is async."""
    if is_async(function):
        raise UsageError(
            f"{role}: {function!r} is asynchronous, but would run in a worker process, which has no event loop; pass "
            "a plain function. Async can be a mapper that takes one record at a time, and a reducer"
        )
