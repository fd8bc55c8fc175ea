"""Files of any kind, compressed ones and pipes among them, as one stream whose length nobody knows before its end."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import islice

from asyncmr.connectors.file_blocks import FileBlocks, portions
from asyncmr.connectors.frames import Frames, Stretch
from asyncmr.connectors.paths import FileEntry
from asyncmr.connectors.pipe_blocks import PipeBlocks
from asyncmr.connectors.splitting import behind_last_newline
from asyncmr.protocols import Piece
from asyncmr.storage.disk import Disk

# How many portions are begun before their turn: with one block each, what four threads have to do.
_AHEAD = 4


class MixedFiles:
    """Files as lines, as a stream to be cut into splits. `left`: no more bytes than this are to come.

    `frames`: how their contents lie in a split. `most`: no more bytes than this are in the files, if that is known.
    """

    def __init__(
        self, disk: Disk, files: Sequence[FileEntry], frames: Callable[[], Frames], most: int = sys.maxsize
    ) -> None:
        self._disk = disk
        self._frames = frames
        self._files = portions(files)
        self._begun: deque[FileBlocks | PipeBlocks] = deque()
        self._ready: deque[Stretch] = deque()
        self._taken = 0  # of the first of those
        self.left = most

    async def read(self, view: memoryview, at: int, stop: int, pieces: list[Piece]) -> int:
        while at < stop:
            if not self._ready:
                block = await self._next()
                if block is None:
                    self.left = 0
                    return at
                self._ready += block
                continue
            stretch, start = self._ready[0], self._taken
            end = min(len(stretch.data), start + stop - at)
            if not pieces or (stretch.opens and not start):
                pieces.append(_piece(stretch, start, at))
            view[at : at + end - start] = memoryview(stretch.data)[start:end]
            at += end - start
            self._taken = end
            if end == len(stretch.data):
                self.took(stretch, at)
                self._ready.popleft()
                self._taken = 0
        return at

    def took(self, stretch: Stretch, at: int) -> None:
        """Called when all of a stretch has been read, which ends at `at`."""

    def last_end(self, view: memoryview, start: int, stop: int) -> int:
        return behind_last_newline(view, start, stop)

    async def close(self) -> None:
        async with AsyncExitStack() as stack:  # all of them, also if closing one fails
            for blocks in self._begun:
                stack.push_async_callback(blocks.close)
        self._begun.clear()

    async def _next(self) -> list[Stretch] | None:
        while True:
            for files in islice(self._files, _AHEAD - len(self._begun)):
                first, frames = files[0], self._frames()
                self._begun.append(
                    PipeBlocks(self._disk, first, frames)
                    if first.pipe
                    else FileBlocks(self._disk, files, frames)
                )
            for blocks in self._begun:
                blocks.start()
            if not self._begun:
                return None
            block = await self._begun[0].next()
            if block is not None:
                return block
            await self._begun.popleft().close()


def _piece(stretch: Stretch, start: int, at: int) -> Piece:
    offset, line = stretch.offset, stretch.line
    if offset is not None:
        offset += start
    if line is not None:
        line += stretch.data.count(b"\n", 0, start)
    return Piece(stretch.path, offset, at, line)
