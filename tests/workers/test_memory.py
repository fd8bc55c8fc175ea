"""What a worker holds while it has nothing to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from asyncmr.workers import Pool, Program
from tests.workers.programs import Hoard
from tests.workers.talking import talk, until

MIB = 1 << 20


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    [line] = [
        line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Rss:")
    ]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_an_idle_worker_gives_back_what_a_large_task_had():
    program = Program(Hoard())
    async with Pool(1) as pool:
        await talk(pool, program, "run", 1)
        [pid] = pool.pids()
        before = resident(pid)
        reply = await talk(pool, program, "run", 60_000)
        assert reply.result - before > 40 * MIB
        await until(lambda: resident(pid) - before < 10 * MIB)
        assert pool.pids() == [pid]
