"""SQLite on the disk of a simulation: statements that may fail, and commits of which nobody knows whether they did."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from typing import Any

from tests.simulation.faults import Faults

_NAMES = {errno.ENOSPC: "SQLITE_FULL", errno.EMFILE: "SQLITE_CANTOPEN"}


def connecting(faults: Faults) -> Callable[..., sqlite3.Connection]:
    """What stands in for `sqlite3.connect`."""
    real = sqlite3.connect

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and faults.fails_late():
                done = super().execute(sql)
                _check(faults, sql)
                return done
            _check(faults, sql)
            return super().execute(sql, *arguments)

        def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            _check(faults, sql)
            return super().executemany(sql, *arguments)

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return real(*arguments, factory=Connection, **options)

    return connect


def _check(faults: Faults, sql: str) -> None:
    word = sql.split(None, 1)[0]
    if word in ("PRAGMA", "ROLLBACK"):
        return
    try:
        faults.system_call("read" if word == "SELECT" else "write", f"SQLite's {word}")
    except OSError as error:
        failure = sqlite3.OperationalError(str(error.strerror))
        failure.sqlite_errorname = _NAMES.get(error.errno or 0, "SQLITE_IOERR")
        raise failure from None
