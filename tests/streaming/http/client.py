"""A client that writes exactly the bytes it is given, over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from asyncmr.streaming.http import Address


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    def __init__(self, address: Address) -> None:
        self.address = address

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError):  # the server was first
                await writer.wait_closed()

    async def raw(self, data: bytes) -> Answer:
        async with self.connected() as (reader, writer):
            writer.write(data)
            return await answer(reader)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.raw(request("GET", path, headers))

    async def post(self, body: bytes, path: str = "/v1/ingest", **headers: str) -> Answer:
        return await self.raw(request("POST", path, {"Content-Length": str(len(body)), **headers}) + body)

    @asynccontextmanager
    async def events(self, path: str = "/v1/subscribe", **headers: str) -> AsyncIterator[AsyncIterator[dict]]:
        async with self.connected() as (reader, writer):
            writer.write(request("GET", path, headers))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            yield _events(reader)


def request(method: str, path: str, headers: dict[str, str], *, close: bool = True) -> bytes:
    lines = {"Host": "localhost", **({"Connection": "close"} if close else {})}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode()


async def answer(reader: asyncio.StreamReader) -> Answer:
    """An answer whose length is told, or that ends with the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = headers.get("content-length")
    body = await reader.read() if length is None else await reader.readexactly(int(length))
    return Answer(int(status.split()[1]), headers, body)


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[dict]:
    """Each event: its fields by name, with data read as JSON."""
    event: dict[str, Any] = {}
    while line := await reader.readline():
        text = line.decode().strip("\r\n")
        name, _, value = text.partition(": ")
        if name in ("id", "event", "data"):
            event[name] = json.loads(value) if name == "data" else value
        elif not text and event:
            yield event
            event = {}
