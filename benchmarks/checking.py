"""Whether an output is right: a checksum of its lines that does not depend on their order, and their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

from xxhash import xxh3_64_intdigest

_MASK = (1 << 64) - 1
_CHUNK = 8 << 20
_KEY = 10  # characters of a record that a sort goes by


@dataclass(frozen=True, slots=True)
class Checksum:
    """The sum of the lines' 64-bit hashes, and how many lines there are."""

    total: int
    lines: int

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> Checksum:
        """The checksum of lines without their line ends."""
        total = number = 0
        for chunk in _chunks(lines):
            total += sum(map(xxh3_64_intdigest, chunk))
            number += len(chunk)
        return cls(total & _MASK, number)

    @classmethod
    def of_files(cls, paths: Iterable[Path]) -> Checksum:
        """The checksum of the lines of some files."""
        return cls.of(chain.from_iterable(map(lines_of, paths)))

    def __str__(self) -> str:
        return f"{self.total:016x}/{self.lines}"


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, without their line ends."""
    rest = b""
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
    if rest:
        yield rest


def output_files(folder: Path) -> list[Path]:
    """The part files of an output, in the order of their names; what tools put beside them is left out."""
    return sorted(path for path in folder.glob("part-*") if path.is_file() and path.suffix != ".crc")


def is_ordered(paths: Iterable[Path]) -> bool:
    """Whether the keys of the records ascend, from the first file to the last."""
    keys = (line[:_KEY] for line in chain.from_iterable(map(lines_of, paths)))
    return all(left <= right for left, right in pairwise(keys))


def verdict(folder: Path, expected: Checksum, ordered: bool) -> str:
    """What is wrong with an output, in words; empty when nothing is."""
    files = output_files(folder)
    found = Checksum.of_files(files)
    if found != expected:
        return f"wrong output: checksum {found} instead of {expected}"
    if ordered and not is_ordered(files):
        return "wrong output: the right lines, but not in order"
    return ""


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == 50_000:
            yield chunk
            chunk = []
    yield chunk
