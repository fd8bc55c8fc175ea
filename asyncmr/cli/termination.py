"""SIGTERM ends a command as Ctrl-C does: by cancelling what it runs, which leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class Terminated(Exception):
    """The process was asked to end."""


async def until_terminated(work: Coroutine[Any, Any, T]) -> T:
    """Awaits `work`; SIGTERM cancels it.

    Raises:
        Terminated: SIGTERM came, and `work` has ended.
    """
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(work)
    asked = False

    def terminate() -> None:
        nonlocal asked
        asked = True
        running.cancel()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await running
    except asyncio.CancelledError:
        if asked:
            raise Terminated from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


@contextmanager
def terminable() -> Iterator[None]:
    """What runs in the block, without an event loop, is left at SIGTERM.

    Raises:
        Terminated: that came.
    """

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
