"""Pairs as Python objects on their way into a part: encoded on the event loop, a slice at a time."""

from __future__ import annotations

import asyncio

from asyncmr.pipeline.made import Made
from asyncmr.protocols import Encoder, Pair

# What is encoded between two turns of the loop, in pairs and in bytes that they take in memory.
_PAIRS = 512
_BYTES = 64 << 10
# What goes to the part at a time, encoded.
_CHUNK = 256 << 10
_LOOK = 64


class NotEncodable(Exception):
    """A pair that the output cannot take; why is the cause."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self.pair = pair


class PairWriter:
    """Writes pairs into the part `index`. `pairs`: how many were added."""

    def __init__(self, made: Made, index: int, encoder: Encoder) -> None:
        self._made = made
        self._index = index
        self._encoder = encoder
        self._waiting: list[Pair] = []
        self._size = 0
        self._encoded: list[bytes] = []
        self.pairs = 0

    async def add(self, pairs: list[Pair], size: int) -> None:
        """Takes these pairs, which take `size` bytes in memory.

        Raises:
            NotEncodable: one of them, or of those before, cannot be encoded.
        """
        self.pairs += len(pairs)
        for at in range(0, len(pairs), _LOOK):
            some = pairs[at : at + _LOOK]
            self._waiting += some
            self._size += size * len(some) // len(pairs)
            if len(self._waiting) >= _PAIRS or self._size >= _BYTES:
                self._encode()
                if sum(map(len, self._encoded)) >= _CHUNK:
                    await self._write()
                else:
                    await asyncio.sleep(0)

    async def finish(self) -> None:
        """Writes what waits."""
        self._encode()
        await self._write()

    def _encode(self) -> None:
        pairs, self._waiting, self._size = self._waiting, [], 0
        if not pairs:
            return
        try:
            data = self._encoder.encode([key for key, _ in pairs], [value for _, value in pairs])
        except Exception as error:
            raise NotEncodable(self._culprit(pairs)) from error
        self._encoded.append(data)

    def _culprit(self, pairs: list[Pair]) -> Pair:
        for key, value in pairs:
            try:
                self._encoder.encode([key], [value])
            except Exception:
                return key, value
        return pairs[0]

    async def _write(self) -> None:
        chunks, self._encoded = self._encoded, []
        await self._made.take([(("out", self._index), data) for data in chunks])
