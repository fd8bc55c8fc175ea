"""The folder of a journal: what a job that can be resumed leaves to the next process that runs it.

It belongs to whoever holds the lock (flock) on its file `lock`, which the kernel drops when that process dies, however
it dies. What lies in it is decoded by the workers, so it must be a folder that nobody else can write to.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterable

from asyncmr.errors import ResumeError
from asyncmr.storage.disk import translated
from asyncmr.storage.folder import LOCK, locks

DATABASE = "journal.sqlite"
BLOCKS = "blocks"
BLOCK_FILE = re.compile(r"[0-9a-f]{16}\.spill")
"""What a file of blocks is called; nothing else in the folder of blocks is opened or removed."""


class JournalFolder:
    """The folder at `path`. Its methods block."""

    what = "journal"
    user = "this job"
    database_name = DATABASE
    has_blocks = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        self._lock = -1

    @property
    def database(self) -> str:
        """Where the log of epochs is."""
        return os.path.join(self.path, self.database_name)

    @property
    def blocks(self) -> str:
        """Where the blocks are."""
        return os.path.join(self.path, BLOCKS)

    def claim(self) -> None:
        """Makes the folder if it is not there, and locks it.

        Raises:
            ResumeError: another process has it, it belongs to somebody else, or it holds other things than a journal.
            StorageError: it cannot be made or written to.
        """
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.path, 0o700)
            self._check()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            self._lock = os.open(os.path.join(self.path, LOCK), flags, 0o600)
            if not locks(self._lock, self.path):
                self.release()
                raise ResumeError(
                    f"the {self.what} in {self.path!r} is in use: another process is running {self.user}. Wait for "
                    "it, or give each a folder of its own"
                )
            if self.has_blocks:
                os.makedirs(self.blocks, mode=0o700, exist_ok=True)
            os.close(os.open(self.database, flags, 0o600))  # SQLite would make it readable by others
        except OSError as error:
            self.release()
            raise translated(error, f"keep a {self.what} in", self.path) from error

    def open(self) -> str:
        """Where new files of blocks go."""
        return self.blocks

    def keep_only(self, files: Collection[str]) -> None:
        """Deletes the files of blocks but these."""
        self._delete(name for name in self._block_files() if name not in files)

    def remove(self) -> None:
        """Deletes everything of the journal, and the folder if nothing else is in it."""
        self._delete(self._block_files())
        with contextlib.suppress(OSError):
            os.rmdir(self.blocks)
        for name in (*(f"{self.database}{end}" for end in ("", "-wal", "-shm", "-journal")), LOCK):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.path, name))
        with contextlib.suppress(OSError):
            os.rmdir(self.path)

    def release(self) -> None:
        """Unlocks the folder."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _check(self) -> None:
        status = os.stat(self.path)
        if not stat.S_ISDIR(status.st_mode):
            raise ResumeError(f"{self.path!r} is a file; a {self.what} takes a folder of its own")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ResumeError(
                f"other users can write to {self.path!r}, and what lies in a {self.what} is trusted; "
                "name a folder that is not there yet, or run: chmod go-w on one of your own"
            )
        names = sorted(os.listdir(self.path))
        if self.database_name not in names and set(names) - {LOCK, BLOCKS}:
            raise ResumeError(
                f"{self.path!r} holds {', '.join(names[:3])}, and no {self.what}; "
                "name a folder that is empty or not there yet"
            )

    def _block_files(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.blocks) if BLOCK_FILE.fullmatch(name)]
        except FileNotFoundError:
            return []

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = os.path.join(self.blocks, name)
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise translated(error, "delete", path) from error
