"""How the tests talk to a pool, and how they wait for what the system gives no event for."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from asyncmr.workers import Buffer, Pool, Program, Reply

ROOT = Path(__file__).parents[2]


async def talk(
    pool: Pool,
    program: Program,
    method: str,
    argument: object = (),
    rounds: Iterable[Sequence[Buffer]] = ((),),
    **options,
) -> Reply:
    """A whole session; all its items in one reply."""
    rounds = list(rounds)
    items = []
    async with pool.session(program, method, argument, **options) as session:
        reply = await session.open(rounds.pop(0), last=not rounds)
        while True:
            items += reply.items
            if reply.state == "done":
                return Reply("done", items, reply.result, reply.counts)
            if reply.state == "more":
                reply = await session.drain()
            elif rounds:
                buffers = rounds.pop(0)
                reply = await session.feed(buffers, last=not rounds)
            else:
                reply = await session.feed(last=True)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits for something that can only be seen by looking."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def run_script(path: Path, text: str, *arguments: str) -> asyncio.subprocess.Process:
    """Starts a script of an application, in a session and process group of its own."""
    path.write_text(text)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(path),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
