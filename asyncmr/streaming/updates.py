"""Updates on their way to those who iterate a stream, as blocks until somebody takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from weakref import WeakKeyDictionary

from asyncmr.actors import ChannelClosed, Sender, open_channel
from asyncmr.kernel.blocks import decode_pairs
from asyncmr.streaming.telling import Told
from asyncmr.streaming.view import QueueInfo, Update

# What may wait for one who is slow; then the stream waits.
_WAITING = 8 << 20
# An update is divided when it has at least so many changes, a megabyte of Python's objects.
_CHANGES = 8192


class Updates:
    """Everybody who iterates a stream. One who is slow slows the stream down, and loses nothing."""

    def __init__(self) -> None:
        # In the order in which they came: that of a set follows from addresses, and differs from run to run.
        self._senders: dict[Sender[Told], None] = {}
        self._told: WeakKeyDictionary[Told, None] = WeakKeyDictionary()
        self._ended = False

    @property
    def wanted(self) -> bool:
        """Whether anybody iterates."""
        return bool(self._senders)

    def queue(self) -> QueueInfo:
        """How much waits for the one who is slowest."""
        most = max((sender.stats().bytes for sender in self._senders), default=0)
        return QueueInfo("updates", most, _WAITING)

    async def publish(self, told: Told) -> None:
        """Tells everybody, in the order of the epochs; `told` are blocks of pairs."""
        if not told.size:
            return
        told.hold()
        self._told[told] = None
        try:
            for sender in tuple(self._senders):
                told.hold()
                try:
                    await sender.send(told, told.size)
                except BaseException as error:
                    told.release()
                    if not isinstance(error, ChannelClosed):
                        raise
                    self._forget(sender)
        finally:
            told.release()

    async def keep(self) -> None:
        """Whoever iterates may go on with what waits after the stream is closed."""
        for told in tuple(self._told):
            await told.keep()

    def end(self) -> None:
        """There are no more; whoever iterates gets what waits, and is done."""
        self._ended = True
        for sender in tuple(self._senders):
            self._forget(sender)

    async def __call__(self) -> AsyncGenerator[Update, None]:
        """The updates from now on: for each epoch and window one, or several if it changed many keys."""
        if self._ended:
            return
        sender, receiver = open_channel("updates", _WAITING, Told, dropped=Told.release)
        self._senders[sender] = None
        try:
            with receiver:
                async for told in receiver:
                    try:
                        async with aclosing(_updates(told)) as updates:
                            async for update in updates:
                                yield update
                    finally:
                        told.release()
        finally:
            self._forget(sender)

    def _forget(self, sender: Sender[Told]) -> None:
        self._senders.pop(sender, None)
        sender.close()


async def _updates(told: Told) -> AsyncGenerator[Update, None]:
    changes: list[tuple[Any, Any]] = []
    async with aclosing(told.read()) as blocks:
        async for (_, window, final), data, last in blocks:
            changes.extend(zip(*decode_pairs(data), strict=True))
            await asyncio.sleep(0)  # a block is what may hold the loop at a time
            if last or len(changes) >= _CHANGES:
                yield Update(told.epoch, window, changes, final, last)
                changes = []
