"""A server inside an event loop that somebody else runs: no signal handlers, no exit, nothing left behind."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
from uvicorn.config import Config
from uvicorn.server import ServerState

from asyncmr.errors import UsageError
from asyncmr.streaming.http.application import Application
from asyncmr.streaming.http.connections import Connection

# Seconds to tell clients that the stream has failed.
_LAST_WORDS = 0.2


class Address(NamedTuple):
    """Where a server listens. Port 0: any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `HOST:PORT`, `[::1]:PORT` or `:PORT`, which is loopback.

        Raises:
            UsageError: it is none of these.
        """
        host, colon, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if (
            not colon
            or not (port.isascii() and port.isdecimal())
            or int(port) > 65535
            or (":" in bare and bare == host)
        ):
            raise UsageError(
                f"{text!r} is no address to listen on; write HOST:PORT, as 127.0.0.1:8080 or [::1]:8080"
            )
        return cls(bare or "127.0.0.1", int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine gets there."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _check(app: Application, address: Address) -> None:
    if not app.has_token and not address.is_loopback:
        raise UsageError(
            f"listening on {address} would let everybody on the network in; add --token-file FILE, or listen on "
            "127.0.0.1"
        )


@asynccontextmanager
async def serving(app: Application, address: Address, *, grace: float = 5.0) -> AsyncGenerator[Address, None]:
    """Serves `app` for as long as the block; gives the address, with the port that it got.

    At the end it takes no more connections, ends subscriptions, and lets requests under way finish for `grace` seconds;
    when it is left by an error or a cancellation, those who post are told, and all others are cut off.

    Raises:
        UsageError: the address cannot be listened on, or would let the network in without a token.
    """
    _check(app, address)
    limits = app.lobby.limits
    config = Config(
        app.asgi,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(limits.header_seconds) + 1,  # ours comes first
        h11_max_incomplete_event_size=limits.header_bytes,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    listener = _bound(address)
    server = await loop.create_server(
        lambda: Connection(app.lobby, config, state, {}), sock=listener, backlog=config.backlog
    )
    host, port = listener.getsockname()[:2]
    try:
        yield Address(host, port)
        server.close()
        app.broadcast.close()
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=grace)
    except BaseException:
        server.close()
        app.broadcast.close()
        app.abandon()
        with anyio.CancelScope(shield=True):
            if state.tasks:  # what they are told now is that the stream has ended
                await asyncio.wait(state.tasks, timeout=min(grace, _LAST_WORDS))
        raise
    finally:
        server.close()
        app.broadcast.close()
        with anyio.CancelScope(shield=True):
            for task in (tasks := list(state.tasks)):
                task.cancel()
            for connection in list(state.connections):
                if isinstance(connection, Connection):
                    connection.abort()
            if tasks:
                await asyncio.wait(tasks)
            if state.connections:
                await app.lobby.empty.wait()
            await server.wait_closed()


def _bound(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    host = "127.0.0.1" if address.host == "localhost" else address.host
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, address.port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(
            f"could not listen on {address}: {reason}; choose another with --listen HOST:PORT"
        ) from None
    return listener
