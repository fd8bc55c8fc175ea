"""From the bytes of a split to the records that a mapper gets.

A decoder is a value: it can be pickled, and has no state. Its positions are its own (byte offsets for text,
indexes for records); they let a slow split be continued, or spread over workers, at a record boundary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asyncmr.kernel.blocks import decode_pairs


@dataclass(frozen=True, slots=True)
class TextLines:
    """Lines of UTF-8, split at newlines only; one carriage return before the newline is dropped.

    Invalid bytes become U+FFFD with `errors="replace"`. Positions are byte offsets. A newline at the end ends
    the last line and starts no other.
    """

    errors: str = "replace"

    def decode(self, data: memoryview, start: int, stop: int) -> tuple[None, list[str]]:
        if start >= stop:
            return None, []
        text = str(data[start:stop], "utf-8", self.errors)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        return None, lines

    def end(self, data: memoryview) -> int:
        return len(data)

    def advance(self, data: memoryview, start: int, records: int) -> int:
        position, end = start, len(data)
        while records and position < end:
            position = _newline(data, position, end)
            records -= 1
        return position


def _newline(data: memoryview, start: int, end: int) -> int:
    """The offset behind the next newline; `end` if there is none."""
    step = 4096
    while start < end:
        at = bytes(data[start : start + step]).find(b"\n")
        if at >= 0:
            return start + at + 1
        start += step
        step = min(step * 2, 1 << 20)
    return end


@dataclass(frozen=True, slots=True)
class PairBlocks:
    """Blocks of pairs, one behind the other, as `blocks.encode_pairs` makes them. Positions are indexes.

    `keyed`: the keys reach the mapper; otherwise every key is None.
    """

    keyed: bool = True

    def decode(self, data: memoryview, start: int, stop: int) -> tuple[list[Any] | None, list[Any]]:
        keys, values = decode_pairs(data)
        if (start, stop) != (0, len(values)):
            keys, values = keys[start:stop], values[start:stop]
        return (keys if self.keyed else None), values

    def end(self, data: memoryview) -> int:
        return len(decode_pairs(data)[1])

    def advance(self, data: memoryview, start: int, records: int) -> int:
        return min(start + records, self.end(data))
