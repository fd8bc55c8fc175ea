"""Whole lines out of blocks that end anywhere."""

from __future__ import annotations


class LineCutter:
    """Cuts what comes at the last line end, and holds the rest, never more than `limit` bytes of it.

    `refused`: lines that were longer, and left out. `began`: where the lines began that it gave last, in the block that
    it was fed; less than 0 if that was in one before.
    """

    def __init__(self, limit: int) -> None:
        self.refused = self.began = 0
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0
        self._skips = False

    @property
    def held(self) -> int:
        """The bytes of the line that has no end yet."""
        return self._held

    def feed(self, block: bytes) -> bytes:
        """The lines that are whole now."""
        self.began = -self._held
        if self._skips:
            end = block.find(b"\n") + 1
            if not end:
                return b""
            self._skips = False
            self.began = end
            block = block[end:]
        end = block.rfind(b"\n") + 1
        lines = b"".join([*self._parts, block[:end]]) if end else b""
        if end:
            self._clear()
        if end < len(block):
            self._parts.append(block[end:])
            self._held += len(block) - end
        if self._held > self._limit:
            self._clear()
            self._skips = True
            self.refused += 1
        return lines

    def last(self) -> bytes:
        """What is left at the end, as a line."""
        rest = b"".join(self._parts)
        self._clear()
        return rest + b"\n" if rest else b""

    def _clear(self) -> None:
        self._parts, self._held = [], 0
