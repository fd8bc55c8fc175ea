"""A daemon under a fixed load of text, and how soon what is sent can be seen. Run as a process.

`asyncmr serve` counts the words of what is appended to a log, sent over TCP or posted, so many a second. Every 50 ms
what is sent ends with a word that never was before, and the daemon is asked over HTTP, again and again, until it
counts it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.client import Client
from benchmarks.host import summary

TICK = 0.05
_ASK_AGAIN = 0.005
_POST_AGAIN = 0.1
_WAIT = 60.0

Send = Callable[[bytes], Awaitable[object]]


class Text:
    """Endless text, in blocks that are sent again and again; each has the words of a tick at this rate."""

    def __init__(self, path: Path, rate: float) -> None:
        data = path.read_bytes()
        size = int(len(data) / len(data.split()) * rate * TICK)
        cuts = [0]
        while cuts[-1] + size < len(data):
            cuts.append(data.find(b"\n", cuts[-1] + size) + 1)
        self._blocks = [data[start:stop] for start, stop in pairwise(cuts)]
        self.sent = 0

    def next(self) -> bytes:
        block = self._blocks[self.sent % len(self._blocks)]
        self.sent += 1
        return block

    def counts(self) -> Counter[str]:
        """The words of all that was sent."""
        rounds, more = divmod(self.sent, len(self._blocks))
        found = Counter[str]()
        for number, block in enumerate(self._blocks):
            for word, times in Counter(block.decode().split()).items():
                found[word] += times * (rounds + (number < more))
        return found


class Marks:
    """The words that are waited for, one a tick. Those of the first `warm` seconds are not timed."""

    def __init__(self, client: Client, warm: float) -> None:
        self._client = client
        self._warm = warm
        self._sent: dict[str, tuple[int, float]] = {}
        self._number = 0
        self._done = False
        self.seconds: list[float] = []

    def next(self) -> bytes:
        """A line with a new one, which is about to be sent."""
        word = f"mark-{self._number}"
        self._sent[word] = self._number, time.perf_counter()
        self._number += 1
        return f"{word}\n".encode()

    def end(self) -> None:
        """There are no more."""
        self._done = True

    async def look(self) -> None:
        """Asks for all that are not there, again and again: each answer waits for the commit under way.

        Raises:
            ValueError: one was counted twice.
        """
        while self._sent or not self._done:
            await asyncio.sleep(_ASK_AGAIN)
            asked = list(self._sent.items())
            counts = await asyncio.gather(*(self._count(word) for word, _ in asked))
            now = time.perf_counter()
            for (word, (number, sent)), count in zip(asked, counts, strict=True):
                if count > 1:
                    raise ValueError(f"wrong output: {word} was sent once and counted {count} times")
                if count:
                    del self._sent[word]
                    if number * TICK >= self._warm:
                        self.seconds.append(now - sent)

    async def _count(self, word: str) -> int:
        return int((await self._client.get(f"/v1/count/{word}"))["count"])


@asynccontextmanager
async def daemon(order: dict[str, Any], source: str | None) -> AsyncIterator[int]:
    """`asyncmr serve`; gives the port at which it answers."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asyncmr", "serve", *([] if source is None else [source])),
        *("--state", os.path.join(order["scratch"], "state"), "--listen", "127.0.0.1:0"),
        *("--workers", str(order["workers"])),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    while not (line := await process.stderr.readline()).startswith(b"asyncmr: serving http://"):
        said += line
        if not line:
            raise RuntimeError(f"the daemon did not start: {said.decode(errors='replace')}")
    echo = asyncio.ensure_future(_echo(process.stderr))
    try:
        yield int(line.rstrip(b"/\n").rpartition(b":")[2])
    finally:
        process.terminate()
        await process.wait()
        await echo


async def _echo(stream: asyncio.StreamReader) -> None:
    async for line in stream:
        sys.stderr.buffer.write(line)


@asynccontextmanager
async def appending(path: Path) -> AsyncIterator[Send]:
    """Appends to a log."""
    with open(path, "ab", buffering=0) as file:  # noqa: ASYNC230 as who writes a log does

        async def send(block: bytes) -> None:
            file.write(block)

        yield send


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Send]:
    """Sends over one connection, as soon as it is taken: the daemon says that it serves when it answers HTTP."""
    async with asyncio.timeout(_WAIT):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(_ASK_AGAIN)

    async def send(block: bytes) -> None:
        writer.write(block)
        await writer.drain()

    yield send
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def posting(port: int) -> AsyncIterator[Send]:
    """Posts each block, over as many connections as wait for their answers; what is refused is posted again."""
    client = Client(port)
    posts = set[asyncio.Task[None]]()

    async def post(block: bytes, token: str) -> None:
        while (status := await client.post("/v1/ingest", block, token)) == 429:  # noqa: ASYNC110
            await asyncio.sleep(_POST_AGAIN)
        if status != 202:
            raise RuntimeError(f"a post was answered by {status}")

    number = 0

    async def send(block: bytes) -> None:
        nonlocal number
        number += 1
        task = asyncio.ensure_future(post(block, str(number)))
        posts.add(task)
        task.add_done_callback(posts.discard)

    yield send
    await asyncio.gather(*posts)
    await client.close()


async def measured(order: dict[str, Any]) -> dict[str, Any]:
    """Latencies in milliseconds, and the words a second that were sent."""
    way = order["way"]
    log = Path(order["scratch"], "log")
    tcp = order["tcp_port"]
    source = {"tail": f"tail:{log}", "tcp": f"tcp://127.0.0.1:{tcp}", "post": None}[way]
    text = Text(Path(order["input"]), order["rate"])
    async with daemon(order, source) as port:
        client = Client(port)
        marks = Marks(client, order["warm"])
        sending = {
            "tail": lambda: appending(log),
            "tcp": lambda: connected(tcp),
            "post": lambda: posting(port),
        }
        looking = asyncio.ensure_future(marks.look())
        try:
            async with sending[way]() as send:
                begin = time.perf_counter()
                ticks = int((order["warm"] + order["seconds"]) / TICK)
                for tick in range(ticks):
                    await asyncio.sleep(max(0.0, begin + tick * TICK - time.perf_counter()))
                    await send(text.next() + marks.next())
                took = time.perf_counter() - begin
            marks.end()
            async with asyncio.timeout(_WAIT):
                await looking
            counts = text.counts()
            top = (await client.get("/v1/top?k=100"))["top"]
        finally:
            looking.cancel()
            await client.close()
    if {row["key"]: row["value"] for row in top} != dict(_most(counts, 100)):
        raise ValueError("wrong output: the most frequent words were not counted right")
    return {**summary(marks.seconds), "rate": (counts.total() + ticks) / took}


def _most(counts: Counter[str], k: int) -> list[tuple[str, int]]:
    """As the daemon ranks them: of words that are as frequent as others, those first in the order of words."""
    return sorted(counts.items(), key=lambda found: (-found[1], found[0]))[:k]


def main() -> None:
    """Does what the JSON object in the last argument describes, and writes a JSON object to the file `result`."""
    order = json.loads(sys.argv[1])
    Path(order["scratch"], "log").touch()
    found = asyncio.run(measured(order))
    Path(order["result"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
