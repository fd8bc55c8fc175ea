"""Updates on their way to those who iterate a stream, as blocks until somebody takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from asyncmr.actors import ChannelClosed, Sender, open_channel
from asyncmr.kernel.blocks import decode_pairs
from asyncmr.streaming.view import QueueInfo, Update

# What may wait for one who is slow; then the stream waits.
_WAITING = 8 << 20


class Changed(NamedTuple):
    """A window, by its start in seconds; whether it is final; and blocks of the pairs that changed in it."""

    window: float | None
    final: bool
    blocks: list[bytes]


Blocks = list[Changed]


class Updates:
    """Everybody who iterates a stream. One who is slow slows the stream down, and loses nothing."""

    def __init__(self) -> None:
        self._senders: set[Sender[tuple[int, Blocks]]] = set()
        self._ended = False

    @property
    def wanted(self) -> bool:
        """Whether anybody iterates."""
        return bool(self._senders)

    def queue(self) -> QueueInfo:
        """How much waits for the one who is slowest."""
        most = max((sender.stats().bytes for sender in self._senders), default=0)
        return QueueInfo("updates", most, _WAITING)

    async def publish(self, epoch: int, blocks: Blocks) -> None:
        """Tells everybody, in the order of the epochs."""
        size = sum(len(block) for changed in blocks for block in changed.blocks)
        for sender in tuple(self._senders):
            try:
                await sender.send((epoch, blocks), size)
            except ChannelClosed:
                self._forget(sender)

    def end(self) -> None:
        """There are no more; whoever iterates gets what waits, and is done."""
        self._ended = True
        for sender in tuple(self._senders):
            self._forget(sender)

    async def __call__(self) -> AsyncGenerator[Update, None]:
        """The updates from now on, one for each epoch and window."""
        if self._ended:
            return
        sender, receiver = open_channel("updates", _WAITING, tuple[int, Blocks])
        self._senders.add(sender)
        try:
            with receiver:
                async for epoch, blocks in receiver:
                    for window, final, encoded in blocks:
                        changes: list[tuple[Any, Any]] = []
                        for data in encoded:
                            changes.extend(zip(*decode_pairs(data), strict=True))
                            await asyncio.sleep(0)  # a block is what may hold the loop at a time
                        if changes:
                            yield Update(epoch, window, changes, final)
        finally:
            self._forget(sender)

    def _forget(self, sender: Sender[tuple[int, Blocks]]) -> None:
        self._senders.discard(sender)
        sender.close()
