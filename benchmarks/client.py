"""A client under whose fixed load an HTTP server stands: `python -m benchmarks.client PORT RATE SECONDS`.

Requests are due at fixed times, whether earlier ones were answered or not, and latency counts from when a request
was due: a server that stands still for a second makes a second's worth of requests late, not one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Connections that are kept open, as many as there are requests at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._all: list[Connection] = []
        self._free: list[Connection] = []

    async def hello(self, number: int) -> None:
        """One request to the endpoint of `benchmarks.host`.

        Raises:
            ValueError: the answer is not the right one.
        """
        answer = await self.get(f"/hello?number={number}")
        if answer != {"number": number}:
            raise ValueError(f"request {number} was answered by {answer!r}")

    async def get(self, target: str) -> Any:
        """The JSON that answers a request."""
        _, answer = await self._ask(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        return answer

    async def post(self, target: str, body: bytes, token: str) -> int:
        """Posts text; the status of the answer. `token`: by which a request that is repeated is known."""
        head = f"POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n"
        head += f"idempotency-key: {token}\r\ncontent-length: {len(body)}\r\n\r\n"
        status, _ = await self._ask(head.encode(), body)
        return status

    async def _ask(self, *request: bytes) -> tuple[int, Any]:
        if not self._free:
            self._free.append(await asyncio.open_connection("127.0.0.1", self._port))
            self._all.append(self._free[-1])
        reader, writer = self._free.pop()
        writer.writelines(request)
        await writer.drain()
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        answer = json.loads(await reader.readexactly(length))
        self._free.append((reader, writer))
        return int(first.split()[1]), answer

    async def close(self) -> None:
        for _, writer in self._all:
            writer.close()
        for _, writer in self._all:
            await writer.wait_closed()


async def drive(port: int, rate: float, seconds: float) -> list[float]:
    """The latencies, in seconds, of `rate` requests a second.

    Raises:
        ValueError: an answer is not the right one.
    """
    client = Client(port)
    latencies = []

    async def request(number: int, due: float) -> None:
        await client.hello(number)
        latencies.append(time.perf_counter() - due)

    begin = time.perf_counter() + 0.1
    tasks = []
    try:
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.ensure_future(request(number, due)))
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
    return latencies


if __name__ == "__main__":
    print(json.dumps(asyncio.run(drive(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))))
