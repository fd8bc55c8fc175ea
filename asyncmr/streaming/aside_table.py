"""The lines that count nowhere, in SQLite: the latest of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from asyncmr.streaming.commit import Aside

TABLES = """
CREATE TABLE IF NOT EXISTS aside (
    number INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, reason TEXT NOT NULL, data BLOB NOT NULL
);
"""

# So many bytes of them are kept.
_MOST = 64 << 20


def write(database: sqlite3.Connection, aside: Sequence[tuple[int, str, bytes]]) -> None:
    """Adds lines, with their epoch and why they are there."""
    database.executemany("INSERT INTO aside (epoch, reason, data) VALUES (?, ?, ?)", aside)
    if aside:
        database.execute(
            "DELETE FROM aside WHERE number <= (SELECT max(number) FROM (SELECT number, sum(length(data)) "
            "OVER (ORDER BY number DESC) AS size FROM aside) WHERE size > ?)",
            (_MOST,),
        )


def read(database: sqlite3.Connection) -> list[tuple[str, bytes]]:
    """Each block with the reason, oldest first."""
    return database.execute("SELECT reason, data FROM aside ORDER BY number").fetchall()


def counted(before: Mapping[str, int], aside: Sequence[Aside]) -> dict[str, int]:
    """How many lines there have been, by reason, with these too."""
    total = dict(before)
    for reason, lines, _ in aside:
        total[reason] = total.get(reason, 0) + lines
    return total
