"""A day of a stream by a clock that runs fast, and what its processes hold after each hour. Run as a process.

Windows of a minute are kept for an hour, so that from the second hour on as much goes as comes: what grows then is a
leak. Somebody iterates the stream and adds up the windows that are final, and somebody asks for the most frequent
words.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import uvloop

from asyncmr import jobs
from asyncmr.actors import TaskScope
from asyncmr.streaming import Stream
from asyncmr.streaming.feed import Batch, Position, Surroundings
from benchmarks.tree import descendants, pss

HOUR = 3600.0
WINDOW = "1m retain 1h final"
# Of real time, between two commits, two batches, and two questions.
_INTERVAL = 0.02
_BEAT = 0.01
_ASK = 0.1


class FastClock:
    """The time of a stream, which passes `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start = time.time()
        self._begun = time.monotonic()

    def time(self) -> float:
        return self._start + (time.monotonic() - self._begun) * self.speed

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(max(0.0, seconds / self.speed))


class Text:
    """A feed that gives the lines of a file again and again, so many bytes a second of the stream, and then ends."""

    name = "text"
    guarantee: Literal["exactly-once"] = "exactly-once"

    def __init__(self, path: Path, clock: FastClock, *, rate: float, seconds: float) -> None:
        self._data = path.read_bytes()
        self._clock = clock
        self._seconds = seconds
        self._size = int(rate * _BEAT * clock.speed)
        self.words = 0

    async def batches(
        self, positions: Mapping[str, Position], surroundings: Surroundings, /
    ) -> AsyncGenerator[Batch, None]:
        clock = self._clock
        due = begun = clock.time()
        for block, words in cycle(list(self._blocks())):
            await clock.sleep(due - clock.time())
            if clock.time() >= begun + self._seconds:
                return
            self.words += words
            yield Batch(block, "", self.words, clock.time())
            due += _BEAT * clock.speed

    def _blocks(self) -> Iterator[tuple[bytes, int]]:
        start = 0
        while start < len(self._data):
            stop = self._data.find(b"\n", min(start + self._size, len(self._data)) - 1) + 1
            block = self._data[start:stop]
            yield block, len(block.split())
            start = stop


def held(stream: Stream, state: Path) -> dict[str, float]:
    """What the processes hold now: bytes, and numbers of other things."""
    gc.collect()
    below = [str(process.pid) for process in descendants(os.getpid())]
    stats = stream.stats()
    return {
        "epochs": stats.epoch,
        "keys": stats.keys,
        "host": pss(),
        "others": sum(map(pss, below)),
        "state": sum(path.stat().st_size for path in state.iterdir()),
        "descriptors": sum(map(_descriptors, ["self", *below])),
        "processes": 1 + len(below),
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
    }


def _descriptors(pid: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:  # it has just ended
        return 0


async def lived(order: dict[str, Any]) -> dict[str, Any]:
    """What was held after each hour.

    Raises:
        ValueError: the windows did not come to the words that were fed.
    """
    hours = order["hours"]
    clock = FastClock(hours * HOUR / order["seconds"])
    text = Text(Path(order["input"]), clock, rate=order["size"] / (hours * HOUR), seconds=hours * HOUR)
    state = Path(order["scratch"], "state")
    rows: list[dict[str, float]] = []
    total = 0
    stream = Stream(
        jobs.wordcount,
        [text],
        window=WINDOW,
        state=state,
        clock=clock,
        interval=_INTERVAL * clock.speed,
        workers=order["workers"],
    )

    async def sample() -> None:
        begun = clock.time()
        for hour in range(1, hours):
            await clock.sleep(begun + hour * HOUR - clock.time())
            rows.append(held(stream, state))

    async def ask() -> None:
        while True:
            await stream.top(10)
            await asyncio.sleep(_ASK)

    async with stream, TaskScope() as scope:
        scope.spawn(sample, name="sample")
        scope.spawn(ask, name="ask")
        async for update in stream:
            total += sum(count for _, count in update.changes)
        scope.cancel()
        rows.append(held(stream, state))
    if total != text.words:
        raise ValueError(f"wrong output: {total:,} words in the windows, and {text.words:,} were fed")
    return {"rows": rows, "words": total}


def main() -> None:
    """Does what the JSON object in the last argument describes, and writes a JSON object to the file `result`."""
    order = json.loads(sys.argv[1])
    found = uvloop.run(lived(order))
    Path(order["result"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
