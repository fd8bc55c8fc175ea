"""A file of dead letters: what a job has skipped, as JSON lines; it is there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import BinaryIO

from asyncmr.errors import ClosedError, OutputError
from asyncmr.storage.disk import Disk, translated
from asyncmr.storage.folder import PrivateFolder, sweep

STAGING = ".asyncmr-letters-"


class DeadLetters:
    """Writes letters into a file that must not be there yet."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path)
        self._disk: Disk | None = None
        self._staging = PrivateFolder(os.path.dirname(self._path), STAGING, OutputError)
        self._file: BinaryIO | None = None
        self._published = False

    async def open(self, disk: Disk, *, replace: bool = False) -> None:
        """Makes sure that the file can be written. `close` must follow.

        replace: the file may be there, and is replaced.

        Raises:
            OutputError: the file exists, or its folder does not, or cannot be written to.
        """
        self._disk = disk
        await disk.run(self._open, replace)

    def write(self, letter: bytes) -> None:
        """Adds a letter; blocks.

        Raises:
            OutputError: there is no room for it.
        """
        if self._file is None:
            raise ClosedError("a file of dead letters is opened before it is written")
        try:
            self._file.write(letter)
        except OSError as error:
            raise translated(error, "write the dead letters", self._path, raises=OutputError) from error

    async def publish(self) -> None:
        """Makes the file visible under its name; there is nothing left to close then.

        Raises:
            OutputError: it could not be written.
        """
        if self._disk is not None:
            await self._disk.run(self._publish)

    async def withdraw(self) -> None:
        """Removes what was published."""
        if self._disk is not None and self._published:
            await self._disk.run(self._withdraw)

    async def close(self) -> None:
        """Removes what is not published."""
        if self._disk is not None and not self._published:
            await self._disk.run(self._close)

    def _open(self, replace: bool) -> None:
        folder = os.path.dirname(self._path)
        if os.path.lexists(self._path) and not replace:
            raise OutputError(
                f"the file for dead letters {self._path!r} exists already; remove it, or choose another name"
            )
        if not os.path.isdir(folder):
            raise OutputError(
                f"the file for dead letters {self._path!r} has no place, there is no folder {folder!r}; "
                "make it first"
            )
        sweep(folder, STAGING)
        try:
            self._file = open(os.path.join(self._staging.open(), "letters"), "xb")  # noqa: SIM115
        except OSError as error:
            raise translated(error, "write the dead letters", self._path, raises=OutputError) from error

    def _publish(self) -> None:
        assert self._file is not None
        try:
            self._file.close()
            os.rename(self._file.name, self._path)
            self._published = True
            self._staging.close()
        except OSError as error:
            raise translated(error, "write the dead letters", self._path, raises=OutputError) from error

    def _withdraw(self) -> None:
        try:
            os.unlink(self._path)
        except OSError as error:
            raise translated(error, "remove the dead letters", self._path, raises=OutputError) from error

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # what could not be written has been told, and goes now
                self._file.close()
        self._staging.close()
