"""The client under whose load the endpoint stands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.client import drive


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[int]:
    """Answers every request by `answer`, with `%d` for the number asked for."""

    tasks = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        while head := await reader.read(1000):
            number = int(head.split(b"number=")[1].split()[0])
            body = answer.replace(b"%d", b"%d" % number)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]
        await asyncio.gather(*tasks)


async def test_every_request_has_a_latency():
    async with server(b'{"number": %d}') as port:
        latencies = await drive(port, rate=1000, seconds=0.05)
    assert len(latencies) == 50
    assert min(latencies) > 0


async def test_a_wrong_answer_is_an_error():
    async with server(b'{"number": 0}') as port:
        with pytest.raises(ValueError, match="request 1 was answered by"):
            await drive(port, rate=1000, seconds=0.002)
