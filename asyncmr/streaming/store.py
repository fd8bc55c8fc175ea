"""What a stream has committed, in SQLite: accumulators, and how far each feed was read to make them.

An epoch is one transaction: deltas of the tables that it changed, and the position of each feed, so that there is no
moment at which one is there without the other.

Keys that the keepers have no room for are rows of the table `cold`. A key that is in a block is hot, and what a row
says of it counts no more: it is one of the first `returned` of its block. Those rows go, and other keys come, in
transactions between the epochs, which change nothing of what the state says.

Blocks and rows are decoded by the keepers, pickles among them, so the folder must be one that nobody else can write to.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from asyncmr.errors import ResumeError, StorageError
from asyncmr.kernel.cold import Place
from asyncmr.pipeline.fingerprint import differences
from asyncmr.streaming import aside_table, block_table, cold_table
from asyncmr.streaming.aside_table import counted
from asyncmr.streaming.block_table import BlockTable, StoredBlock
from asyncmr.streaming.cold_table import ColdTable
from asyncmr.streaming.commit import Commit, Delta, Move
from asyncmr.streaming.state_folder import StateFolder

FORMAT_OF = "the format of the state"
FORMAT = "2"

# Cold rows come in the order of a hash: with SQLite's 2 MiB their pages would be read again and again.
_CACHE = 16 << 20

_TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
    feed TEXT NOT NULL, partition TEXT NOT NULL, position TEXT NOT NULL, PRIMARY KEY (feed, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
    feed TEXT NOT NULL, token TEXT NOT NULL, time REAL NOT NULL, PRIMARY KEY (feed, token)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tokens_by_time ON tokens (time);
"""


class StateStore:
    """The state in a folder. Its methods block; one thread calls them.

    `durable`: an epoch survives a power failure, too, which takes a few milliseconds each. `reach`: called with the
    name of each step of a commit before it is made. Tokens are kept for `token_seconds`.

    `size`: the bytes of the database. Every method raises StorageError when that cannot be read or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durable: bool = True,
        token_seconds: float = 86_400,
        reach: Callable[[str], None] | None = None,
    ) -> None:
        if not os.fspath(path):
            raise ResumeError("the folder of the state has an empty name; '.' is the current folder")
        self.folder = StateFolder(path)
        self._durable = durable
        self._token_seconds = token_seconds
        self._reach = reach or (lambda step: None)
        self._open: sqlite3.Connection | None = None
        self.epoch = 0
        self.time: float | None = None
        self.records = 0
        self.bytes = 0
        self.aside: dict[str, int] = {}
        self.size = 0

    def open(self, identity: Mapping[str, str]) -> None:
        """Claims the folder, and makes the database or reads what it holds. `identity`: what the state is of, in words.

        Raises:
            ResumeError: the folder cannot be a state's, is in use, or holds the state of something else.
        """
        self.folder.claim()
        try:
            with self._translated():
                self._open = sqlite3.connect(
                    self.folder.database, isolation_level=None, check_same_thread=False
                )
                self._database.execute(f"PRAGMA cache_size = -{_CACHE >> 10}")
                self._database.executescript(
                    _TABLES + aside_table.TABLES + block_table.TABLES + cold_table.TABLES
                )
                self._database.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
                self._begin({FORMAT_OF: FORMAT, **identity})
        except BaseException:
            self.close()
            raise

    def _begin(self, identity: Mapping[str, str]) -> None:
        before = self.noted("identity")
        if before is None:
            with self._transaction() as database:
                self._note(database, {"identity": dict(identity)})
        elif changed := differences(before, identity):
            raise ResumeError(
                f"the state in {self.folder.path!r} is of another stream: {'; '.join(changed)}. "
                "Run it as it was, name another folder to begin anew, or take along what was counted: asyncmr state "
                "export, and import for what runs now",
                path=self.folder.path,
                differences=tuple(changed),
            )
        progress = self.noted("progress") or {}
        self.aside = progress.get("aside", {})
        self.epoch, self.time = progress.get("epoch", 0), progress.get("time")
        self.records, self.bytes = progress.get("records", 0), progress.get("bytes", 0)
        self._blocks = BlockTable(self._database, self.folder.database)
        self._cold = ColdTable(self._database)
        self._measure()

    def _measure(self) -> None:
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        self.size = (pages - free) * size

    def noted(self, name: str) -> Any:
        """What was noted under this name; None if nothing was."""
        with self._translated():
            row = self._database.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def note(self, notes: Mapping[str, Any]) -> None:
        """Makes notes durable, beside any epoch."""
        with self._transaction() as database:
            self._note(database, notes)

    def adopt(
        self,
        *,
        tokens: Sequence[tuple[str, str, float]] = (),
        aside: Sequence[tuple[int, str, bytes]] = (),
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds what another state held: tokens of feeds with their times; lines that count nowhere, with their epoch
        and why; and notes. To be opened anew before it is used otherwise."""
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", tokens)
            aside_table.write(database, aside)
            self._note(database, notes or {})

    def positions(self) -> dict[str, dict[str, Any]]:
        """The position of each partition of each feed."""
        found: dict[str, dict[str, Any]] = {}
        with self._translated():
            for feed, partition, position in self._database.execute("SELECT * FROM positions"):
                found.setdefault(feed, {})[partition] = json.loads(position)
        return found

    def has_token(self, feed: str, token: str) -> bool:
        """Whether a batch with this token was committed."""
        query = "SELECT 1 FROM tokens WHERE feed = ? AND token = ?"
        with self._translated():
            return self._database.execute(query, (feed, token)).fetchone() is not None

    def blocks(self, group: int) -> list[StoredBlock]:
        """The blocks of a key group, in the order in which they are to be read.

        Raises:
            CorruptRunError: one of them is not as it was written.
        """
        with self._translated():
            return self._blocks.read(group)

    @property
    def cold(self) -> Mapping[Place, int]:
        """How many cold rows each place has, those of keys that are hot again among them."""
        return self._cold.keys

    @property
    def cold_keys(self) -> int:
        """How many keys are cold."""
        return sum(self._cold.keys.values()) - self._blocks.returned

    def outgrown(self) -> list[Place]:
        """The tables that should be given whole with the next epoch, the most urgent first."""
        return self._blocks.outgrown()

    def commit(self, commit: Commit) -> None:
        """Makes an epoch durable, whole."""
        with self._transaction() as database:
            self._write(database, commit)
            swept = self._cold.sweep()
            self._measure()
        self._reach("committed")
        self._blocks.wrote(commit.deltas)
        for place in self._blocks.places():
            if place[1] in commit.dropped:
                self._blocks.forget(place)
        self._cold.dropped(commit.dropped)
        if swept is not None:
            self._cold.swept(swept)
        self.aside = counted(self.aside, commit.aside)
        self.epoch, self.time = commit.epoch, commit.time
        self.records += commit.records
        self.bytes += commit.bytes

    def move(self, moves: Sequence[Move]) -> None:
        """Makes keys cold. What the state says is the same before and after."""
        stays = [Delta(move.place, move.stays, whole=True) for move in moves]
        # No power failure can do harm before the next epoch, which forces this to the disk, too.
        with self._synchronous("NORMAL"), self._transaction():
            self._reach("cold")
            self._cold.move(moves)
            self._reach("stays")
            self._blocks.write(stays)
            self._measure()
        self._reach("moved")
        self._cold.moved(moves)
        self._blocks.wrote(stays)

    def _write(self, database: sqlite3.Connection, commit: Commit) -> None:
        self._reach("deltas")
        self._blocks.write(commit.deltas)
        database.executemany("DELETE FROM blocks WHERE pane = ?", [(pane,) for pane in commit.dropped])
        self._cold.drop(commit.dropped)
        self._write_positions(database, commit)
        self._reach("tokens")
        database.executemany(
            "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?)",
            [(*token, commit.time) for token in commit.tokens],
        )
        database.execute("DELETE FROM tokens WHERE time < ?", (commit.time - self._token_seconds,))
        aside_table.write(database, [(commit.epoch, reason, data) for reason, _, data in commit.aside])
        progress = {
            "aside": counted(self.aside, commit.aside),
            "epoch": commit.epoch,
            "time": commit.time,
            "records": self.records + commit.records,
            "bytes": self.bytes + commit.bytes,
        }
        self._note(database, {"progress": progress, **commit.notes})

    def set_aside(self) -> list[tuple[str, bytes]]:
        """The lines that count nowhere, each block with the reason, oldest first; the latest 64 MiB of them."""
        with self._translated():
            return aside_table.read(self._database)

    def _write_positions(self, database: sqlite3.Connection, commit: Commit) -> None:
        self._reach("positions")
        database.executemany(
            "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
            [(*place, json.dumps(position)) for place, position in commit.positions.items()],
        )

    def close(self) -> None:
        """Closes the database, and gives the folder to whoever wants it next."""
        try:
            with self._translated():
                database, self._open = self._open, None
                if database is not None:
                    database.close()
        finally:
            self.folder.release()

    def _note(self, database: sqlite3.Connection, notes: Mapping[str, Any]) -> None:
        rows = [(name, json.dumps(value)) for name, value in notes.items()]
        database.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", rows)

    @property
    def _database(self) -> sqlite3.Connection:
        assert self._open is not None
        return self._open

    @contextlib.contextmanager
    def _synchronous(self, level: str) -> Iterator[None]:
        """How much is forced to the disk at a commit, of a state that is durable."""
        with self._translated():
            self._database.execute(f"PRAGMA synchronous = {level if self._durable else 'OFF'}")
            try:
                yield
            finally:
                self._database.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            database = self._database
            self._reach("begin")
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                self._reach("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        path = self.folder.database
        try:
            yield
        except (sqlite3.Error, UnicodeError, json.JSONDecodeError) as error:
            if getattr(error, "sqlite_errorname", "") in _NO_ROOM:
                advice = "the disk is full, or does not work; free some space, and start the stream again"
            else:
                advice = f"it is damaged; put a copy of {self.folder.path!r} in its place, or remove it to begin anew"
            raise StorageError(f"the state {path!r} cannot be used ({error}): {advice}", path=path) from error


_NO_ROOM = {
    "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_READONLY", "SQLITE_CANTOPEN",
}  # fmt: skip
