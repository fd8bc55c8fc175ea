"""Whole documents in a split, one behind the other: each the chunk of its path, then the chunks of its text."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from asyncmr.protocols import RecordBatch

# Whether a chunk is a path, with which a document begins, and how many bytes it has.
_CHUNK = struct.Struct("<?I")
CHUNK_BYTES = _CHUNK.size


def path_chunk(path: str) -> bytes:
    """The beginning of a document."""
    data = path.encode("utf-8", "surrogateescape")
    return _CHUNK.pack(True, len(data)) + data


def text_chunk(data: bytes) -> bytes:
    """Some more of its text."""
    return _CHUNK.pack(False, len(data)) + data


@dataclass(frozen=True, slots=True)
class WholeDocuments:
    """A decoder: `(path, text)`, the text UTF-8 with invalid bytes replaced. Positions are byte offsets."""

    def decode(self, data: memoryview, start: int, stop: int, size: int) -> Iterator[RecordBatch]:
        begin = start
        paths: list[str] = []
        texts: list[str] = []
        while start < stop:
            chunks, start = _document(data, start)
            paths.append(str(chunks[0], "utf-8", "surrogateescape"))
            texts.append(b"".join(chunks[1:]).decode("utf-8", "replace"))
            if start - begin >= size or start >= stop:
                yield RecordBatch(begin, start, paths, texts)
                begin, paths, texts = start, [], []

    def end(self, data: memoryview) -> int:
        return len(data)

    def advance(self, data: memoryview, start: int, records: int) -> int:
        while records and start < len(data):
            _, start = _document(data, start)
            records -= 1
        return start


def _document(data: memoryview, at: int) -> tuple[list[memoryview], int]:
    """The chunks of the document at a position, and where the next one begins."""
    chunks: list[memoryview] = []
    while at < len(data):
        begins, length = _CHUNK.unpack_from(data, at)
        if begins and chunks:
            break
        at += _CHUNK.size
        chunks.append(data[at : at + length])
        at += length
    return chunks, at
