"""The files that a log was rotated to, and their order.

`app.log` is rotated to `app.log.1`, `app.log-20261121`, `app-2026-11-21.log` and the like. A number of up to four
digits counts rotations, so that the larger is the older; a longer one is a date or a time. Where names do not tell, the
time of the last write does.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from asyncmr.connectors.compressed import is_compressed


@dataclass(frozen=True, slots=True)
class RotatedFile:
    """A file beside a log, named as if the log had been rotated to it.

    `rank`: its place among its like by its name, the older the lower.
    """

    path: str
    device: int
    inode: int
    modified: int
    counted: bool
    rank: tuple[int, ...]

    @property
    def identity(self) -> tuple[int, int]:
        """Of device and inode."""
        return self.device, self.inode

    @property
    def version(self) -> tuple[int, int, int]:
        """Of device, inode and the time of the last write: an inode alone is soon that of another file."""
        return self.device, self.inode, self.modified


def rotated_files(path: str) -> list[RotatedFile]:
    """What a log was rotated to, the oldest first; what is compressed is left out. Blocks. Raises OSError."""
    folder, name = os.path.split(path)
    files = []
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            digits = _suffix(name, entry.name)
            if digits is None or is_compressed(entry.name):
                continue
            try:
                if not entry.is_file(follow_symlinks=False):
                    continue
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # rotated on meanwhile
                continue
            counted = len(digits) == 1 and len(digits[0]) <= 4
            rank = (-int(digits[0]),) if counted else tuple(map(int, digits))
            files.append(
                RotatedFile(entry.path, status.st_dev, status.st_ino, status.st_mtime_ns, counted, rank)
            )
    if len({file.counted for file in files}) == 1:
        return sorted(files, key=lambda file: (file.rank, file.modified))
    return sorted(files, key=lambda file: (file.modified, file.rank))


def same_inode(path: str, inode: int) -> Iterator[str]:
    """The files of a log's folder that have this inode, whatever their names. Blocks. Raises OSError."""
    with os.scandir(os.path.dirname(path) or ".") as entries:
        yield from [entry.path for entry in entries if entry.inode() == inode]


def later_files(files: list[RotatedFile], than: int) -> list[RotatedFile]:
    """Those of `files` that the log was rotated to after the open file `than`. Blocks."""
    status = os.fstat(than)
    for index, file in enumerate(files):
        if file.identity == (status.st_dev, status.st_ino):
            return files[index + 1 :]
    if status.st_nlink:
        return []
    return [file for file in files if file.modified > status.st_mtime_ns]


def same_files(files: list[RotatedFile], now: list[RotatedFile]) -> bool:
    """Whether nothing was rotated in between."""
    return [(file.path, file.identity) for file in files] == [(file.path, file.identity) for file in now]


def open_file(path: str) -> int | None:
    """A descriptor of it; None if it is not there or no file. Without waiting, whatever it is."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return fd


def _suffix(name: str, other: str) -> list[str] | None:
    """The numbers that rotation put into `name` to make `other`; None if it did not."""
    stem, extension = os.path.splitext(name)
    for before, after in ((name, ""), (stem, extension)):
        middle = other[len(before) : len(other) - len(after)]
        if other == before + middle + after and re.fullmatch(r"[.\-_].*[0-9].*", middle):
            return re.findall(r"[0-9]+", middle)
    return None
