"""A stream by hand: an event loop that reads blocks, a process pool that counts them, a table of counts in SQLite.

Every fifth of a second the changed words are upserted in one transaction together with the offset.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.peers.task import Peer, Task

_BLOCK = 4 << 20
_INTERVAL = 0.2
_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE counts (word TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE offsets (path TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
"""
_ADD = "INSERT INTO counts VALUES (?, ?) ON CONFLICT (word) DO UPDATE SET count = count + excluded.count"


def blocks(path: Path) -> Iterator[tuple[bytes, int]]:
    """Whole lines, and the offset behind them."""
    offset = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK) + file.readline():
            offset += len(block)
            yield block, offset


def counted(block: bytes) -> Counter[str]:
    return Counter(block.decode().split())


class Table:
    """Counts and offsets, in one transaction."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(_TABLES)

    def commit(self, counts: Counter[str], offsets: dict[str, int]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(_ADD, counts.items())
        self._database.executemany("INSERT OR REPLACE INTO offsets VALUES (?, ?)", offsets.items())
        self._database.execute("COMMIT")

    def counts(self) -> dict[str, int]:
        return dict(self._database.execute("SELECT * FROM counts"))


async def count(task: Task, pool: ProcessPoolExecutor, table: Table) -> None:
    loop = asyncio.get_running_loop()
    counting: deque[tuple[asyncio.Future[Counter[str]], str, int]] = deque()
    epoch, offsets = Counter[str](), dict[str, int]()
    committing: asyncio.Future[None] | None = None
    due = loop.time() + _INTERVAL

    async def take() -> None:
        nonlocal epoch, offsets, committing, due
        done, path, offset = counting.popleft()
        epoch.update(await done)
        offsets[path] = offset
        if loop.time() >= due:
            if committing is not None:
                await committing
            committing = loop.run_in_executor(None, table.commit, epoch, offsets)
            epoch, offsets, due = Counter(), {}, loop.time() + _INTERVAL

    for path in task.inputs:
        for block, offset in blocks(path):
            counting.append((loop.run_in_executor(pool, counted, block), str(path), offset))
            if len(counting) > task.workers:
                await take()
    while counting:
        await take()
    if committing is not None:
        await committing
    table.commit(epoch, offsets)


def run(task: Task) -> None:
    task.begins()
    table = Table(task.scratch / "counts.sqlite")
    with ProcessPoolExecutor(task.workers) as pool:
        list(pool.map(counted, [b""] * task.workers))
        begin = time.perf_counter()
        asyncio.run(count(task, pool, table))
        seconds = time.perf_counter() - begin
    task.counted(table.counts(), seconds)


PEER = Peer("event loop, process pool and SQLite by hand", {"W8": run})
