"""The numbers of lines, worked out only where somebody asks: by counting the newlines before them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from asyncmr.connectors.compressed import InputFile
from asyncmr.errors import InputError
from asyncmr.storage.disk import Disk

SLICE_BYTES = 1 << 20
_END = object()


async def line_number(disk: Disk, path: str, byte_offset: int) -> int | None:
    """The 1-based number of the line that the byte at `byte_offset` belongs to; None if that cannot be read any more.

    Reads the file up to there. The offset is that of the text, also where the file is compressed.
    """
    numbers = LineNumbers()
    try:
        steps = numbers.seek(path, byte_offset)
        while await disk.run(next, steps, _END) is not _END:
            pass
        return numbers.line
    finally:
        await disk.run(numbers.close)


class LineNumbers:
    """The numbers of the lines that begin at ascending offsets of files, in one pass over each. Its methods block."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._file: InputFile | None = None
        self._offset = 0
        self.line: int | None = None

    def seek(self, path: str, offset: int) -> Iterator[None]:
        """Makes `line` the 1-based number of the line at `offset`; None if the file cannot be read any more.

        Pauses after every slice that it reads.
        """
        if path != self._path or offset < self._offset:
            self.close()
            self._path, self._offset, self.line = path, 0, 1
            self._file = _opened(path)
            if self._file is None:
                self.line = None
        while self._file is not None and self.line is not None and self._offset < offset:
            try:
                data = self._file.read(min(SLICE_BYTES, offset - self._offset))
            except InputError:
                data = b""
            if not data:
                self.line = None
                return
            self.line += data.count(b"\n")
            self._offset += len(data)
            yield

    def close(self) -> None:
        """Closes the file that is open."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _opened(path: str) -> InputFile | None:
    """None where there is no file any more, or never was: a pipe would wait for somebody to write."""
    try:
        return InputFile(path) if stat.S_ISREG(os.stat(path).st_mode) else None
    except (OSError, InputError):
        return None
