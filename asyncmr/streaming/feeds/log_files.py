"""A log and what it was rotated to, read as one text. All of this blocks, and belongs in a thread.

The files that are followed are a list: predecessors, the oldest first, and the log itself. Each look takes whole lines
from the first that has any. When none has, the name is looked at: if it stands for another file now, that one, and
whatever was rotated in between, joins the list. A predecessor stays for `linger` seconds after its last line, since who
writes a log goes on with the old file until told of the new one.

A log that was truncated goes on at its beginning. Before that comes the rest of the copy that was made of it, if there
is one beside it. Of a log that nothing has been read of yet, nothing tells that it was truncated, but a copy that was
not there before; so the position of such a one has the copies that were.
"""

from __future__ import annotations

import logging
import os
from typing import Any, NamedTuple

from asyncmr.streaming.feed import Origin
from asyncmr.streaming.feeds.file_mark import FileMark
from asyncmr.streaming.feeds.followed_file import FollowedFile
from asyncmr.streaming.feeds.rotated import later_files, open_file, rotated_files, same_files, same_inode

_log = logging.getLogger("asyncmr")

_ATTEMPTS = 10


class Piece(NamedTuple):
    """Whole lines. `more`: whether something else may be there already. `origin`: where they are."""

    data: bytes
    more: bool
    origin: Origin | None = None


class LogFiles:
    """The lines of a log, from a position on. Its methods block; `now` is in seconds, by any one clock.

    `refused`: lines that were longer than `block_bytes`, and left out. `lag`: bytes that were there and not read, when
    it last looked.
    """

    def __init__(self, path: str, position: Any, *, block_bytes: int, linger: float) -> None:
        self.refused = self.lag = 0
        self._path = path
        self._stored: list[dict[str, Any]] = [] if position is None else position["files"]
        self._block_bytes = block_bytes
        self._linger = linger
        self._files: list[FollowedFile] = []
        self._before: set[tuple[int, ...]] | None = None
        if position is not None and "rotated" in position:
            self._before = set(map(tuple, position["rotated"]))
        self._missing = False

    def position(self) -> dict[str, Any]:
        """Behind the last piece."""
        if self._stored:
            position: dict[str, Any] = {"files": self._stored}  # not looked for yet
        else:
            position = {"files": [file.mark.stored() for file in self._files]}
        if self._before is not None and position["files"] and not position["files"][-1]["offset"]:
            position["rotated"] = sorted(map(list, self._before))
        return position

    def read(self, now: float) -> Piece:
        """The next whole lines; none if nothing is there at the moment.

        Raises:
            OSError: a file or the folder cannot be read.
        """
        piece = self._next(now)
        self.lag = sum(file.lag for file in self._files)
        return piece

    def close(self) -> None:
        """Closes the files."""
        while self._files:
            self._files.pop().close()

    def _next(self, now: float) -> Piece:
        if not self._files:
            self._start()
            return Piece(b"", bool(self._files))
        for file in list(self._files):
            piece = self._read(file, now)
            if piece.data or piece.more:
                return piece
        return Piece(b"", self._follow_name(now))

    def _start(self) -> None:
        """Opens the files where the position says, and those that came after them."""
        wanted, self._stored = self._stored, []
        for stored in wanted:
            if (found := self._find(stored)) is not None:
                self._files.append(found)
            else:
                _log.warning(
                    "%r: the file that had been read up to byte %s is not there any more, neither under this name "
                    "nor as what it was rotated to; lines behind that byte, if there were any, are lost",
                    self._path,
                    f"{stored['offset']:,}",
                )
        if self._files:
            last = self._files[-1]
            if not last.mark.offset:
                self._copied(last, os.pread(last.fd, self._block_bytes, 0))
            self._open_later(last)
        elif self._open(self._path):
            self._before = self._versions()
        elif not self._missing:
            self._missing = True
            _log.warning("%r is not there, or not a file; it is read as soon as it is", self._path)

    def _find(self, stored: dict[str, Any]) -> FollowedFile | None:
        """The file of a stored mark: the one with its inode if that has its content, or else a copy."""
        for _ in range(_ATTEMPTS):
            files = rotated_files(self._path)
            copies = [file.path for file in reversed(files)]
            for path in (*same_inode(self._path, stored["inode"]), self._path, *copies):
                if (found := self._matching(path, stored)) is not None:
                    return found
            if same_files(files, rotated_files(self._path)):
                break  # nothing was rotated meanwhile, and so missed
        return None

    def _matching(self, path: str, stored: dict[str, Any]) -> FollowedFile | None:
        found = FollowedFile.found(path, stored)
        if found is not None and any(file.identity == found.identity for file in self._files):
            found.close()
            return None
        return found

    def _read(self, file: FollowedFile, now: float) -> Piece:
        mark, before = file.mark, len(file.mark.seam)
        # What stands before the offset comes with what stands behind it, in one call: a file that is truncated
        # meanwhile cannot pass for the one that was read.
        start = mark.offset - before
        if file.scanned and not file.is_truncated():
            more, ended = file.look_through(self._block_bytes)
            self.refused += ended
            return Piece(b"", more)
        block = os.pread(file.fd, before + self._block_bytes, start)
        if not mark.offset and file is self._files[-1] and self._copied(file, block):
            return Piece(b"", True)
        if block[:before] != mark.seam:
            self._truncated(file)
            return Piece(b"", True)
        end = block.rfind(b"\n", before) + 1
        if end:
            data = block[before:end]
            origin = Origin(file.path, mark.offset)
            mark.advance(data)
            file.quiet_since = None
            return Piece(data, True, origin)
        if len(block) == before + self._block_bytes:
            file.scanned = self._block_bytes
            return Piece(b"", True)
        return self._retired(file, block[before:], now)

    def _retired(self, file: FollowedFile, rest: bytes, now: float) -> Piece:
        """Lets go of a predecessor that nobody has written to for long enough. Its last line may lack its end."""
        if file is self._files[-1]:
            return Piece(b"", False)
        if file.quiet_since is None:
            file.quiet_since = now
        if now - file.quiet_since < self._linger:
            return Piece(b"", False)
        self._files.remove(file)
        file.close()
        return Piece(rest + b"\n" if rest else b"", True, Origin(file.path, file.mark.offset))

    def _truncated(self, file: FollowedFile) -> None:
        """Goes on with what was copied of a file before it was truncated, and then at its beginning."""
        index = self._files.index(file)
        last = file is self._files[-1]
        stored = file.mark.stored()
        del self._files[index:]
        copy = self._find(stored) if last else None
        if copy is None:
            _log.warning(
                "%r was truncated when it had been read up to byte %s, and no copy of it is beside it; lines that "
                "were written behind that byte are lost; %s",
                file.path,
                f"{stored['offset']:,}",
                "it is read from its beginning again" if last else "it is not read any more",
            )
        else:
            _log.info("%r was truncated; the rest of what it was is read from %r", file.path, copy.path)
        if copy is not None:
            file.close()
            self._files.append(copy)
            self._open_later(copy)
        elif last:
            self._files.append(FollowedFile(file.path, file.fd, FileMark(*file.identity)))
            self._open_later(self._files[-1])
        else:
            file.close()

    def _copied(self, file: FollowedFile, block: bytes) -> bool:
        """Goes on with the copies of a log that was truncated before anything of it was read. Whether there are any.

        `block`: how the log begins now. A copy that begins so too is being made, or of what is still there.
        """
        files = rotated_files(self._path)
        place = next((i for i, other in enumerate(files) if other.identity == file.identity), len(files))
        known = {followed.identity for followed in self._files}
        if self._before is None:
            self._before = set()
        for copy in files[:place]:
            if copy.version in self._before or copy.identity in known:
                continue
            if (fd := open_file(copy.path)) is None:
                return True  # rotated on meanwhile: all of this is to be looked at again
            begins, status = os.pread(fd, max(len(block), 1), 0), os.fstat(fd)
            if (status.st_dev, status.st_ino) != copy.identity:
                os.close(fd)
                return True
            if not begins or (block and block.startswith(begins)):
                os.close(fd)
                continue
            self._files.insert(-1, FollowedFile(copy.path, fd, FileMark(*copy.identity)))
            self._before.add(copy.version)
        return len(self._files) > len(known)

    def _versions(self) -> set[tuple[int, ...]]:
        return {file.version for file in rotated_files(self._path)}

    def _follow_name(self, now: float) -> bool:
        """Whether the name stands for another file than before, which is then followed as well."""
        if not self._files:
            return False
        current = self._files[-1]
        try:
            status = os.stat(self._path)
        except FileNotFoundError:  # rotated, and not made again yet
            return False
        if (status.st_dev, status.st_ino) == current.identity:
            return False
        current.quiet_since = now
        self._open_later(current)
        return self._files[-1] is not current

    def _open_later(self, than: FollowedFile) -> None:
        """Follows the log and all it was rotated to since `than` was it."""
        known = len(self._files)
        for _ in range(_ATTEMPTS):
            files = rotated_files(self._path)
            complete = all(self._open(file.path, file.identity) for file in later_files(files, than.fd))
            self._open(self._path)
            if len(self._files) > known:
                self._before = {file.version for file in files}
            # Rotated once more while these were opened, one may be missing.
            if complete and same_files(files, rotated_files(self._path)):
                return
            while len(self._files) > known:
                self._files.pop().close()

    def _open(self, path: str, expected: tuple[int, int] | None = None) -> bool:
        """Follows a file from its beginning, unless it is followed already. Whether it is there, and as expected."""
        if (fd := open_file(path)) is None:
            return False
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        right = expected in (None, identity)
        if right and all(file.identity != identity for file in self._files):
            self._files.append(FollowedFile(path, fd, FileMark(*identity)))
        else:
            os.close(fd)
        return right
