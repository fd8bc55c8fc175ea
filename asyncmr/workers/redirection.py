"""Where the standard streams of a worker process lead: to its host, through pipes.

File descriptors are what is redirected, so that C code and child processes are heard as well. It happens before the
worker imports the main script, whose prints must not end up among the host's output either.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TextIO

_done = False


class RedirectingName(str):
    """The name of a worker process, which redirects the streams of the process where it is unpickled.

    multiprocessing sends the name of a process ahead of all else, before the child imports anything of the user's.
    """

    _out: Connection
    _err: Connection

    def __new__(cls, name: str, out: Connection, err: Connection) -> RedirectingName:
        self = super().__new__(cls, name)
        self._out, self._err = out, err
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return redirected, (str(self), self._out, self._err)


def redirected(name: str, out: Connection, err: Connection) -> str:
    """Sends what this process writes to `out` and `err`, and returns its name."""
    global _done
    with out, err:
        if not _done:  # the name is sent twice, with the process's settings and with the process itself
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            # A line at a time, so that what was printed before a crash is not lost.
            sys.stdout, sys.stderr = _lines_to(1), _lines_to(2)
            _done = True
    return name


def _lines_to(fd: int) -> TextIO:
    """Writes each line, when it ends, to a descriptor that stays open."""
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def redirect_rest() -> None:
    """A worker reads nothing; and unless its host listens, it prints to standard error."""
    if not _done:
        flush_streams()
        with suppress(OSError):
            os.dup2(2, 1)
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)


def flush_streams() -> None:
    """Sends what was printed without a line end."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # a user's code has put something else in their place, or closed them
        pass
