"""An application in which a job runs while one of its workers gets a tenth of its processor; run as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import asyncmr
from benchmarks.host import job_of
from benchmarks.tree import descendants

_ON, _OFF = 0.01, 0.09  # seconds; the stopped part is shorter than anything that a scheduler would notice


def workers() -> list[int]:
    """The engine's workers, newest first: the children of the server that forks them."""
    me = os.getpid()
    found = [process for process in descendants(me) if process.parent != me]
    return [process.pid for process in sorted(found, key=lambda process: -process.started)]


@contextmanager
def one_slowed() -> Iterator[None]:
    """Stops one worker nine tenths of the time; when it is gone, the one in its place."""
    done = Event()
    thread = Thread(target=_slow_one, args=(done,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _slow_one(done: Event) -> None:
    while not done.is_set():
        for victim in workers()[:1]:
            while _signal(victim, signal.SIGSTOP) and not done.wait(_OFF):
                if not _signal(victim, signal.SIGCONT) or done.wait(_ON):
                    break
            _signal(victim, signal.SIGCONT)
        done.wait(_ON)


def _signal(pid: int, signum: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)
        return True
    return False


async def _run(order: dict[str, Any]) -> dict[str, Any]:
    job = job_of(order["work"])
    async with asyncmr.Engine(workers=order["workers"], backup_tasks=order["backup_tasks"]) as engine:
        await engine.collect(job, asyncmr.records([], records_per_task=1))  # the workers are up
        with tempfile.TemporaryDirectory(dir=order["scratch"]) as folder:
            began = time.perf_counter()
            if order["slowed"]:
                with one_slowed():
                    report = await engine.run(job, order["inputs"], Path(folder, "output"))
            else:
                report = await engine.run(job, order["inputs"], Path(folder, "output"))
            seconds = time.perf_counter() - began
    return {"seconds": seconds, "rivals": sum(stage.rivals for stage in report.stages.values())}


def main() -> int:
    """Runs what the JSON object in the last argument describes, and writes what it found where that says."""
    order = json.loads(sys.argv[1])
    found = asyncio.run(_run(order))
    Path(order["result"]).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
