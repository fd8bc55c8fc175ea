"""Standard input that whoever started the command has closed."""

from __future__ import annotations

import os


def hold_if_closed() -> None:
    """Opens something in its place, which cannot be read either.

    Otherwise the next file that is opened would get its number, and libuv aborts where one of its own has that.
    """
    try:
        os.fstat(0)
    except OSError:
        os.open(os.devnull, os.O_WRONLY)
