"""What is known of the records and keys of one task on which attempts at it failed.

An attempt that fails by the mapper or the reducer, or by the death of its worker, makes the next ones guarded (see
`kernel.guarding`). Those leave out by themselves whatever raises. What kills the worker is known by the trail of the
attempt that died: first the bundle that it is in, whose records the next attempt takes one by one. It may be innocent,
killed from outside or for what others hold of the memory, so it is only left out when as many attempts have ended
at it as there are retries.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from itertools import count
from time import monotonic
from types import TracebackType
from typing import Self

from asyncmr.kernel.guarding import Guard
from asyncmr.kernel.marks import BUNDLES, NO_MARK, Mark, Place
from asyncmr.pipeline.tolerance import Tolerance
from asyncmr.storage.disk import Disk, translated
from asyncmr.storage.folder import PrivateFolder
from asyncmr.workers import RemoteError, SlotDied, SlotTimeout

# A record that hangs took at least this part of `task_timeout` itself; otherwise the task as a whole is slow.
_HANGS = 0.5
# And the next attempt then gets so many times as long, so that the records before it are not in the way.
_PATIENCE = 2


class Suspects:
    """One task's. `guarded`: whether its attempts are to be. `deaths`: how many workers died since the last finding."""

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        self._most = tolerance.retries if not tolerance.skips else max(1, tolerance.retries)
        self._seen: Counter[Place] = Counter()
        self._patience = 1
        self._narrowed = False  # a bundle was found in which the next culprit is
        self.skip: dict[Place, tuple[str, str]] = {}
        self.guarded = False
        self.deaths = 0

    @property
    def timeout(self) -> float | None:
        """The seconds that an attempt has."""
        timeout = self._tolerance.task_timeout
        return None if timeout is None else timeout * self._patience

    def raised(self, error: RemoteError) -> bool:
        """Notes that an attempt ended by an exception; whether to try again."""
        facts = error.facts or {}
        if "late" in facts:
            self.skip[facts["late"]] = (error.type_name, error.message)
            return True
        again = not self.guarded and facts.get("role") in ("mapper", "reducer", "aggregator")
        self.guarded = self._tolerance.skips
        return again and self.guarded

    def died(self, error: SlotDied | SlotTimeout, mark: Mark | None) -> bool:
        """Notes that an attempt died, and at what, if its trail says so; whether to try again."""
        self.deaths += 1
        self.guarded = self._tolerance.skips
        if mark is not None and mark.place not in self.skip and self._is_to_blame(error, mark):
            self._seen[mark.place] += 1
            if mark.place[0] in BUNDLES:  # to look through one harms nobody
                self.skip[mark.place] = ("", "")
                self.deaths -= not self._narrowed
                self._narrowed = True
            elif self._seen[mark.place] >= self._most:
                self.skip[mark.place] = self._told(error)
                self.deaths, self._narrowed = 0, False
        return self.deaths <= self._most

    def _is_to_blame(self, error: SlotDied | SlotTimeout, mark: Mark) -> bool:
        timeout = self._tolerance.task_timeout
        if isinstance(error, SlotDied) or timeout is None or monotonic() - mark.since >= timeout * _HANGS:
            return True
        self._patience = _PATIENCE
        return False

    def _told(self, error: SlotDied | SlotTimeout) -> tuple[str, str]:
        if isinstance(error, SlotDied):
            return "WorkerDied", f"the worker died: {_end(error.exitcode)}"
        return "TaskTimeout", f"ran longer than task_timeout={self._tolerance.task_timeout:g} s"


def _end(exitcode: int | None) -> str:
    """How a worker ended, in the same words at every attempt: what else was found out may differ."""
    if exitcode is None:
        return "nobody knows how"
    try:
        return f"killed by signal {-exitcode} ({signal.Signals(-exitcode).name})"
    except ValueError:
        return f"exit code {exitcode}"


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
