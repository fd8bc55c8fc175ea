"""The cold rows of a state as they are written; `cold_rows` reads them.

All work on rows is done by SQLite, which lets other threads run meanwhile: the host makes no object of a key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from asyncmr.kernel.cold import Place
from asyncmr.streaming.commit import Move

TABLES = """
CREATE TABLE IF NOT EXISTS cold (
    grp INTEGER NOT NULL, pane INTEGER NOT NULL, hash INTEGER NOT NULL, key NOT NULL, value NOT NULL, rank INTEGER,
    PRIMARY KEY (grp, pane, hash, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cold_by_rank ON cold (grp, pane, rank DESC, key);
CREATE TABLE IF NOT EXISTS cold_places (
    grp INTEGER NOT NULL, pane INTEGER NOT NULL, keys INTEGER NOT NULL, PRIMARY KEY (grp, pane)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cold_dropped (
    grp INTEGER NOT NULL, pane INTEGER NOT NULL, PRIMARY KEY (grp, pane)
) WITHOUT ROWID;
"""

# Rows of panes that were dropped go so many with an epoch: all at once would hold it up for seconds.
_SWEPT = 5000

_PLACE = "grp = ? AND pane = ?"


def _column(number: int) -> str:
    """A column of rows as `encode_rows` makes them: itself, or where it lies in the bytes."""
    at, size = (f"json_extract(value, '$[{number}][{place}]')" for place in (0, 1))
    return (
        f"CASE json_type(value, '$[{number}]') WHEN 'array' THEN substr(?, {at}, {size}) "
        f"ELSE json_extract(value, '$[{number}]') END"
    )


_INSERT = """
INSERT INTO cold (grp, pane, key, value, hash, rank)
SELECT ?, ?, {}, {}, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
"""
_INSERT_ANY = _INSERT.format(_column(2), _column(3))
# Twice as quick, where nothing lies in the bytes.
_INSERT_PLAIN = _INSERT.format("json_extract(value, '$[2]')", "json_extract(value, '$[3]')")


class ColdTable:
    """Cold rows, and how many each place has. What it writes is in the caller's transaction; what it knows changes when
    that is committed, by `moved` and `forget`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.keys: dict[Place, int] = {
            (group, pane): keys for group, pane, keys in database.execute("SELECT * FROM cold_places")
        }
        self._dropped: set[Place] = set(database.execute("SELECT * FROM cold_dropped"))

    def move(self, moves: Iterable[Move]) -> None:
        """Takes in keys that become cold; stale rows go."""
        execute = self._database.execute
        for move in moves:
            if move.place in self._dropped:  # a pane that is there again, with rows that are none of its own
                execute(f"DELETE FROM cold WHERE {_PLACE}", move.place)
                execute(f"DELETE FROM cold_dropped WHERE {_PLACE}", move.place)
            if move.stale:
                execute(
                    f"DELETE FROM cold WHERE {_PLACE} AND hash IN (SELECT value FROM json_each(?))",
                    (*move.place, move.stale),
                )
            for text, blobs in move.rows:
                if blobs:
                    execute(_INSERT_ANY, (*move.place, blobs, blobs, text))
                else:
                    execute(_INSERT_PLAIN, (*move.place, text))
            execute("INSERT OR REPLACE INTO cold_places VALUES (?, ?, ?)", (*move.place, move.cold))

    def moved(self, moves: Iterable[Move]) -> None:
        """These are committed."""
        for move in moves:
            self._dropped.discard(move.place)
            self.keys[move.place] = move.cold

    def drop(self, panes: Iterable[int]) -> None:
        """Panes are not needed any more; their rows count for nothing from now on, and go bit by bit."""
        execute = self._database.execute
        for pane in panes:
            execute(
                "INSERT OR IGNORE INTO cold_dropped SELECT grp, pane FROM cold_places WHERE pane = ?", (pane,)
            )
            execute("DELETE FROM cold_places WHERE pane = ?", (pane,))

    def dropped(self, panes: Iterable[int]) -> None:
        """That is committed."""
        gone = {place for place in self.keys if place[1] in panes}
        self._dropped |= gone
        for place in gone:
            del self.keys[place]

    def sweep(self) -> Place | None:
        """Takes away some rows of what was dropped; the place that has none left."""
        for place in sorted(self._dropped)[:1]:
            query = f"SELECT hash FROM cold WHERE {_PLACE} ORDER BY hash LIMIT 1 OFFSET {_SWEPT}"
            rest = self._database.execute(query, place).fetchone()
            if rest is not None:
                self._database.execute(f"DELETE FROM cold WHERE {_PLACE} AND hash < ?", (*place, *rest))
                return None
            self._database.execute(f"DELETE FROM cold WHERE {_PLACE}", place)
            self._database.execute(f"DELETE FROM cold_dropped WHERE {_PLACE}", place)
            return place
        return None

    def swept(self, place: Place) -> None:
        """That is committed."""
        self._dropped.discard(place)
