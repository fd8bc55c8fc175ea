"""The routes of a stream, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from asyncmr.errors import ClosedError, UsageError
from asyncmr.streaming.http.answers import Answers
from asyncmr.streaming.http.broadcast import Broadcast
from asyncmr.streaming.http.connections import Lobby
from asyncmr.streaming.http.encoding import Json
from asyncmr.streaming.http.guard import Guard
from asyncmr.streaming.http.history import History
from asyncmr.streaming.http.ingest import Ingest
from asyncmr.streaming.http.limits import Limits
from asyncmr.streaming.http.metrics import Metrics
from asyncmr.streaming.http.page import Page
from asyncmr.streaming.http.push_feed import PushFeed
from asyncmr.streaming.http.subscribe import Subscribe
from asyncmr.streaming.view import View


class _Key(Convertor[str]):
    """The rest of a path, whatever it is made of; starlette's own leaves out line ends."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _Key())


@dataclass(eq=False, slots=True)
class Application:
    """What a server serves. `asgi`: for a server. `ready`: whether it is to be sent requests. `feed`: what takes the
    lines that are posted. `history`: how fast the stream was. `lobby`: the server's connections. `has_token`: whether
    it asks for one.
    """

    asgi: Starlette
    broadcast: Broadcast
    history: History
    lobby: Lobby
    feed: PushFeed | None
    has_token: bool
    ready: bool = field(default=True)

    def retire(self) -> None:
        """The stream is about to end: `/readyz` says so, and no more lines are taken. Those whose posts are on their
        way are told; everything else is answered as before."""
        self.ready = False
        self.lobby.dismiss_senders()

    def abandon(self) -> None:
        """The stream has failed: those who wait for their lines to be durable are told."""
        self.retire()
        if self.feed is not None:
            self.feed.abandon()


@asynccontextmanager
async def application(
    view: View,
    feed: PushFeed | None = None,
    *,
    limits: Limits | None = None,
    names: Iterable[str] = (),
    token: bytes | None = None,
    noun: str = "key",
    interval: float = 0.5,
) -> AsyncGenerator[Application, None]:
    """The HTTP face of a stream, for as long as the block.

    `feed`: takes what is posted, and is one of the stream's feeds; without one there is no `/v1/ingest`. `names`: what
    the server is called in URLs, beside localhost and addresses. `token`: what every request but for the page and the
    health has to bring. `noun`: what the page calls a key, such as "word". `interval`: seconds between two events of
    the page.
    """
    limits = limits or Limits()
    answers = Answers(view, limits)
    broadcast = Broadcast(view, limits)
    lobby = Lobby(limits)
    history = History(view)
    made: Application

    async def healthy(_request: Request) -> Response:
        return Json({"status": "ok"})

    async def ready(_request: Request) -> Response:
        return Json({"status": "ready"}) if made.ready else Json({"error": "the stream is ending"}, 503)

    routes = [
        Route("/v1/top", answers.top),
        Route("/v1/count/{word:key}", answers.count),
        Route("/v1/count", answers.count),
        Route("/v1/windows", answers.windows),
        Route("/v1/stats", answers.stats),
        Route("/v1/history", history.__call__),
        Route("/v1/subscribe", Subscribe(view, answers, broadcast, interval).__call__),
        Route("/healthz", healthy),
        Route("/readyz", ready),
        Route("/", Page(noun).__call__),
    ]
    if feed is not None:
        routes.append(
            Route("/v1/ingest", Ingest(feed, limits, lambda: made.ready).__call__, methods=["POST"])
        )
    names_of = {route.endpoint: route.path.replace(":key", "") for route in routes}

    def route_of(scope: Scope) -> str:
        endpoint = scope.get("endpoint")
        return "other" if endpoint is None else names_of.get(endpoint, "other")

    metrics = Metrics(view, broadcast, lobby, feed, route_of)
    routes.append(Route("/metrics", metrics.__call__))
    names_of[metrics.__call__] = "/metrics"
    guard = Middleware(Guard, limits=limits, names=names, token=token, observe=metrics.observe)
    handlers = {HTTPException: _refused, UsageError: _senseless, ClosedError: _closed, Exception: _failed}
    asgi = Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)
    asgi.router.redirect_slashes = False  # a redirect would repeat the Host of the request
    made = Application(asgi, broadcast, history, lobby, feed, token is not None)
    # A task and not a task group, which would have to be left in the task that entered it: fixtures do not.
    telling = asyncio.create_task(broadcast.run(), name="asyncmr-broadcast")
    telling.add_done_callback(lambda _: broadcast.close())
    noting = asyncio.create_task(history.run(), name="asyncmr-history")
    try:
        yield made
    except BaseException:
        made.abandon()
        raise
    finally:
        telling.cancel()
        noting.cancel()
        with anyio.CancelScope(shield=True):
            await answers.close()
            await asyncio.wait([telling, noting])
    if not telling.cancelled():
        telling.result()  # raises what the stream's updates raised


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    detail = error.detail
    if error.status_code == 404:
        detail = (
            "there is nothing here; there are /v1/top, /v1/count/WORD, /v1/windows, /v1/stats, /v1/history, "
            "/v1/subscribe, /v1/ingest (where lines are taken), /metrics, and the page at /"
        )
    elif error.status_code == 405:
        detail = f"this takes another method: {headers.get('Allow', 'GET')}"
    return Json({"error": detail}, error.status_code, headers)


async def _senseless(_request: Request, error: Exception) -> Response:
    return Json({"error": str(error)}, 400)


async def _closed(_request: Request, _error: Exception) -> Response:
    return Json(
        {"error": "the stream is starting or ending; try again in a moment"}, 503, {"Retry-After": "1"}
    )


async def _failed(_request: Request, _error: Exception) -> Response:
    # What went wrong is in the log, with its traceback; it may name files and records, which are not for everybody.
    return Json({"error": "the server failed to answer this; its log says why"}, 500)
