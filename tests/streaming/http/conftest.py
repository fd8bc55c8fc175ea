from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from asyncmr.streaming.http import Address, Application, Limits, PushFeed, application, serving
from tests.streaming.http.client import Client
from tests.streaming.http.memory_view import MemoryView, Reader


class Service(Client):
    """A server, and a client of it. `reader`: the stream's end of the feed."""

    def __init__(self, address: Address, view: MemoryView, app: Application, feed: PushFeed, reader: Reader):
        super().__init__(address)
        self.view = view
        self.app = app
        self.feed = feed
        self.reader = reader


Serve = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def serve() -> Serve:
    @asynccontextmanager
    async def served(
        *, limits: Limits | None = None, commits: bool = True, capacity: int = 16 << 20, **options
    ) -> AsyncIterator[Service]:
        feed = PushFeed(capacity=capacity)
        view = MemoryView()
        reader = Reader(feed, view)
        committing = asyncio.create_task(reader.run()) if commits else None
        try:
            async with (
                application(view, feed, limits=limits, interval=0.01, **options) as app,
                serving(app, Address("127.0.0.1", 0), grace=0.1) as address,
            ):
                yield Service(address, view, app, feed, reader)
        finally:
            if committing is not None:
                committing.cancel()
                await asyncio.wait([committing])
            await reader.close()

    return served


@pytest.fixture
async def service(serve: Serve) -> AsyncIterator[Service]:
    async with serve() as service:
        yield service
