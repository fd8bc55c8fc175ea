"""From the bytes of a split to the records that a mapper gets, a piece at a time.

A decoder is a value: it can be pickled, and has no state. Its positions are its own (byte offsets for text,
indexes for records); they let a slow split be continued, or spread over workers, at a record boundary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asyncmr.kernel.blocks import decode_pairs, pair_blocks
from asyncmr.protocols import RecordBatch


@dataclass(frozen=True, slots=True)
class TextLines:
    """Lines of UTF-8, split at newlines only; one carriage return before the newline is dropped.

    Invalid bytes become U+FFFD with `errors="replace"`. Positions are byte offsets. A newline at the end ends
    the last line and starts no other. `returns`: carriage returns stay.
    """

    errors: str = "replace"
    returns: bool = False

    def decode(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[RecordBatch]:
        for begin, end in self.blocks(data, start, stop, size):
            text = str(data[begin:end], "utf-8", self.errors)
            if "\r" in text and not self.returns:
                text = text.replace("\r\n", "\n")
            lines = text.split("\n")
            if not lines[-1]:
                lines.pop()
            yield RecordBatch(begin, end, None, lines)

    def blocks(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
        while start < stop:
            end = _line_end(data, start, stop, size)
            yield start, end
            start = end

    def end(self, data: memoryview) -> int:
        return len(data)

    def advance(self, data: memoryview, start: int, records: int) -> int:
        position, end = start, len(data)
        while records and position < end:
            position = _behind_newline(data, position, end)
            records -= 1
        return position


def _line_end(data: memoryview, start: int, stop: int, size: int) -> int:
    """The end of the last line that ends within `size` bytes; of the first, if that is longer."""
    limit = start + size
    if limit >= stop:
        return stop
    begin, step = limit, 4096
    while begin > start:
        begin = max(start, limit - step)
        at = bytes(data[begin:limit]).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        limit, step = begin, step * 2
    return _behind_newline(data, start + size, stop)


def _behind_newline(data: memoryview, start: int, end: int) -> int:
    """The offset behind the next newline; `end` if there is none."""
    step = 4096
    while start < end:
        at = bytes(data[start : min(start + step, end)]).find(b"\n")
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

    def decode(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[RecordBatch]:
        keys: list[Any] = []
        values: list[Any] = []
        at, room = 0, size
        for block, count in pair_blocks(data):
            begin, end = max(start - at, 0), min(stop - at, count)
            block_keys, block_values = decode_pairs(block) if begin < end else ([], [])
            while begin < end:
                taken = min(end - begin, max(1, count * room // len(block)))
                keys += block_keys[begin : begin + taken]
                values += block_values[begin : begin + taken]
                begin += taken
                room -= taken * len(block) // count
                if room <= 0:
                    yield self._records(at + begin, keys, values)
                    keys, values, room = [], [], size
            at += count
        if values:
            yield self._records(stop, keys, values)

    def _records(self, stop: int, keys: list[Any], values: list[Any]) -> RecordBatch:
        return RecordBatch(stop - len(values), stop, keys if self.keyed else None, values)

    def end(self, data: memoryview) -> int:
        return sum(count for _, count in pair_blocks(data))

    def advance(self, data: memoryview, start: int, records: int) -> int:
        return min(start + records, self.end(data))
