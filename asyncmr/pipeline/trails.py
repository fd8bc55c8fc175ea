"""Trails: files in which guarded attempts leave marks, made by the host before and read by it after them."""

from __future__ import annotations

import os
from itertools import count
from types import TracebackType
from typing import Self

from asyncmr.kernel.guarding import Guard
from asyncmr.kernel.marks import NO_MARK, Mark
from asyncmr.pipeline.suspects import Suspects
from asyncmr.storage.disk import Disk, translated
from asyncmr.storage.folder import PrivateFolder


class Trails:
    """Where the attempts of an engine's jobs leave their trails."""

    def __init__(self, folder: PrivateFolder, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._numbers = count()

    def trail(self, suspects: Suspects, keep: int, most: int | None) -> Trail:
        """The trail of one attempt; `keep` and `most` are the guard's."""
        return Trail(self._disk, self._folder, f"trail-{next(self._numbers)}", suspects, keep, most)


class Trail:
    """The trail of one attempt, for `async with`. `guard`: None if it needs none. `mark`: the last one, at the end."""

    def __init__(
        self,
        disk: Disk,
        folder: PrivateFolder,
        name: str,
        suspects: Suspects,
        keep: int,
        most: int | None,
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._name = name
        self._suspects = suspects
        self._keep = keep
        self._most = most
        self._path: str | None = None
        self.guard: Guard | None = None
        self.mark: Mark | None = None

    async def __aenter__(self) -> Self:
        if self._suspects.guarded:
            self._path = await self._disk.run(self._lay)
            self.guard = Guard(self._path, dict(self._suspects.skip), self._keep, self._most)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is not None:
            self.mark = await self._disk.run(self._read, self._path)

    def _lay(self) -> str:
        path = os.path.join(self._folder.open(), self._name)
        try:
            with open(path, "xb") as file:
                file.write(NO_MARK)  # room that a full disk cannot refuse later
        except OSError as error:
            raise translated(error, "write", path, len(NO_MARK)) from error
        return path

    def _read(self, path: str) -> Mark | None:
        try:
            with open(path, "rb") as file:
                mark = Mark.read(file.read())
            os.unlink(path)
        except FileNotFoundError:  # the engine is being closed
            return None
        except OSError as error:
            raise translated(error, "read", path, len(NO_MARK)) from error
        return mark
