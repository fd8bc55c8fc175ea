"""The files of a folder, the oldest first, each read once. All of this blocks, and belongs in a thread."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from asyncmr.connectors.compressed import InputFile, is_compressed
from asyncmr.errors import InputError
from asyncmr.streaming.feed import Origin
from asyncmr.streaming.feeds.done_files import DoneFiles, file_id
from asyncmr.streaming.feeds.lines import LineCutter

_log = logging.getLogger("asyncmr")

_NOT_YET = (".tmp", ".part", ".partial", "~")
_SKIPPED_AT_ONCE = 1 << 20
# Seconds after which the files are looked at even if the folder seems unchanged: some may have grown.
_LOOK_ANYWAY = 30.0


class FolderPiece(NamedTuple):
    """Whole lines of one file, and what to store with them. `more`: whether there is something else already. `origin`:
    where they are."""

    data: bytes
    more: bool
    partition: str = ""
    position: Any = None
    origin: Origin | None = None


class _Seen(NamedTuple):
    """How a file looked, and since when. `read`: it was read to its end, or cannot be."""

    version: tuple[int, int, int]
    since: float
    read: bool = False


@dataclass(slots=True)
class _Reading:
    name: str
    identity: bytes
    file: InputFile
    cutter: LineCutter
    offset: int = 0


class FolderFiles:
    """The lines of a folder's files, from positions on. Its methods block; `now` is in seconds since the epoch.

    `refused`: lines longer than `line_limit`, left out. `damaged`: files that could not be read to their ends.
    """

    def __init__(
        self, path: str, positions: Mapping[str, Any], *, block_bytes: int, line_limit: int, settle: float
    ) -> None:
        self.refused = self.damaged = 0
        self._path = path
        self._block_bytes = block_bytes
        self._line_limit = line_limit
        self._settle = settle
        self._done = DoneFiles(positions, os.stat(path).st_ino)
        self._seen: dict[str, _Seen] = {}
        self._next: deque[tuple[str, bytes, int]] = deque()
        self._reading: _Reading | None = None
        self._unchanged: int | None = None
        self._looked = 0.0

    def read(self, now: float) -> FolderPiece:
        """The next whole lines; none if nothing is there at the moment.

        Raises:
            OSError: the folder cannot be read.
        """
        if self._reading is None:
            if not self._next:
                self._look(now)
            if not self._next:
                return FolderPiece(b"", False)
            name, identity, _ = self._next.popleft()
            self._open(name, identity)
            return FolderPiece(b"", True)
        reading = self._reading
        try:
            return self._read(reading)
        except InputError as error:
            self._put_aside(reading.name, error)
            self.close()
            return FolderPiece(b"", True)

    def lag(self) -> int:
        """The bytes that are known, on disk, and not read."""
        unread = sum(size for _, _, size in self._next)
        if self._reading is not None:
            fd = self._reading.file.fileno()
            unread += os.fstat(fd).st_size - os.lseek(fd, 0, os.SEEK_CUR)
        return unread

    def close(self) -> None:
        """Closes the file that is being read."""
        if self._reading is not None:
            self._reading.file.close()
            self._reading = None

    def _look(self, now: float) -> None:
        """Finds the files that are new, and have not changed for a while."""
        folder = os.stat(self._path)
        # The folder's own time tells whether a name was added. It has steps, so it counts once it is a second old.
        changed = folder.st_mtime_ns
        if changed == self._unchanged and now - self._looked < _LOOK_ANYWAY:
            return
        self._unchanged = changed if time.time_ns() - changed > 10**9 else None
        self._looked = now
        present: set[bytes] = set()
        seen: dict[str, _Seen] = {}
        found: list[tuple[int, str, bytes, int]] = []
        with os.scandir(self._path) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith((".", "_")) or name.endswith(_NOT_YET):
                    continue
                identity = file_id(name, entry.inode())
                present.add(identity)
                if identity in self._done and name not in self._seen:
                    continue
                try:
                    if not entry.is_file():
                        continue
                    status = entry.stat()
                except FileNotFoundError:  # gone meanwhile
                    continue
                seen[name] = state = self._state(name, status, now)
                settled = now - state.since >= self._settle or 0 <= status.st_mtime <= now - self._settle
                if identity in self._done or state.read:
                    continue
                if not settled:
                    self._unchanged = None
                else:
                    found.append((status.st_mtime_ns, name, identity, status.st_size))
        self._seen = seen
        self._done.keep_only(present, folder.st_ino)
        self._next.extend((name, identity, size) for _, name, identity, size in sorted(found))

    def _state(self, name: str, status: os.stat_result, now: float) -> _Seen:
        version = (status.st_ino, status.st_size, status.st_mtime_ns)
        before = self._seen.get(name)
        if before is None or before.version != version:
            if before is not None and before.read and before.version[0] == version[0]:
                _log.warning(
                    "%r was changed after it had been read, and is not read again; make files elsewhere, "
                    "or under a name that begins with a dot, and rename them when they are whole",
                    os.path.join(self._path, name),
                )
                return _Seen(version, now, read=True)
            return _Seen(version, now)
        return before

    def _open(self, name: str, identity: bytes) -> None:
        path = os.path.join(self._path, name)
        offset = self._done.offset(identity)
        try:
            file = InputFile(path)
        except InputError as error:
            self._put_aside(name, error)
            return
        self._reading = reading = _Reading(name, identity, file, LineCutter(self._line_limit), offset)
        try:
            if not is_compressed(path):
                os.lseek(file.fileno(), offset, os.SEEK_SET)
                return
            while offset and (data := file.read(min(offset, _SKIPPED_AT_ONCE))):
                offset -= len(data)
        except (InputError, OSError) as error:
            self._put_aside(reading.name, error)
            self.close()

    def _read(self, reading: _Reading) -> FolderPiece:
        block = reading.file.read(self._block_bytes)
        refused = reading.cutter.refused
        data = reading.cutter.feed(block)
        origin = Origin(os.path.join(self._path, reading.name), reading.offset + reading.cutter.began)
        reading.offset += len(block)
        if reading.cutter.refused > refused:
            self.refused += 1
            _log.warning(
                "%r: a line near byte %s was left out: it is longer than the limit, %s bytes",
                os.path.join(self._path, reading.name),
                f"{reading.offset:,}",
                f"{self._line_limit:,}",
            )
        if block:
            self._done.read_to(reading.identity, reading.offset - reading.cutter.held)
        else:
            data += reading.cutter.last()
            self._done.finish(reading.identity)
            self._mark_read(reading.name)
            self.close()
        if data or not block:
            return FolderPiece(data, True, *self._done.position(reading.identity), origin)
        return FolderPiece(b"", True)

    def _put_aside(self, name: str, error: Exception) -> None:
        """Leaves a file until it is another one."""
        self.damaged += 1
        self._mark_read(name)
        _log.error(
            "the rest of %r was left out: %s; it is tried again when it has been replaced, or at the next start",
            os.path.join(self._path, name),
            error,
        )

    def _mark_read(self, name: str) -> None:
        if (seen := self._seen.get(name)) is not None:
            self._seen[name] = seen._replace(read=True)
