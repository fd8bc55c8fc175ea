"""The disk of the torture test: it fails once, moves less than was asked for, or flips a bit."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial

from tests.storage.faulty_io import Call, FaultyIO, error
from tests.torture.tally import Tally

KINDS = ["write", "read", "open", "close", "rename", "mkdir", "lock", "corrupt"]


class BadDisk:
    """What happens to the calls that `faulty` sees. `hurts` is called when one fails; `failures` have."""

    def __init__(self, faulty: FaultyIO, tally: Tally, hurts: Callable[[], None]) -> None:
        self._faulty = faulty
        self._tally = tally
        self._hurts = hurts
        self.failures = 0

    def fail(self, kind: str, after: int) -> None:
        """Lets one call of a kind fail, the first after so many. "corrupt" flips a bit of what is about to be read."""
        self._faulty.hook = partial(self._fails, kind, [after])

    def shorten(self, most: int) -> None:
        """Lets reads and writes move no more than so many bytes at a time."""
        self._faulty.hook = partial(self._shortened, most, [])

    def heal(self) -> None:
        """All is well again."""
        self._faulty.heal()

    def _shortened(self, most: int, seen: list[Call], call: Call) -> int | None:
        if call.kind not in ("read", "write") or call.size <= most:
            return None
        if not seen:
            self._tally.faults["disk: short reads and writes"] += 1
            seen.append(call)
        return most

    def _fails(self, kind: str, left: list[int], call: Call) -> None:
        if not _is(kind, call):
            return
        left[0] -= 1
        if left[0] != -1:
            return
        self.failures += 1
        self._tally.faults[f"disk: {kind}"] += 1
        self._hurts()
        if kind != "corrupt":
            raise error({"write": errno.ENOSPC, "open": errno.EMFILE}.get(kind, errno.EIO), call)
        _flip(call)


def _is(kind: str, call: Call) -> bool:
    if kind == "corrupt":
        return call.kind == "read" and call.path.endswith(".spill")
    # A folder is opened to be removed; if that failed, it would be left for good reason.
    return call.kind == kind and not (kind == "open" and os.path.isdir(call.path))


def _flip(call: Call) -> None:
    at = call.offset + call.size // 2
    fd = os.open(call.path, os.O_RDWR)
    try:
        os.lseek(fd, at, os.SEEK_SET)
        byte = os.read(fd, 1)[0]
        os.lseek(fd, at, os.SEEK_SET)
        os.write(fd, bytes([byte ^ 1]))
    finally:
        os.close(fd)
