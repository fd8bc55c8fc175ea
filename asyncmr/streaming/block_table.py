"""The blocks of a state, in SQLite: of each table a snapshot, and the deltas since.

Deltas hold whole accumulators, so that to read one twice does no harm. When those of a table outweigh it, a snapshot
takes their place.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from asyncmr.errors import CorruptRunError
from asyncmr.kernel.cold import Place
from asyncmr.streaming.commit import Delta

TABLES = """
CREATE TABLE IF NOT EXISTS blocks (
    number INTEGER PRIMARY KEY, grp INTEGER NOT NULL, pane INTEGER NOT NULL, data BLOB NOT NULL,
    checksum INTEGER NOT NULL, returned INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS blocks_by_place ON blocks (grp, pane, number);
"""

# Deltas of a table may be so many bytes before it is worth a snapshot, and so many tables get one in an epoch.
_LEAST_DELTAS = 64 << 10
_SNAPSHOTS = 8


class StoredBlock(NamedTuple):
    """A block; its first `returned` keys have come back from the cold."""

    pane: int
    data: bytes
    returned: int


class BlockTable:
    """The blocks in the database at `path`, and how large they are. What it writes is in the caller's transaction; what
    it knows changes when that is committed, by `wrote` and `forget`."""

    def __init__(self, database: sqlite3.Connection, path: str) -> None:
        self._database = database
        self._path = path
        self._whole: dict[Place, int] = {}
        self._deltas: defaultdict[Place, int] = defaultdict(int)
        self._returned: defaultdict[Place, int] = defaultdict(int)
        query = "SELECT grp, pane, length(data), returned FROM blocks ORDER BY number"
        for group, pane, size, returned in database.execute(query):
            self._grown((group, pane), size, returned)

    @property
    def size(self) -> int:
        """The bytes of all blocks."""
        return sum(self._whole.values()) + sum(self._deltas.values())

    @property
    def returned(self) -> int:
        """How many keys have come back from the cold, to all places."""
        return sum(self._returned.values())

    def read(self, group: int) -> list[StoredBlock]:
        """The blocks of a key group, in the order in which they are to be read.

        Raises:
            CorruptRunError: one of them is not as it was written.
        """
        query = "SELECT pane, data, returned, checksum FROM blocks WHERE grp = ? ORDER BY number"
        rows = self._database.execute(query, (group,)).fetchall()
        if any(zlib.crc32(data) != checksum for _, data, _, checksum in rows):
            raise CorruptRunError(
                f"the state {self._path!r} is damaged: a block of key group {group} is not what was written; put a "
                "copy of the folder in its place, or remove it and read the input from its beginning",
                path=self._path,
            )
        return [StoredBlock(*row) for *row, _ in rows]

    def outgrown(self) -> list[Place]:
        """The tables that should be given whole with the next epoch, the most urgent first."""
        weight = {
            place: size - max(self._whole.get(place, 0), _LEAST_DELTAS)
            for place, size in self._deltas.items()
        }
        return sorted((place for place in weight if weight[place] > 0), key=lambda p: -weight[p])[:_SNAPSHOTS]

    def write(self, deltas: Sequence[Delta]) -> None:
        """Adds deltas; those that are whole tables take the place of what was there."""
        for delta in deltas:
            if delta.whole:
                self.remove(delta.place)
        self._database.executemany(
            "INSERT INTO blocks (grp, pane, data, checksum, returned) VALUES (?, ?, ?, ?, ?)",
            [(*d.place, d.data, zlib.crc32(d.data), d.returned) for d in deltas if d.data],
        )

    def remove(self, place: Place) -> None:
        """Takes away the blocks of a place."""
        self._database.execute("DELETE FROM blocks WHERE grp = ? AND pane = ?", place)

    def wrote(self, deltas: Sequence[Delta]) -> None:
        """These deltas are committed."""
        for delta in deltas:
            if delta.whole:
                self.forget(delta.place)
            if delta.data:
                self._grown(delta.place, len(delta.data), delta.returned)

    def forget(self, place: Place) -> None:
        """That this place was removed is committed."""
        self._whole.pop(place, None)
        self._deltas.pop(place, None)
        self._returned.pop(place, None)

    def places(self) -> list[Place]:
        """Those that have blocks."""
        return sorted({*self._whole, *self._deltas})

    def _grown(self, place: Place, size: int, returned: int) -> None:
        """A block was added; the first of a place is all of it."""
        if returned:
            self._returned[place] += returned
        if place in self._whole:
            self._deltas[place] += size
        else:
            self._whole[place] = size
