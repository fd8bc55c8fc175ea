"""Waits for something that can be observed, turn by turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Returns once `condition()` is true; raises TimeoutError after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def turns(count: int) -> None:
    """Lets the loop turn `count` times: everybody who can go on has then gone on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def nothing() -> None:
    """For a block that has nothing to do."""
