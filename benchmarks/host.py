"""An application with an event loop of its own, in which a job runs: how late its timers are, and what the loop costs.

Run as a process. What runs beside the timer is `beside`: a workload's job, "busy" (plain busy processes, the
control) or "idle". With a `rate`, the loop serves HTTP instead, and another process asks so many times a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncmr
from benchmarks.table import percentile
from benchmarks.tree import descendants

_TICK = 0.001
_BUSY = "while True: pass"


async def tick(late: list[float]) -> None:
    """Notes, some thousand times in all, by how many seconds a timer of one millisecond is late."""
    while True:
        due = time.perf_counter() + _TICK
        await asyncio.sleep(_TICK)
        late.append(time.perf_counter() - due)


@asynccontextmanager
async def ticking(late: list[float]) -> AsyncIterator[None]:
    """The timer, as long as the block lasts."""
    ticker = asyncio.ensure_future(tick(late))
    try:
        yield
    finally:
        ticker.cancel()


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Plain processes that take all the processor time they get."""
    started = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def job_of(work: str) -> asyncmr.Job:
    from benchmarks.peers.asyncmr_classic_peer import classic

    return classic(work)


class Jobs:
    """A job, run on one engine as often as asked."""

    def __init__(self, engine: asyncmr.Engine, order: dict[str, Any]) -> None:
        self._engine = engine
        self._job = job_of(order["beside"])
        self._inputs = order["inputs"]
        self._scratch = order["scratch"]

    async def once(self) -> None:
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            await self._engine.run(self._job, self._inputs, Path(folder, "output"))

    async def for_ever(self) -> None:
        while True:
            await self.once()


@asynccontextmanager
async def engine_of(order: dict[str, Any]) -> AsyncIterator[asyncmr.Engine]:
    options = {"workers": order["workers"], "memory": order["memory"], "spill_dir": order["scratch"]}
    async with asyncmr.Engine(**options) as engine:
        await engine.collect(job_of("W1"), asyncmr.records(["warm"]))
        yield engine


async def lateness(order: dict[str, Any]) -> dict[str, Any]:
    """Runs the job once, or the control for `seconds`, beside the timer if there is to be one."""
    late: list[float] = []
    timer: AbstractAsyncContextManager[None] = ticking(late) if order["timer"] else ticking_not()
    if order["beside"] == "busy":
        with busy(order["workers"]):
            async with timer:
                await asyncio.sleep(order["seconds"])
        return summary(late)
    async with engine_of(order) as engine:
        jobs = Jobs(engine, order)
        before = spent()
        begin = time.perf_counter()
        async with timer:
            await jobs.once()
        wall = time.perf_counter() - begin
        loop, host, workers = (after - start for after, start in zip(spent(), before, strict=True))
    return {**summary(late), "wall": wall, "loop": loop, "host": host, "workers": workers}


@asynccontextmanager
async def ticking_not() -> AsyncIterator[None]:
    """No timer: it would count as the loop's work."""
    yield


def spent() -> tuple[float, float, float]:
    """Seconds of processor time: of this thread (the loop's), of this process, of the processes below it."""
    below = sum(process.own + process.waited for process in descendants(os.getpid()))
    return time.thread_time(), time.process_time(), below


def summary(seconds: list[float]) -> dict[str, Any]:
    """Milliseconds at the median, the 99th percentile and the maximum."""
    if not seconds:
        return {}
    return {
        "ticks": len(seconds),
        "p50": percentile(seconds, 0.5) * 1e3,
        "p99": percentile(seconds, 0.99) * 1e3,
        "max": max(seconds) * 1e3,
    }


async def answered(order: dict[str, Any]) -> dict[str, Any]:
    """Serves HTTP under a fixed load beside the job, which runs again and again."""
    async with serving() as port:
        if order["beside"] == "idle":
            return await load(port, order)
        if order["beside"] == "busy":
            with busy(order["workers"]):
                return await load(port, order)
        async with engine_of(order) as engine:
            running = asyncio.ensure_future(Jobs(engine, order).for_ever())
            try:
                found = await load(port, order)
                if running.done():
                    running.result()
                return found
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """A Starlette application on this loop; gives its port."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def hello(request: Request) -> JSONResponse:
        return JSONResponse({"number": int(request.query_params["number"])})

    application = Starlette(routes=[Route("/hello", hello)])
    # It would close connections that were idle for five seconds, and the client's next request would find them closed.
    config = uvicorn.Config(
        application, host="127.0.0.1", port=0, log_level="warning", access_log=False, timeout_keep_alive=3600
    )
    server = uvicorn.Server(config)
    # It takes signals only when told to serve by itself.
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
        if task.done():
            task.result()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def load(port: int, order: dict[str, Any]) -> dict[str, Any]:
    """The latencies that a client in another process sees."""
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.client", str(port), str(order["rate"]), str(order["seconds"])),
        stdout=subprocess.PIPE,
    )
    output, _ = await client.communicate()
    if client.returncode:
        raise RuntimeError(f"the client failed, exit status {client.returncode}")
    return summary(json.loads(output))


def main() -> None:
    """Does what the JSON object in the last argument describes, and writes a JSON object to the file `result`."""
    order = json.loads(sys.argv[1])
    found = asyncio.run(answered(order) if "rate" in order else lateness(order))
    Path(order["result"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
