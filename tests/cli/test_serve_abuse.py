"""A thousand clients who mean ill, and a good one that is served by the daemon all the time."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from asyncmr.streaming.http import Address
from tests.cli.test_serve import serving
from tests.streaming.http.client import Client, request

BAD = {
    "a head that does not end": b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "a body that does not come": request("POST", "/v1/ingest", {"Content-Length": "1000"}) + b"bad ",
    "a line that does not end": request("POST", "/v1/ingest", {"Transfer-Encoding": "chunked"})
    + b"10000\r\n"
    + b"x" * 9999,
    "nothing at all": b"",
}


@pytest.fixture
def _many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_descriptors")
async def test_a_good_client_is_served_among_a_thousand_that_hold_on(tmp_path):
    path = tmp_path / "lines"
    writers: list[asyncio.StreamWriter] = []
    async with serving(tmp_path, f"unix:{path}") as daemon:
        client = Client(Address.parse(daemon.url.removeprefix("http://")))
        before = psutil.Process(daemon.process.pid).memory_info().rss
        for number in range(250):
            for data in BAD.values():
                with suppress(ConnectionError):
                    _, writer = await asyncio.open_connection(*client.address)
                    writer.write(data)
                    writers.append(writer)
            _, sender = await asyncio.open_unix_connection(path)
            sender.write(b"x" * 1000)  # a line without an end
            writers.append(sender)
            if number % 50 == 0:
                assert (await client.post(b"good\n")).status == 202
        _, good = await asyncio.open_unix_connection(path)
        good.write(b"good\n")
        good.write_eof()
        writers.append(good)
        await daemon.reaches("good", 6)
        assert (await client.get("/v1/count/bad")).json["count"] == 0
        assert psutil.Process(daemon.process.pid).memory_info().rss - before < 64 << 20
        assert await daemon.ended(signal.SIGTERM) == (0, "")
    for writer in writers:
        writer.close()
