"""asyncmr's stream over TCP: another process sends the files as fast as they are taken."""

from __future__ import annotations

import asyncio
import sys

from asyncmr import jobs
from asyncmr.streaming.feeds import TCPFeed
from benchmarks.peers.streamed import count
from benchmarks.peers.task import Peer, Task

_SEND = """
import socket, sys
port, *paths = sys.argv[1:]
with socket.create_connection(("127.0.0.1", int(port))) as connection:
    for path in paths:
        with open(path, "rb") as file:
            connection.sendfile(file)
"""


def run(task: Task) -> None:
    feed = TCPFeed("127.0.0.1", 0)

    async def send() -> None:
        await feed.listening()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SEND, str(feed.port), *map(str, task.inputs))
        )
        if await process.wait():
            raise RuntimeError(f"the sender failed, exit status {process.returncode}")

    count(task, jobs.wordcount, [feed], lambda: asyncio.ensure_future(send()))


PEER = Peer("**asyncmr** stream over TCP, durable", {"W8": run}, modules=("uvloop",))
