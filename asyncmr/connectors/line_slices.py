"""Slices of text files: a few whole lines here and there, to be looked at before the files are read.

The files count as one stream of bytes. A slice begins with the first line that begins at or behind a given byte, or
with the next file where there is none, and ends with a line. Slices lie at even distances, so that every stretch of
the files is seen as often as it takes up room. A line longer than `LINE_BYTES` is not looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from io import BufferedReader
from itertools import accumulate

from asyncmr.connectors.paths import FileEntry
from asyncmr.connectors.sampling import SAMPLES, sample_bytes
from asyncmr.errors import InputError
from asyncmr.protocols import Piece
from asyncmr.storage.disk import translated

LINE_BYTES = 1 << 20
_MOST_SLICES = 256
# Less than this is not worth a trip of the disk's head, or of the system.
_SLICE_BYTES = 256
_LEAST_SLICES = 32


class LineSlices:
    """`size` bytes, and what completes the line, at each of these bytes of the files. `worth`: for how many bytes
    each slice stands."""

    def __init__(self, files: Sequence[FileEntry], starts: Sequence[int], size: int, worth: float) -> None:
        self.worth = worth
        self._files = files
        self._starts = starts
        self._size = size
        self._ends = list(accumulate(file.size for file in files))

    @classmethod
    def of(cls, files: Sequence[FileEntry]) -> Iterator[LineSlices]:
        """All slices of the files, in some portions."""
        files = [file for file in files if file.size]
        total = sum(file.size for file in files)
        wanted = sample_bytes(total)
        count = min(max(wanted // _SLICE_BYTES, _LEAST_SLICES), _MOST_SLICES)
        starts = [(2 * number + 1) * total // (2 * count) for number in range(count)] if files else []
        portion = -(-count // SAMPLES)
        for first in range(0, len(starts), portion):
            yield cls(files, starts[first : first + portion], max(1, wanted // count), total / count)

    def read(self) -> tuple[bytes, tuple[Piece, ...]]:
        """The lines of all slices, and where each slice comes from. It blocks, so call it in a thread.

        Raises:
            InputError: a file was removed since it was listed, or cannot be read.
        """
        found: list[bytes] = []
        pieces: list[Piece] = []
        length = 0
        for start in self._starts:
            number = bisect_right(self._ends, start)
            offset = start - (self._ends[number - 1] if number else 0)
            for file, begin in (
                (self._files[number], offset),
                (self._files[(number + 1) % len(self._files)], 0),
            ):
                at, lines = _read(file, begin, self._size)
                if lines:
                    pieces.append(Piece(file.path, at, length))
                    found.append(lines)
                    length += len(lines)
                    break
        return b"".join(found), tuple(pieces)


def _read(file: FileEntry, begin: int, size: int) -> tuple[int, bytes]:
    """Where the first line at or behind `begin` begins, and lines from there on."""
    try:
        with open(file.path, "rb") as handle:
            return _lines(handle, begin, size)
    except OSError as error:
        raise translated(error, "read the input", file.path, raises=InputError) from error


def _lines(handle: BufferedReader, begin: int, size: int) -> tuple[int, bytes]:
    if begin:
        handle.seek(begin - 1)
        if not handle.readline(LINE_BYTES).endswith(b"\n"):
            return begin, b""
    at = handle.tell()
    lines = handle.read(size)
    if not lines.endswith(b"\n"):
        lines += handle.readline(LINE_BYTES)
    if lines and not lines.endswith(b"\n"):
        if handle.peek(1):
            lines = lines[: lines.rfind(b"\n") + 1]  # in a line too long to be looked at
        else:
            lines += b"\n"
    return at, lines
