"""asyncmr's stream as a contender: what it reads from, and when it has counted everything durably.

What is checked is the state on the disk, as the next stream would find it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import uvloop

from asyncmr import Job
from asyncmr.kernel.blocks import decode_block
from asyncmr.streaming import Stream
from asyncmr.streaming.feed import Feed
from benchmarks.peers.task import Task

# Seconds between two looks at how much is committed.
_LOOK = 0.002


def count(
    task: Task, job: Job, feeds: Sequence[Feed], sender: Callable[[], asyncio.Future[None]] | None = None
) -> None:
    """Counts the words of all inputs. The clock starts with the stream, or with what `sender` begins to send."""
    task.begins()
    seconds = uvloop.run(_count(task, job, feeds, sender))
    task.counted(_stored(task.scratch / "state" / "state.sqlite"), seconds)


async def _count(
    task: Task, job: Job, feeds: Sequence[Feed], sender: Callable[[], asyncio.Future[None]] | None
) -> float:
    size = sum(path.stat().st_size for path in task.inputs)
    state = task.scratch / "state"
    async with Stream(job, feeds, state=state, workers=task.workers, memory=task.memory) as stream:
        begin = time.perf_counter()
        sending = None if sender is None else sender()
        while stream.stats().bytes < size:  # noqa: ASYNC110 updates would cost what nobody asked for
            await asyncio.sleep(_LOOK)
        seconds = time.perf_counter() - begin
        if sending is not None:
            await sending
    return seconds


def _stored(path: Path) -> dict[str, int]:
    """All counts. Of a key that is in several blocks the last one holds."""
    found: dict[str, int] = {}
    with closing(sqlite3.connect(path)) as database:
        for (data,) in database.execute("SELECT data FROM blocks ORDER BY number"):
            block = decode_block(memoryview(data))
            found.update(zip(block.keys, block.values, strict=True))
    return found
