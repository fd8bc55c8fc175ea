"""What changes, as JSON lines at the end of a file, each once.

Rotation: the file is renamed, by logrotate say. The epoch during which this is noticed is the last one in the old file;
its commit says that the next one begins a file at the old name. So at any moment one file alone may have something
behind what was committed, and the commit says which.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from asyncmr.kernel.results import JsonResults
from asyncmr.streaming.feed import Surroundings
from asyncmr.streaming.sinks.output_file import OutputFile, refusal

# So much is written in one trip to a thread.
_WRITE = 1 << 20


class JsonLinesFile:
    """Appends what each epoch changes to the file at `path`, made if it is not there: a sink of a stream.

        Stream(job, feeds, state="counts", sinks=[JsonLinesFile("changes.jsonl")])

    A line is `{"key": "to", "value": 2, "window": null, "final": false, "epoch": 7}`: a key with its new value.
    `window` is the start of the window, in seconds since 1970. Lines of an epoch stand together, and each is in the
    file once, however often the process dies: what was not committed is cut off at the next start.

    Raises, when the stream is entered:
        UsageError: another stream writes to the file, or it is no regular file.
        ResumeError: it is not the file of which `state=` knows: cut, changed, replaced or gone.
        StorageError: it cannot be opened; and later: the disk is full, or somebody else wrote to the file.
    """

    encoder = JsonResults()
    files = OutputFile

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path)
        self._file: OutputFile | None = None

    @property
    def name(self) -> str:
        return f"jsonl:{self._path}"

    async def open(self, position: Any, surroundings: Surroundings) -> Any:
        """Opens the file, and cuts off what was not committed."""
        self._disk, self._durable = surroundings.disk, surroundings.durable
        return await self._disk.run(self._open, position)

    async def write(self, epoch: int, blocks: AsyncIterator[bytes]) -> Any:
        """Appends what changed; forced to the disk if the stream is durable."""
        await self._disk.run(self._begin)
        parts: list[bytes] = []
        size = 0
        async for block in blocks:
            parts.append(block)
            size += len(block)
            if size >= _WRITE:
                await self._disk.run(self._open_file.append, parts)
                parts, size = [], 0
        return await self._disk.run(self._end, parts)

    async def close(self) -> None:
        """Closes the file."""
        file, self._file = self._file, None
        if file is not None:
            await self._disk.run(file.close)

    @property
    def _open_file(self) -> OutputFile:
        assert self._file is not None
        return self._file

    def _open(self, position: Any) -> Any:
        if position is not None:
            self._file = self.files.resume(self._path, position)
            empty = not position["offset"] and not os.path.lexists(self._path)
            if self._file is None and not self._renamed(position) and not empty:
                raise refusal(self._path, position)
        if self._file is None:
            self._file = self.files.begin(self._path, durable=self._durable)
        return self._file.mark.stored()

    def _renamed(self, position: Any) -> bool:
        """Whether the file that was written lies beside; what was not committed is cut off there."""
        try:
            with os.scandir(os.path.dirname(self._path)) as entries:
                files = (entry for entry in entries if entry.is_file(follow_symlinks=False))
                paths = [entry.path for entry in files if entry.inode() == position["inode"]]
        except FileNotFoundError:
            return False
        for path in paths:
            if (file := self.files.resume(path, position)) is not None:
                file.close()
                return True
        return False

    def _begin(self) -> None:
        if self._open_file.deleted:
            self._follow()
        self._open_file.check()

    def _end(self, parts: list[bytes]) -> Any:
        file = self._open_file
        file.append(parts)
        if self._durable:
            file.sync()
        if file.elsewhere:
            self._follow()
        return self._open_file.mark.stored()

    def _follow(self) -> None:
        """Goes on with whatever is at the path now."""
        before, self._file = self._open_file, self.files.begin(self._path, durable=self._durable)
        before.close()
