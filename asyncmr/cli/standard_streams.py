"""Standard input, output and error as whoever started the command has left them: open, closed, or to be kept apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper


def open_if_closed(fd: int) -> None:
    """Opens something in the place of a closed standard stream that takes what is written, and gives nothing to read.

    Otherwise the next file that is opened would get its number, and libuv aborts where one of its own has that.
    """
    try:
        os.fstat(fd)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != fd:
            os.dup2(null, fd)
            os.close(null)


@contextmanager
def standard_output() -> Iterator[int]:
    """Standard output, for the pairs alone: whatever else this process and its children print goes to standard error.

    Gives the descriptor to write the pairs to, -1 if standard output is closed.
    """
    try:
        descriptor = os.dup(1)
    except OSError:
        descriptor = -1
    if sys.stdout is not None:
        sys.stdout.flush()
    open_if_closed(2)
    os.dup2(2, 1)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        yield descriptor
    finally:
        if sys.stdout is not None:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
        if descriptor < 0:
            os.close(1)
        else:
            os.dup2(descriptor, 1)
            os.close(descriptor)
