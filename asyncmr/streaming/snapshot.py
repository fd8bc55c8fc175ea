"""A state as of its last commit, read beside the stream that may be writing it.

SQLite gives a reader the state as it was when it began, and holds no writer up. The lock of the folder, which keeps a
second stream away, is not taken: to look must never be the reason for which a daemon does not start.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from asyncmr.errors import CorruptRunError, ResumeError, StorageError
from asyncmr.kernel.cold import Place
from asyncmr.streaming.state_folder import StateFolder
from asyncmr.streaming.store import FORMAT, FORMAT_OF


class Stored(NamedTuple):
    """A block of one table, as it was committed; those of a table come in the order in which they are to be read. Of
    its first `returned` keys there are cold rows, which count no more."""

    group: int
    pane: int
    number: int
    returned: int
    data: bytes


class Snapshot:
    """The state in the folder `path`. Its methods block. Use it in a `with` block.

    `identity`: what the state is of. `progress`: how far it has come. `notes`: what else is noted.

    Raises:
        ResumeError: there is no state, it is of another version, or belongs to somebody else.
        CorruptRunError: a block is not as it was written; StorageError: the database cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        self._file = StateFolder(path).database
        self._open: sqlite3.Connection | None = None
        self.identity: dict[str, str] = {}
        self.progress: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._check()
        try:
            with self._translated():
                uri = f"{Path(self._file).as_uri()}?mode=ro"
                self._open = sqlite3.connect(uri, uri=True, isolation_level=None)
                self._open.execute("BEGIN")
                self._read_notes()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        database, self._open = self._open, None
        if database is not None:
            database.close()

    def _check(self) -> None:
        try:
            status = os.stat(self._file)
            if not status.st_size:
                raise FileNotFoundError
        except (FileNotFoundError, NotADirectoryError):
            raise ResumeError(
                f"there is no state of a stream in {self.path!r}; name the folder that was given as --state",
                path=self.path,
            ) from None
        # What lies there is decoded, pickles among it; and who reads it leaves files of SQLite's there.
        if status.st_uid != os.geteuid() or os.stat(self.path).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ResumeError(
                f"the state in {self.path!r} belongs to another user, or others can write to it; what lies there is "
                "trusted, so look at it as the user who runs the stream (sudo -u), or run: chmod go-w",
                path=self.path,
            )

    def _read_notes(self) -> None:
        self.notes = {
            name: json.loads(value)
            for name, value in self._rows("SELECT name, value FROM notes ORDER BY name")
        }
        self.identity = self.notes.pop("identity", {})
        self.progress = self.notes.pop("progress", {})
        found = self.identity.pop(FORMAT_OF, None)
        if found != FORMAT:
            raise ResumeError(
                f"the state in {self.path!r} was written by a version of asyncmr with another format ({found}, not "
                f"{FORMAT}); use that version",
                path=self.path,
            )

    def positions(self) -> Iterator[tuple[str, str, Any]]:
        """The position of each feed and partition."""
        for feed, partition, position in self._rows("SELECT * FROM positions ORDER BY feed, partition"):
            yield feed, partition, json.loads(position)

    def tokens(self) -> Iterator[tuple[str, str, float]]:
        """The tokens of each feed that are remembered, and when they were committed, in seconds since the epoch."""
        return self._rows("SELECT feed, token, time FROM tokens ORDER BY feed, token")

    def aside(self) -> Iterator[tuple[int, str, bytes]]:
        """The lines that count nowhere: their epoch, why, and they; oldest first."""
        return self._rows("SELECT epoch, reason, data FROM aside ORDER BY number")

    def count(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a short query."""
        return list(self._rows(query))

    def blocks(self) -> Iterator[Stored]:
        """All blocks, key group by key group."""
        rows = self._rows(
            "SELECT grp, pane, number, returned, data, checksum FROM blocks ORDER BY grp, pane, number"
        )
        for group, pane, number, returned, data, checksum in rows:
            if zlib.crc32(data) != checksum:
                raise CorruptRunError(
                    f"the state {self._file!r} is damaged: a block of key group {group} is not what was written; "
                    "put a copy of the folder in its place, or remove it and read the input from its beginning",
                    path=self._file,
                )
            yield Stored(group, pane, number, returned, data)

    def cold_places(self) -> dict[Place, int]:
        """The tables that have cold rows, and how many."""
        return {
            (group, pane): keys for group, pane, keys in self._rows("SELECT grp, pane, keys FROM cold_places")
        }

    def cold(self, place: Place) -> Iterator[tuple[Any, Any]]:
        """Key and accumulator of the cold rows of a table, as they are stored. Those of keys that are in a block, too,
        count no more."""
        return self._rows("SELECT key, value FROM cold WHERE grp = ? AND pane = ?", place)

    def _rows(self, query: str, arguments: tuple[Any, ...] = ()) -> Iterator[Any]:
        assert self._open is not None
        with self._translated():
            # The map, since `yield from` would close the cursor, which fails once the database is closed.
            yield from map(tuple, self._open.execute(query, arguments))

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError, json.JSONDecodeError) as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
                advice = "it is in use; end the stream that runs with it first"
            else:
                advice = f"it is damaged, or not to be read; put a copy of {self.path!r} in its place"
            raise StorageError(
                f"the state {self._file!r} cannot be read ({error}): {advice}", path=self._file
            ) from error
