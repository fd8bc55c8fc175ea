"""A memory cgroup for one run, of version 1 or 2. Making one needs root, or a group that was delegated."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


class NoCgroup(Exception):
    """A memory cgroup cannot be made here; the message says why."""


class MemoryGroup:
    """A cgroup of at most `size` bytes of memory, page cache included and without swap; removed at the end.

    `parent`: the group to make it in, by default the root of what is mounted.

    Raises (when entered):
        NoCgroup: it cannot be made.
    """

    def __init__(self, size: int, parent: Path | None = None) -> None:
        self.size = size
        self._parent = parent or (_V1 if _V1.is_dir() else _V2)
        self._path = self._parent / f"bench-{os.getpid()}-{time.monotonic_ns()}"
        # Only version 1 has a file of this name.
        self._first = (self._parent / "memory.limit_in_bytes").exists()

    def __enter__(self) -> Self:
        try:
            self._path.mkdir()
        except OSError as error:
            raise NoCgroup(
                f"no memory cgroup can be made in {self._parent}: {error.strerror}; run as root, or name a group "
                "that was delegated to you with --cgroup-parent"
            ) from error
        try:
            self._limit()
        except OSError as error:
            self._path.rmdir()
            raise NoCgroup(
                f"{self._path} takes no memory limit: {error.strerror} ({error.filename}); of cgroup version 2 the "
                "parent must have +memory in cgroup.subtree_control"
            ) from error
        return self

    def _limit(self) -> None:
        if self._first:
            (self._path / "memory.limit_in_bytes").write_text(str(self.size))
            swap = self._path / "memory.memsw.limit_in_bytes"
            if swap.exists():
                swap.write_text(str(self.size))
        else:
            # Opened for updating: a file that is not there must not be made.
            with open(self._path / "memory.max", "r+", encoding="ascii") as file:
                file.write(str(self.size))
            swap = self._path / "memory.swap.max"
            if swap.exists():
                swap.write_text("0")

    def entering(self, command: Sequence[str]) -> list[str]:
        """A command that runs `command` inside the group."""
        procs = shlex.quote(str(self._path / "cgroup.procs"))
        return ["sh", "-c", f'echo $$ > {procs} && exec "$@"', "sh", *command]

    def kills(self) -> int:
        """How many processes of the group the kernel has killed for want of memory."""
        name = "memory.oom_control" if self._first else "memory.events"
        for line in (self._path / name).read_text(encoding="ascii").splitlines():
            word, _, number = line.partition(" ")
            if word == "oom_kill":
                return int(number)
        return 0

    def peak(self) -> int | None:
        """The most bytes that the group has held, page cache included; None where the kernel does not say."""
        path = self._path / ("memory.max_usage_in_bytes" if self._first else "memory.peak")
        return int(path.read_text(encoding="ascii")) if path.exists() else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A process that has just ended may be a member for some milliseconds more.
        deadline = time.monotonic() + 5
        while True:
            try:
                self._path.rmdir()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
