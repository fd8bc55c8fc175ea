"""A race of two: the first to succeed is the result, and the other leaves nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from anyio import CancelScope

from asyncmr.actors import TaskScope

T = TypeVar("T")


async def first_of(
    first: Callable[[], Awaitable[T]],
    rival: Callable[[], Awaitable[T | None]],
    discard: Callable[[T], Awaitable[None]],
    *,
    name: str,
) -> T:
    """Runs `first()` and `rival()`, and returns what is there first; the other is cancelled and waited for.

    A rival that gives None has given up. Both may succeed in the same turn of the loop, or the caller be cancelled when
    one just has: `discard` is called for each result that is not returned. Either's exception is raised.
    """
    results: list[T] = []
    try:
        async with TaskScope() as scope:

            async def run(runner: Callable[[], Awaitable[T | None]]) -> None:
                result = await runner()
                if result is not None:
                    results.append(result)
                    scope.cancel()

            scope.spawn(lambda: run(first), name=f"{name}.first")
            scope.spawn(lambda: run(rival), name=f"{name}.rival")
        return results.pop(0)
    finally:
        with CancelScope(shield=True):
            for result in results:
                await discard(result)
