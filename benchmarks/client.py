"""A client under whose fixed load an HTTP server stands: `python -m benchmarks.client PORT RATE SECONDS`.

Requests are due at fixed times, whether earlier ones were answered or not, and latency counts from when a request
was due: a server that stands still for a second makes a second's worth of requests late, not one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Connections that are kept open, as many as there are requests at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._all: list[Connection] = []
        self._free: list[Connection] = []

    async def get(self, number: int) -> None:
        """One request.

        Raises:
            ValueError: the answer is not the right one.
        """
        if not self._free:
            self._free.append(await asyncio.open_connection("127.0.0.1", self._port))
            self._all.append(self._free[-1])
        reader, writer = self._free.pop()
        writer.write(f"GET /hello?number={number} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        answer = json.loads(await reader.readexactly(length))
        if answer != {"number": number}:
            raise ValueError(f"request {number} was answered by {answer!r}")
        self._free.append((reader, writer))

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
        await client.get(number)
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
