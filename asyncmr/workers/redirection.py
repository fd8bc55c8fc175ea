"""Where the standard streams of a worker process lead: to its host, through pipes.

File descriptors are what is redirected, so that C code and child processes are heard as well. It happens before the
worker imports the main script, whose prints must not end up among the host's output either.
"""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.reduction import DupFd
from typing import Any, TextIO


class RedirectingName(str):
    """The name of a worker process, which redirects the streams of the process where it is unpickled.

    multiprocessing sends the name of a process ahead of all else: before the child imports anything of the user's, and
    before it knows where asyncmr is. So what happens there are calls of the standard library alone.
    """

    _out: int
    _err: int

    def __new__(cls, name: str, out: int, err: int) -> RedirectingName:
        self = super().__new__(cls, name)
        self._out, self._err = out, err
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        calls = [call for ours, theirs in ((self._out, 1), (self._err, 2)) for call in _moving(ours, theirs)]
        return operator.getitem, ((str(self), *calls), 0)


class _Call:
    """A call that is made where it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def _moving(ours: int, theirs: int) -> tuple[_Call, _Call]:
    """Gives what is the descriptor `ours` here the number `theirs` there."""
    sent = _Call(operator.methodcaller("detach"), DupFd(ours))
    return _Call(os.dup2, sent, theirs), _Call(os.close, sent)


def redirect(*, heard: bool) -> None:
    """A worker reads nothing; what it prints its host hears a line at a time, or else it goes to standard error."""
    flush_streams()
    if heard:
        # So that what was printed before a crash is not lost.
        sys.stdout, sys.stderr = _lines_to(1), _lines_to(2)
    else:
        with suppress(OSError):
            os.dup2(2, 1)
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)


def _lines_to(fd: int) -> TextIO:
    """Writes each line, when it ends, to a descriptor that stays open."""
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def flush_streams() -> None:
    """Sends what was printed without a line end."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # a user's code has put something else in their place, or closed them
        pass
