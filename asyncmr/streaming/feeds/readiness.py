"""Waiting until a descriptor is readable, for so long and no longer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from anyio import CancelScope

from asyncmr.streaming.feed import Clock


async def readable(descriptor: int, clock: Clock, seconds: float) -> None:
    """Returns when there is something to read, or an end, or after `seconds`. Nothing is left when it is cancelled.

    Raises:
        PermissionError: the system cannot tell of this one: a regular file, say, which never keeps a reader waiting.
    """
    loop = asyncio.get_running_loop()
    there: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _tell, there)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait([there, timer], return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(descriptor)
        timer.cancel()
        with CancelScope(shield=True), suppress(asyncio.CancelledError):
            await asyncio.wait([timer])
    if timer.done() and not timer.cancelled():
        timer.result()


def _tell(there: asyncio.Future[None]) -> None:
    if not there.done():
        there.set_result(None)
