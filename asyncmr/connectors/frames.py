"""How the contents of files lie in a split, one behind the other, so that a decoder finds the records again."""

from __future__ import annotations

from typing import NamedTuple, Protocol

_NEWLINE = ord("\n")

# Of what cannot be read again, the number of a line is known each time that so much has come.
_COUNTED_BYTES = 256 << 10


class Block(NamedTuple):
    """What was read of a file at a time: from `offset` on, and whether that is the end of it.

    `line`: the number of the line that `data` begins in, of what cannot be read again.
    """

    path: str
    offset: int
    data: bytes
    ended: bool
    line: int | None = None


class Stretch(NamedTuple):
    """Framed bytes of one file. `opens`: errors look up from here where they are; `ends`: a whole record does."""

    path: str
    offset: int | None
    data: bytes
    line: int | None = None
    opens: bool = False
    ends: bool = False


class Frames(Protocol):
    """Frames the blocks of some files, which come in order. One for each thread at a time."""

    def framed(self, block: Block) -> Stretch: ...


class LineFrames:
    """The text as it is; a file that does not end in a newline gets one."""

    def __init__(self) -> None:
        self._last = _NEWLINE
        self._opened = 0

    def framed(self, block: Block) -> Stretch:
        """The block, and the newline that may be missing behind it."""
        data = block.data
        self._last = data[-1] if data else _NEWLINE if block.offset == 0 else self._last
        if block.ended and self._last != _NEWLINE:
            data += b"\n"
        opens = block.offset == 0 or (
            block.line is not None and block.offset - self._opened >= _COUNTED_BYTES
        )
        if opens:
            self._opened = block.offset
        return Stretch(block.path, block.offset, data, block.line, opens)
