"""Blocks that outlive their process: all of them lie in files, which stay when the store is closed.

A block goes to its file as it does when memory has no room: what waits in memory is less than a mebibyte, and what is
read again soon is in the page cache of the system. `place` says where a block lies, and `restored` is the block again,
in another process.
"""

from __future__ import annotations

import asyncio
import base64
import os
from array import array
from collections.abc import Sequence
from typing import Any

from asyncmr.errors import CorruptRunError
from asyncmr.storage.block import Block
from asyncmr.storage.compression import Codec
from asyncmr.storage.disk import Disk
from asyncmr.storage.extents import Extent, check_extents
from asyncmr.storage.journal_folder import BLOCK_FILE, JournalFolder
from asyncmr.storage.runs import BlockStore
from asyncmr.storage.spill import keep
from asyncmr.storage.spill_file import SpillFile, Written


class DurableStore(BlockStore):
    """The blocks of a job that can be resumed, in the folder of its journal."""

    def __init__(self, folder: JournalFolder, disk: Disk, codec: Codec | None = None) -> None:
        super().__init__(_NoRoom(), folder, disk, codec, keeps=True)
        self._folder = folder
        self._earlier: dict[str, SpillFile] = {}
        self._opening = asyncio.Lock()

    async def place(self, block: Block) -> dict[str, Any]:
        """Where the block lies, as plain JSON data; it is in its file by then.

        Raises:
            StorageError: the disk did not take it.
        """
        await self._spill.secure(block)
        file, written = block.file, block.written
        assert file is not None
        assert written is not None
        place = {
            "file": os.path.basename(file.path),
            "offset": written.offset,
            "size": block.size,
            "ends": packed(block.ends),
            "checksums": packed(written.checksums),
        }
        if written.ends is not block.ends:
            place["compressed"] = packed(written.ends)
        return place

    async def restored(self, place: dict[str, Any]) -> Block:
        """The block that lies there.

        Raises:
            CorruptRunError: it is not what was written, or gone.
            StorageError: the disk does not give it.
        """
        ends = unpacked(place["ends"])
        written = Written(
            place["offset"],
            unpacked(place["compressed"]) if "compressed" in place else ends,
            unpacked(place["checksums"]),
        )
        with self._spill.kept() as files:
            file = await self._file(place["file"], files)
            starts = [0, *written.ends]
            extents = [
                Extent(file.fd, written.offset + start, end - start, checksum, end - start, file.path)
                for start, end, checksum in zip(starts, written.ends, written.checksums, strict=False)
            ]
            await self._disk.run(check_extents, extents)
            block = Block.lying(place["size"], ends, file, written)
            self._spill.adopt(block, file)
        self._blocks.add(block)
        return block

    async def _file(self, name: str, files: set[SpillFile]) -> SpillFile:
        path = os.path.join(self._folder.blocks, name)
        if not BLOCK_FILE.fullmatch(name):
            raise CorruptRunError(f"the journal names {path!r}, which is no file of blocks", path=path)
        async with self._opening:
            file = self._earlier.get(name)
            if file is None or not self._spill.holds(file):
                if not await self._disk.run(os.path.exists, path):
                    raise CorruptRunError(
                        f"the file of blocks {path!r} is gone; its tasks run again", path=path
                    )
                file = self._earlier[name] = await SpillFile.existing(self._disk, path, self._codec)
                self._spill.add(file)
            keep(file, files)
        return file


class _NoRoom:
    """A budget without room: every block goes to its file."""

    def try_reserve(self, size: int) -> bool:
        return False

    def release(self, size: int) -> None:
        """There is nothing to release."""


def packed(numbers: Sequence[int]) -> str:
    """Numbers of 32 bits as text."""
    return base64.b64encode(array("I", numbers).tobytes()).decode()


def unpacked(text: str) -> array[int]:
    """What `packed` made a text of."""
    numbers = array("I")
    numbers.frombytes(base64.b64decode(text))
    return numbers
