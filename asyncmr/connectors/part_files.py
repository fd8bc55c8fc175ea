"""A folder of part files as a sink, which is there whole or not at all.

Attempts write into a staging folder inside the output folder, `.asyncmr-<pid>-<random>`. At the commit each part
is renamed to `part-00000`, ..., and `_SUCCESS` is made when all are there: who reads the folder should wait for
it, as with Hadoop. Renaming needs no space, so a full disk shows before anything is visible. If the commit
fails half-way, what was renamed is removed again; if the process is killed half-way, `_SUCCESS` is missing.
The staging folders of killed processes are removed by the next job that writes to the folder.

Parts are not forced to the disk (fsync): after a power failure the output may be incomplete, like the
output of any program that ended just before.
"""

from __future__ import annotations

import contextlib
import errno
import os
from itertools import count
from typing import Protocol

from asyncmr.errors import AsyncMRError, ClosedError, OutputError
from asyncmr.protocols import Encoder
from asyncmr.storage.disk import Disk, translated
from asyncmr.storage.folder import PrivateFolder, sweep

SUCCESS = "_SUCCESS"
STAGING = ".asyncmr-"


class Staging(Protocol):
    """A folder for what is not to be seen yet. Both methods block."""

    def open(self) -> str:
        """Its path."""

    def close(self) -> None:
        """Removes it."""


class PartFiles:
    """Writes parts as files of `folder`, which must be empty or not be there yet.

    `encoder`: how pairs become bytes.
    """

    def __init__(self, folder: str | os.PathLike[str], encoder: Encoder) -> None:
        self.encoder = encoder
        self._folder = os.path.abspath(folder)
        self._disk: Disk | None = None
        self._staging: Staging | None = None
        self._made: list[str] = []  # the folders that were not there before, outermost first
        self._parts: dict[int, PartFile] = {}
        self._visible: list[tuple[str, str | None]] = []  # and where each was staged
        self._numbers = count()
        self._committed = False

    async def open(self, disk: Disk) -> None:
        """Makes the folder and a staging folder in it.

        Raises:
            OutputError: the folder is not empty, or cannot be made or written to.
        """
        self._disk = disk
        self._staging = self._staging_folder()
        try:
            await disk.run(self._prepare, self._staging)
        except BaseException:
            await self.abort()
            raise

    async def part(self, index: int, attempt: int) -> PartFile:
        """A writer for one attempt at the part `index`. Its file is made at the first write."""
        disk, staging = self._opened()
        return self._part(disk, staging.open(), f"{index:05d}.{attempt}.{next(self._numbers)}")

    async def accept(self, index: int, writer: PartFile) -> None:
        """Notes that `writer`, which is closed, is the part `index`."""
        self._parts[index] = writer

    async def commit(self) -> None:
        """Makes the accepted parts visible, and `_SUCCESS` last. Cancelled, it ends first; `abort` takes it back.

        Raises:
            OutputError: a part could not be put in its place; none is visible.
        """
        disk, staging = self._opened()
        try:
            await disk.run(self._publish)
            await disk.run(staging.close)
        except OutputError:
            await disk.run(self._withdraw)
            raise
        self._committed = True

    async def abort(self) -> None:
        """Removes what this job made: staging, parts, and the folder if it was not there before.

        After a commit that was not cancelled it does nothing.
        """
        if self._disk is not None and self._staging is not None and not self._committed:
            await self._disk.run(self._undo, self._staging)

    def _staging_folder(self) -> Staging:
        return PrivateFolder(self._folder, STAGING, OutputError)

    def _part(self, disk: Disk, staging: str, name: str) -> PartFile:
        return PartFile(disk, os.path.join(staging, name))

    def _target(self, index: int) -> str:
        return os.path.join(self._folder, f"part-{index:05d}")

    def _opened(self) -> tuple[Disk, Staging]:
        if self._disk is None or self._staging is None:
            raise ClosedError("the output is opened before it is written")
        return self._disk, self._staging

    def _prepare(self, staging: Staging) -> None:
        self._make_folders()
        sweep(self._folder, STAGING)
        self._check_empty()
        # And again: two jobs that start together may both have found it empty, and then neither gets it.
        self._check_empty(but=os.path.basename(staging.open()))

    def _make_folders(self) -> None:
        missing = []
        folder = self._folder
        while not os.path.lexists(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for folder in reversed(missing):
            try:
                os.mkdir(folder)
                self._made.append(folder)
            except FileExistsError:
                pass  # another job writes next to this one
            except OSError as error:
                raise translated(error, "make the output folder", folder, raises=OutputError) from error

    def _check_empty(self, but: str | None = None) -> None:
        try:
            names = sorted(
                name for name in os.listdir(self._folder) if name != but and not self._is_expected(name)
            )
        except OSError as error:
            raise translated(error, "use the output folder", self._folder, raises=OutputError) from error
        if not names:
            return
        if any(name.startswith(f"{STAGING}resume-") for name in names):
            why = "a job that can be resumed was writing to it; run it again with its --resume, or remove the folder"
        elif any(name.startswith(STAGING) for name in names):
            why = "another job is writing to it; choose another folder"
        elif names[0].startswith("part-"):  # _SUCCESS sorts before it
            why = "a job was killed while it committed; remove the folder and run again"
        else:
            why = "remove it, or choose another folder: output is never mixed with what is there"
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise OutputError(
            f"the output folder {self._folder!r} is not empty, it holds {', '.join(names[:3])}{more}; {why}"
        )

    def _is_expected(self, name: str) -> bool:
        """Whether something may be in the folder before the job starts."""
        return False

    def _publish(self) -> None:
        for index, part in sorted(self._parts.items()):
            self._put(self._target(index), part)
        self._put(os.path.join(self._folder, SUCCESS), None)

    def _put(self, target: str, part: PartFile | None) -> None:
        """Renames a part to `target`, or makes an empty file there."""
        staged = part.path if part is not None and part.written else None
        try:
            if staged is None:
                with open(target, "xb"):  # it is there from now on, also if closing it fails
                    self._visible.append((target, staged))
            elif os.path.lexists(target):  # a rename would replace it
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            else:
                os.rename(staged, target)
                self._visible.append((target, staged))
        except OSError as error:
            raise translated(error, "commit the output to", target, raises=OutputError) from error

    def _withdraw(self) -> None:
        """Removes what is visible, `_SUCCESS` first; all that can be removed, also if something cannot."""
        failure: AsyncMRError | None = None
        while self._visible:
            target, staged = self._visible.pop()
            try:
                with contextlib.suppress(FileNotFoundError):
                    self._take_back(target, staged)
            except OSError as error:
                failure = failure or translated(
                    error, "remove the output of a failed job,", target, raises=OutputError
                )
        if failure is not None:
            raise failure

    def _take_back(self, target: str, staged: str | None) -> None:
        os.unlink(target)

    def _undo(self, staging: Staging) -> None:
        try:
            self._withdraw()
        finally:
            staging.close()
        while self._made:
            with contextlib.suppress(OSError):  # somebody else has put something there, or removed it
                os.rmdir(self._made.pop())


class PartFile:
    """One attempt at one part. It holds no descriptor between writes, so there may be thousands."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self.path = path
        self.written = 0

    async def write(self, data: bytes) -> None:
        """Appends to the part.

        Raises:
            OutputError: e.g. when the disk is full; discard the part then.
        """
        if data:
            await self._disk.append(self.path, data, raises=OutputError)
            self.written += len(data)

    async def close(self) -> None:
        """The part is complete. Every write has been closed, and so checked, already."""

    async def discard(self) -> None:
        """Deletes the attempt, if it can be deleted; if not, it goes with the staging folder."""
        with contextlib.suppress(OSError):
            await self._disk.run(os.unlink, self.path)
