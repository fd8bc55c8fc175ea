"""The journal of a job: its epoch log in SQLite, which outlives the process that writes it.

A row is one committed epoch, and one transaction. What the epoch made lies in files beside the database, which are
written before the row is, so a row that is there speaks of data that is there. A row holds the checksum of itself, and
of everything that it speaks of.

Nothing is forced to the disk (fsync): what is written survives the death of the process, however it dies. After a
power failure the database has a prefix of its transactions, and what they speak of may be missing or wrong. That shows
by the checksums, and then the row does not count, and its task runs again.

The database is opened for one process alone, so it needs no shared memory, and works on network file systems as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from asyncmr.errors import ClosedError, ResumeError, StorageError
from asyncmr.storage.journal_folder import JournalFolder

FORMAT = "1"

_TABLES = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (
    stage TEXT NOT NULL, task INTEGER NOT NULL, record TEXT NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (stage, task)
);
"""


class Journal:
    """The journal in a folder. Its methods block, and may be called in several threads.

    `token`: what nothing else is called by, the same as long as the journal is kept.
    A journal without epochs is deleted when it is closed, unless something is noted under one of `USED_BY`.

    Every method raises StorageError when the database cannot be read or written.
    """

    USED_BY = ("report", "staging", "letters")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not os.fspath(path):
            raise ResumeError("the folder of the journal has an empty name; '.' is the current folder")
        self.folder = JournalFolder(path)
        self._guard = threading.Lock()
        self._open: sqlite3.Connection | None = None
        self._notes: dict[str, str] = {}

    def open(self) -> None:
        """Claims the folder, and makes the database or reads its notes.

        Raises:
            ResumeError: the folder cannot be a journal's, is in use, or is a journal of another version.
        """
        self.folder.claim()
        try:
            with self._database(opening=True) as database:
                database.executescript(_TABLES)
                for name, value, checksum in database.execute("SELECT * FROM notes"):
                    if checksum != _checksum(name, value):
                        raise sqlite3.DatabaseError("a note has changed")
                    self._notes[name] = value
            self._begin()
        except BaseException:
            self._release()
            raise

    def _begin(self) -> None:
        if "format" not in self._notes:
            self.note(format=FORMAT, token=secrets.token_hex(8))
            with self._database() as database:
                # The notes name the staging folder: they must not be lost with the log that SQLite writes ahead.
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        elif self._notes["format"] != FORMAT:
            raise ResumeError(
                f"the journal in {self.folder.path!r} was written by a version of asyncmr with another format "
                f"({self._notes['format']}, not {FORMAT}); go on with that version, or remove the folder"
            )

    @property
    def token(self) -> str:
        return self._notes["token"]

    def noted(self, name: str) -> str | None:
        """What was noted under this name."""
        return self._notes.get(name)

    def note(self, **notes: str) -> None:
        """Notes all of this, or nothing."""
        with self._database() as database, _transaction(database):
            _note(database, notes)
        self._notes.update(notes)

    def insert(self, stage: str, task: int, record: Mapping[str, Any]) -> bool:
        """Commits an epoch; False if its task was committed before."""
        text = json.dumps(record, separators=(",", ":"))
        with self._database() as database:
            done = database.execute(
                "INSERT OR IGNORE INTO epochs VALUES (?, ?, ?, ?)",
                (stage, task, text, _checksum(stage, task, text)),
            )
            return done.rowcount == 1

    def find(self, stage: str, task: int) -> dict[str, Any] | None:
        """The epoch of this task, if it is there and whole."""
        query = "SELECT record, checksum FROM epochs WHERE stage = ? AND task = ?"
        with self._database() as database:
            row = database.execute(query, (stage, task)).fetchone()
        return None if row is None else _whole(stage, task, *row)

    def delete(self, stage: str, task: int) -> None:
        """Takes an epoch back, whose data is damaged."""
        with self._database() as database:
            database.execute("DELETE FROM epochs WHERE stage = ? AND task = ?", (stage, task))

    def is_empty(self) -> bool:
        """Whether nothing was committed."""
        with self._database() as database:
            return database.execute("SELECT 1 FROM epochs LIMIT 1").fetchone() is None

    def epochs(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Every epoch that is whole, in the order of the commits; those that are not are deleted."""
        damaged: list[int] = []
        with self._database() as database:
            rows = database.execute("SELECT rowid, stage, task, record, checksum FROM epochs ORDER BY rowid")
            for number, stage, task, text, checksum in rows:
                record = _whole(stage, task, text, checksum)
                if record is None:
                    damaged.append(number)
                else:
                    yield stage, task, record
            with _transaction(database):
                database.executemany("DELETE FROM epochs WHERE rowid = ?", [(number,) for number in damaged])

    def clear(self, **notes: str) -> None:
        """Forgets all epochs, and notes all of this, in one transaction."""
        with self._database() as database, _transaction(database):
            database.execute("DELETE FROM epochs")
            _note(database, notes)
        self._notes.update(notes)

    def close(self) -> None:
        """Closes the database, and gives the folder to whoever wants it next."""
        unused = False
        with contextlib.suppress(StorageError, ClosedError):  # whoever used it was told
            unused = not any(map(self.noted, self.USED_BY)) and self.is_empty()
        self._release(remove=unused)

    def _release(self, *, remove: bool = False) -> None:
        try:
            with self._guard, self._translated():
                database, self._open = self._open, None
                if database is not None:
                    database.close()
            if remove:
                self.folder.remove()
        finally:
            self.folder.release()

    @contextlib.contextmanager
    def _database(self, *, opening: bool = False) -> Iterator[sqlite3.Connection]:
        with self._guard, self._translated():
            if opening:
                self._open = sqlite3.connect(
                    self.folder.database, isolation_level=None, check_same_thread=False
                )
                # Text that is damaged fails its checksum, and not the query.
                self._open.text_factory = lambda data: data.decode("utf-8", "replace")
            if self._open is None:
                raise ClosedError("the journal is closed")
            yield self._open

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        path = self.folder.database
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:  # the latter where a damaged name is not even text
            if getattr(error, "sqlite_errorname", "") in _NO_ROOM:
                advice = "the disk is full, or does not work; free some space, and run the same command again"
            else:
                advice = f"it is damaged; remove {self.folder.path!r} and run the job from its beginning"
            raise StorageError(
                f"the journal {path!r} cannot be used ({error}): {advice}", path=path
            ) from error


_NO_ROOM = {
    "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_READONLY", "SQLITE_CANTOPEN",
}  # fmt: skip


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _note(database: sqlite3.Connection, notes: Mapping[str, str]) -> None:
    rows = [(name, value, _checksum(name, value)) for name, value in notes.items()]
    database.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", rows)


def _whole(stage: object, task: object, text: object, checksum: object) -> dict[str, Any] | None:
    if not isinstance(text, str) or checksum != _checksum(stage, task, text):
        return None
    record: dict[str, Any] = json.loads(text)
    return record


def _checksum(*fields: object) -> int:
    return zlib.crc32(repr(fields).encode("utf-8", "surrogateescape"))
