"""The cold rows of a state, read by a keeper with a connection of its own while the host writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asyncmr.errors import StorageError
from asyncmr.kernel.cold import ROWS, Place, Rows, decode_keys, decode_values

_OF = "FROM cold WHERE grp = ? AND pane = ?"


class ColdRows:
    """Reads the database at `path`, whose writer is somebody else. It is opened when something is first looked up.

    Each call sees what was committed when it began.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None

    def find(self, place: Place, hashes: list[int]) -> Rows:
        query = f"SELECT hash, key, value {_OF} AND hash IN (SELECT value FROM json_each(?))"
        return self._rows(query, (*place, json.dumps(sorted(hashes))))

    def between(self, place: Place, first: int, last: int) -> Rows:
        query = f"SELECT hash, key, value {_OF} AND hash >= ? AND hash <= ? ORDER BY hash"
        return self._rows(query, (*place, first, last))

    def bound(self, place: Place, first: int) -> int | None:
        query = f"SELECT hash {_OF} AND hash >= ? ORDER BY hash LIMIT 1 OFFSET ?"
        found = self._query(query, (*place, first, ROWS))
        return found[0][0] if found else None

    def ranked(self, place: Place) -> Iterator[tuple[int, Any, Any]]:
        query = f"SELECT rank, key, value {_OF} AND rank IS NOT NULL ORDER BY rank DESC, key"
        try:
            for rank, key, value in self._database.execute(query, place):
                yield rank, decode_keys([key])[0], decode_values([value])[0]
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def plain_ties(self, place: Place, rank: int) -> bool:
        ends = (f"(SELECT key {_OF} AND rank = ? ORDER BY key {order} LIMIT 1)" for order in ("ASC", "DESC"))
        query = f"SELECT {', '.join(f'typeof({end})' for end in ends)}"
        return self._query(query, (*place, rank) * 2)[0] in (("text", "text"), ("integer", "integer"))

    def unranked(self, place: Place) -> Iterator[Rows]:
        try:
            # SQLite would rather read all rows of the place, of which mostly none is wanted.
            source = _OF.replace("cold", "cold INDEXED BY cold_by_rank")
            cursor = self._database.execute(f"SELECT hash, key, value {source} AND rank IS NULL", place)
            while found := cursor.fetchmany(ROWS):
                yield _decoded(found)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def close(self) -> None:
        database, self._open = self._open, None
        if database is not None:
            database.close()

    def _rows(self, query: str, arguments: tuple[Any, ...]) -> Rows:
        return _decoded(self._query(query, arguments))

    def _query(self, query: str, arguments: tuple[Any, ...]) -> list[Any]:
        try:
            return self._database.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    @property
    def _database(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = sqlite3.connect(
                f"{Path(self._path).as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
        return self._open

    def _failure(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"the state {self._path!r} cannot be read ({error}): it is damaged, or its disk does not work; put a copy "
            "of its folder in its place, or remove it to begin anew",
            path=self._path,
        )


def _decoded(found: list[Any]) -> Rows:
    hashes, keys, values = map(list, zip(*found, strict=True)) if found else ([], [], [])
    return Rows(hashes, decode_keys(keys), decode_values(values))
