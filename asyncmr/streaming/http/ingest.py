"""POST /v1/ingest: lines in, and an answer when they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request

from asyncmr.errors import ClosedError, PushFull, TokenReused, UsageError
from asyncmr.streaming.http.bodies import Body
from asyncmr.streaming.http.encoding import Json
from asyncmr.streaming.http.limits import Limits
from asyncmr.streaming.http.push_feed import PushFeed

# What curl sends when it is told nothing is among them.
_TYPES = frozenset({
    "", "text/plain", "application/x-ndjson", "application/jsonl", "application/jsonlines", "application/gzip",
    "application/octet-stream", "application/x-www-form-urlencoded",
})  # fmt: skip
_LATER = {"Retry-After": "1"}


class Ingest:
    """Takes the lines of a request. `ready`: whether the stream takes any now."""

    def __init__(self, feed: PushFeed, limits: Limits, ready: Callable[[], bool]) -> None:
        self._feed = feed
        self._limits = limits
        self._ready = ready

    async def __call__(self, request: Request) -> Json:
        """202 when the lines are durable; 429 or 503, with Retry-After, when they are to be sent again."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _TYPES:
            raise HTTPException(415, "send lines: text/plain, or JSON lines as application/x-ndjson")
        token = _token(request)
        try:
            if not self._ready():
                raise ClosedError("the stream is starting or ending, and takes no lines")
            with Body(request, self._feed, self._limits) as body:
                data = await body.read()
                body.release()  # the feed takes the same room for them, in the same step of the loop
                durable = self._feed.push(data, token)
            async with asyncio.timeout(self._limits.commit_seconds):
                await durable
        except PushFull as error:
            raise HTTPException(429, str(error), _LATER) from None
        except ClosedError as error:
            raise HTTPException(503, str(error), _LATER) from None
        except TokenReused:
            raise HTTPException(
                422,
                "this Idempotency-Key came before with another body; nothing was taken: give each body its own",
            ) from None
        except UsageError as error:
            raise HTTPException(413, str(error)) from None
        except TimeoutError:
            raise HTTPException(
                503,
                f"the lines were not durable within {self._limits.commit_seconds:g} s, and may yet be counted; "
                "send them again with the same Idempotency-Key",
                _LATER,
            ) from None
        lines = data.count(b"\n") + (not data.endswith(b"\n") if data else 0)
        return Json({"lines": lines, "bytes": len(data)}, 202)


def _token(request: Request) -> str | None:
    token = request.headers.get("idempotency-key")
    if token is not None and not (1 <= len(token) <= 200 and token.isascii() and token.isprintable()):
        raise HTTPException(400, "an Idempotency-Key is 1 to 200 printable ASCII characters")
    return token
