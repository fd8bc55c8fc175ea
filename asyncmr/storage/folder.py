"""A private folder for files that must not outlive their process, and the sweep for those that did.

A folder belongs to whoever holds the lock (flock) on its file `lock`; the kernel drops the lock when that
process dies, however it dies. A process id in the name would not do: ids are reused, and differ between
containers that share a folder.

Between making a folder and locking it, a sweep may take the newcomer for dead. The rules that keep both safe:
a sweep removes a folder only while it holds the folder's own lock, and makes the lock file where there is
none; a newcomer insists on making the lock file itself, and whoever gets a lock checks that the file is still
the one in the folder. A newcomer that loses starts again under another name.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
import threading
from typing import Protocol

from asyncmr.errors import AsyncMRError, ClosedError, StorageError
from asyncmr.storage.disk import translated

_log = logging.getLogger("asyncmr")

LOCK = "lock"
ATTEMPTS = 16
"""Newcomers lost to sweeps before we give up; each loss takes another process sweeping at that moment."""


class Folder(Protocol):
    """Where files are made. `open` gives its path, and blocks."""

    def open(self) -> str: ...


class PrivateFolder:
    """A folder `<prefix><pid>-<random>` under `parent`, made (mode 0700) and locked when first opened.

    Its methods block, and may be called in several threads. Errors are of the family `raises`.
    """

    def __init__(self, parent: str, prefix: str, raises: type[AsyncMRError] = StorageError) -> None:
        self.parent = parent
        self._prefix = prefix
        self._raises = raises
        self._guard = threading.Lock()
        self._path: str | None = None
        self._lock = -1
        self._closed = False

    def open(self) -> str:
        """The folder's path; the first call makes the folder.

        Raises:
            ClosedError: after `close`.
            AsyncMRError: of the family `raises`, when `parent` is missing or cannot be written to.
        """
        with self._guard:
            if self._closed:
                raise ClosedError("the folder was closed, and what it held is gone")
            if self._path is None:
                try:
                    self._path, self._lock = _make(self.parent, self._prefix)
                except OSError as error:
                    raise translated(
                        error, "make a folder for temporary files in", self.parent, raises=self._raises
                    ) from error
            return self._path

    def close(self) -> None:
        """Removes the folder and all that it holds. May be called again."""
        with self._guard:
            self._closed = True
            if self._path is None:
                return
            try:
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(self._path)
            except OSError as error:
                raise translated(
                    error, "remove the temporary folder", self._path, raises=self._raises
                ) from error
            finally:
                # Only now: a sweep must not take up what is being removed.
                _close(self._lock)
                self._lock = -1
            self._path = None


class SpillFolder(PrivateFolder):
    """Where an engine's spill files wait: under `parent`, or the system's folder for temporary files."""

    PREFIX = "asyncmr-"

    def __init__(self, parent: str | None = None) -> None:
        super().__init__(os.path.abspath(parent or tempfile.gettempdir()), self.PREFIX)

    def leave(self) -> None:
        """Removes the folder. Whoever used it is done, so that a disk that fails now fails nobody."""
        try:
            self.close()
        except StorageError as error:
            _log.warning("%s; the next engine that spills there removes it", error)


def sweep(parent: str | None = None, prefix: str = SpillFolder.PREFIX) -> list[str]:
    """Removes the folders that dead processes of this user left under `parent`; returns their paths.

    Folders of live processes and of other users, and symbolic links, are left alone. What cannot be removed
    is left to a later sweep: it stands in nobody's way.
    """
    parent = os.path.abspath(parent or tempfile.gettempdir())
    ours = re.compile(re.escape(prefix) + r"\d+-[a-z0-9_]+")
    try:
        names = [name for name in os.listdir(parent) if ours.fullmatch(name)]
    except OSError:
        return []
    return [path for name in sorted(names) if _remove_if_dead(path := os.path.join(parent, name))]


def _make(parent: str, prefix: str) -> tuple[str, int]:
    for _ in range(ATTEMPTS):
        path = tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent)
        lock = -1
        try:
            lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            if locks(lock, path):
                return path, lock
        except (FileExistsError, FileNotFoundError):
            pass  # a sweep was quicker
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            _close(lock)
            raise
        _close(lock)
    raise OSError(f"{ATTEMPTS} new folders in a row were removed by other processes")


def _remove_if_dead(path: str) -> bool:
    lock = -1
    try:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return False
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        lock = os.open(os.path.join(path, LOCK), flags, 0o600)
        if not locks(lock, path):
            return False
        shutil.rmtree(path)
    except OSError:
        return False
    finally:
        _close(lock)
    return True


def locks(lock: int, folder: str) -> bool:
    """Locks the open file, and says whether that is the lock of the folder."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock), os.stat(os.path.join(folder, LOCK), follow_symlinks=False))
    except (BlockingIOError, FileNotFoundError):
        return False


def _close(lock: int) -> None:
    if lock >= 0:
        os.close(lock)
