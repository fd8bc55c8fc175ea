"""GET /v1/subscribe: server-sent events, of each change or of the most frequent keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from asyncmr.errors import ClosedError
from asyncmr.streaming.http.answers import Answers
from asyncmr.streaming.http.broadcast import Broadcast, event
from asyncmr.streaming.http.encoding import statistics
from asyncmr.streaming.view import View


class EventStream(StreamingResponse):
    """Server-sent events. When the client goes away, the generator behind it is closed at once."""

    def __init__(self, events: AsyncGenerator[bytes, None], stack: ExitStack) -> None:
        super().__init__(
            events,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._events = events
        self._stack = stack

    async def stream_response(self, send: Send) -> None:
        # Starlette itself leaves a generator that it was cancelled in for the garbage collector to find.
        with self._stack:
            async with aclosing(self._events):
                await super().stream_response(send)


class Subscribe:
    """Without `k`: events `changes`, of keys with their new totals, each with an id for Last-Event-ID; `reset` where
    some are missing, and `dropped` for a client that reads too slowly.

    With `k`: the `k` largest and the statistics, whole, every `interval` seconds. A slow client skips some.
    """

    def __init__(self, view: View, answers: Answers, broadcast: Broadcast, interval: float) -> None:
        self._view = view
        self._answers = answers
        self._broadcast = broadcast
        self._interval = interval

    async def __call__(self, request: Request) -> Response:
        """The answer; a question that makes no sense is refused before it begins."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if "k" in request.query_params:
            events = self._top(*self._answers.of_query(request))
        else:
            events = self._broadcast.changes(request.headers.get("last-event-id", ""))
        with ExitStack() as stack:
            stack.enter_context(self._broadcast.seat())
            return EventStream(events, stack.pop_all())
        raise AssertionError  # for mypy, which thinks that a stack swallows errors

    async def _top(self, k: int, start: float | None) -> AsyncGenerator[bytes, None]:
        closing = self._broadcast.closing
        last = False
        while not last:
            last = closing.is_set()  # what is committed by then is still told
            try:
                epoch, top = await self._answers.ranking(k, start)
                stats = statistics(self._view.stats())
            except ClosedError:
                return
            yield event("top", {"epoch": epoch, "window": start, "top": top, "stats": stats})
            try:
                async with asyncio.timeout(self._interval):
                    await closing.wait()
            except TimeoutError:
                continue
