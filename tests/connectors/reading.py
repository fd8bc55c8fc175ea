"""Reads a source to its end, as a job would."""

from contextlib import aclosing
from typing import NamedTuple

from asyncmr.protocols import Piece
from asyncmr.storage.disk import Disk


class ReadSplit(NamedTuple):
    """A split, copied out of its buffer."""

    data: bytes
    pieces: tuple[Piece, ...]

    def place(self, position):
        """The path and the byte offset in its file of a position in the split."""
        piece = [piece for piece in self.pieces if piece.start <= position][-1]
        return piece.path, piece.offset + position - piece.start


class Memory:
    """A buffer; it counts itself among those not released."""

    def __init__(self, owner, size):
        self.view = memoryview(bytearray(size))
        self._owner = owner

    async def grow(self, size):
        grown = memoryview(bytearray(size))
        grown[: len(self.view)] = self.view
        self.view = grown
        self._owner.grown += 1

    def release(self):
        self._owner.held -= 1


class Memories:
    """Buffers, and how many of them are held."""

    def __init__(self):
        self.held = 0
        self.grown = 0

    async def lease(self, size):
        self.held += 1
        return Memory(self, size)


async def read_splits(source, buffers=None):
    """All splits of a source, in order."""
    buffers = buffers or Memories()
    found: list[ReadSplit] = []
    async with Disk() as disk:
        await source.prepare(disk)
        async with aclosing(source.splits(buffers)) as splits:
            async for split in splits:
                assert split.index == len(found)
                found.append(ReadSplit(bytes(split.buffer.view[: split.length]), split.pieces))
                split.buffer.release()
    assert buffers.held == 0
    return found


def lines_of(data):
    """Lines as the mapper gets them, but in bytes."""
    return data.split(b"\n")[: -1 if data.endswith(b"\n") else None] if data else []
