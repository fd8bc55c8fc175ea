"""What stands before every answer: who may ask, from which page, for how long, and the headers of all answers.

The server listens on loopback, where every page in the user's browser can reach it. Two things keep strange pages out:
the Host must be a name of ours (a name that was rebound to 127.0.0.1 is not), and the Origin, where a browser tells
one, the page of that very host.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Callable, Collection, Iterable
from email.utils import formatdate

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asyncmr.streaming.http.encoding import Json, escaped
from asyncmr.streaming.http.limits import Limits

log = logging.getLogger("asyncmr.http")

# They tell nothing of the stream: the page asks for the token before it asks for anything else.
_OPEN = frozenset({"/", "/healthz", "/readyz"})
# They look at the time themselves.
_LONG = frozenset({"/v1/ingest", "/v1/subscribe"})

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

Observer = Callable[[Scope, int, float], None]


class Guard:
    """Lets in what may come in.

    `names`: of this server, beside localhost and addresses. `token`: to be brought by whoever asks about the stream.
    `observe`: told of each answer: its scope, status and seconds.
    """

    def __init__(
        self, app: ASGIApp, *, limits: Limits, names: Iterable[str], token: bytes | None, observe: Observer
    ) -> None:
        self._app = app
        self._limits = limits
        self._names = frozenset(name.lower().rstrip(".") for name in names) | {"localhost"}
        self._token = token
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("Date", formatdate(usegmt=True))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, send_safely)
            elif scope["path"] in _LONG:
                await self._app(scope, receive, send_safely)
            else:
                await self._in_time(scope, receive, send_safely, lambda: status)
        finally:
            seconds = time.perf_counter() - began
            self._observe(scope, status, seconds)
            log.debug("%s %s: %d in %.4f s", scope["method"], escaped(scope["path"]), status, seconds)

    async def _in_time(self, scope: Scope, receive: Receive, send: Send, status: Callable[[], int]) -> None:
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                await self._app(scope, receive, send)
        except TimeoutError:
            if status():
                raise
            answer = Json(
                {"error": "the stream did not answer in time; try again"}, 503, {"Retry-After": "1"}
            )
            await answer(scope, receive, send)

    def _refusal(self, scope: Scope) -> Json | None:
        # h11 looks at this only while a head is incomplete.
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self._limits.header_bytes:
            return Json(
                {"error": f"the headers of a request may have {self._limits.header_bytes:,} bytes"}, 431
            )
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not _is_known(_name_of(host), self._names):
            return Json(
                {
                    "error": "this server is not known by the name in the Host header; --allow-host NAME makes it so"
                },
                421,
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return Json({"error": "a page from elsewhere may not ask here"}, 403)
        strange = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if strange and not (scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"):
            return Json({"error": "a page from elsewhere may not ask here"}, 403)
        if self._token is None or scope["path"] in _OPEN:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            return None
        return Json(
            {"error": "this needs the token of the server, as in the header: Authorization: Bearer TOKEN"},
            401,
            {"WWW-Authenticate": 'Bearer realm="asyncmr"'},
        )


def _name_of(host: str) -> str:
    """The Host header without its port, brackets and last dot."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    return name.removeprefix("[").removesuffix("]").lower().rstrip(".")


def _is_known(name: str, names: Collection[str]) -> bool:
    if name in names:
        return True
    try:
        ipaddress.ip_address(name)  # nobody can rebind an address
    except ValueError:
        return False
    return True
