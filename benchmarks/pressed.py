"""A stream that is fed as fast as it takes text, behind something slow, and what memory it has meanwhile. Run as a
process.

What is slow, by the name of the order: `disk`, a commit takes two seconds; `sink`, so does a write to a sink;
`iterator`, who iterates the stream rests after each update; `subscriber`, who subscribed over HTTP does not read.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

from asyncmr.actors import TaskScope
from asyncmr.jobs import wordcount
from asyncmr.streaming import Batch, Stream, Surroundings
from asyncmr.streaming.commit import Commit
from asyncmr.streaming.sinks import JsonLinesFile
from asyncmr.streaming.store import StateStore
from benchmarks.tree import descendants, pss

SLOW = 2.0
_SAMPLE = 0.25
_REST = 0.5


class Endless:
    """A text again and again."""

    name = "endless"
    guarantee: Literal["exactly-once"] = "exactly-once"

    def __init__(self, path: Path) -> None:
        self._path = path

    async def batches(
        self, positions: Mapping[str, Any], around: Surroundings
    ) -> AsyncGenerator[Batch, None]:
        number = 0
        while True:
            with open(self._path, "rb") as file:  # noqa: ASYNC230 from the page cache
                while block := file.read(1 << 20) + file.readline():
                    number += 1
                    yield Batch(block, "", number, around.clock.time())


class SlowStore(StateStore):
    """As on a disk that takes its time."""

    def commit(self, commit: Commit) -> None:
        time.sleep(SLOW)
        super().commit(commit)


class SlowFile(JsonLinesFile):
    """The same of a sink."""

    async def write(self, epoch: int, blocks: AsyncIterator[bytes]) -> Any:
        await asyncio.sleep(SLOW)
        return await super().write(epoch, blocks)


async def _subscribe(stack: AsyncExitStack, stream: Stream) -> None:
    """A client that reads no more than the head of the answer, while it is told everything."""
    from asyncmr.streaming.http import Address, application, serving

    app = await stack.enter_async_context(application(stream, None))
    address = await stack.enter_async_context(serving(app, Address("127.0.0.1", 0)))
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port, limit=1 << 10)
    stack.callback(writer.close)
    writer.write(b"GET /v1/subscribe HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")


async def _iterate(stack: AsyncExitStack, stream: Stream) -> None:
    """One who takes an update, and rests."""

    async def iterate() -> None:
        async for _ in stream:
            await asyncio.sleep(_REST)

    scope = await stack.enter_async_context(TaskScope())
    scope.spawn(iterate, name="iterator")
    stack.callback(scope.cancel)


def _held() -> int:
    """The memory of this process and all below it."""
    return pss() + sum(pss(process.pid) for process in descendants(os.getpid()))


async def measured(order: dict[str, Any]) -> dict[str, Any]:
    """The memory that the stream added, in bytes, sample by sample, and how much it did."""
    slow, scratch = order["slow"], Path(order["scratch"])
    before = _held()
    async with AsyncExitStack() as stack:
        stream = await stack.enter_async_context(
            Stream(
                wordcount,
                [Endless(Path(order["input"]))],
                state=scratch / "state",
                workers=order["workers"],
                memory=order["memory"],
                make_store=SlowStore if slow == "disk" else StateStore,
                sinks=[SlowFile(scratch / "changes")] if slow == "sink" else [],
            )
        )
        if slow == "iterator":
            await _iterate(stack, stream)
        elif slow == "subscriber":
            await _subscribe(stack, stream)
        begin = time.perf_counter()
        samples = []
        while time.perf_counter() - begin < order["seconds"]:
            await asyncio.sleep(_SAMPLE)
            samples.append(await asyncio.to_thread(_held) - before)
        stats = stream.stats()
        took = time.perf_counter() - begin
    return {"samples": samples, "epochs": stats.epoch, "bytes": stats.bytes, "seconds": took}


def main() -> None:
    """Does what the JSON object in the last argument describes, and writes a JSON object to the file `result`."""
    order = json.loads(sys.argv[1])
    found = asyncio.run(measured(order))
    Path(order["result"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
