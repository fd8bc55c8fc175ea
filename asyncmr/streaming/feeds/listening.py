"""Lines that others send: over TCP, or over a UNIX socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Literal

from asyncmr.errors import UsageError
from asyncmr.storage.disk import finish
from asyncmr.streaming.feed import Batch, Position, Surroundings
from asyncmr.streaming.feeds.addresses import (
    inode_of,
    is_loopback,
    remove_socket,
    tcp_listener,
    unix_listener,
)
from asyncmr.streaming.feeds.clients import Clients, Limits
from asyncmr.streaming.feeds.readiness import readable

CONNECTIONS = 1024
IDLE = 300.0
# For the lines of all clients that have no end yet: of so many, a hundred may be as long as a line may be.
_HELD_LINES = 32


class _ListeningFeed:
    guarantee: Literal["at-most-once"] = "at-most-once"

    def __init__(self, name: str, connections: int, idle: float, token: str | None) -> None:
        if connections < 1 or idle <= 0:
            raise UsageError(f"{name}: connections and idle must be positive, not {connections} and {idle:g}")
        self.name = name
        self._connections = connections
        self._idle = idle
        self._token = None if token is None else token.encode()
        self._clients: Clients | None = None
        self._refused = 0
        self._listens = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._clients) if self._clients is not None else 0

    @property
    def held(self) -> int:
        """The bytes held: lines that have no end yet."""
        return self._clients.held if self._clients is not None else 0

    @property
    def refused(self) -> int:
        """Connections that were closed for a limit or want of the token, or that broke within a line."""
        return self._clients.refused if self._clients is not None else self._refused

    async def listening(self) -> None:
        """Returns when clients can connect."""
        await self._listens.wait()

    async def _listen(self, surroundings: Surroundings) -> socket.socket:
        raise NotImplementedError

    def _left(self) -> None:
        """The socket is closed."""

    async def batches(
        self, positions: Mapping[str, Position], surroundings: Surroundings, /
    ) -> AsyncGenerator[Batch, None]:
        """Never ends. Cancelled, it closes all connections.

        Raises:
            InputError: it cannot listen there.
        """
        listener = await self._listen(surroundings)
        clock = surroundings.clock
        line = surroundings.line_limit
        limits = Limits(self._connections, self._idle, line, _HELD_LINES * line)
        self._clients = clients = Clients(self.name, listener, limits, self._token)
        self._listens.set()
        try:
            while True:
                data, more = clients.read(surroundings.batch_bytes, clock.time())
                if data:
                    yield Batch(data, "", None, clock.time())
                elif more:
                    await asyncio.sleep(0)
                else:
                    clients.close_idle(clock.time())
                    await readable(clients.fileno(), clock, self._idle / 4 if clients.accepts else 1.0)
        finally:
            self._listens.clear()
            self._refused, self._clients = clients.refused, None
            clients.close()
            self._left()


class TCPFeed(_ListeningFeed):
    """Listens for lines over TCP, at most once: what a client sent is not sent again when the stream dies.

    Whoever is not read fast enough waits: nothing is read while the stream has no room. A client may be silent for
    `idle` seconds; one that sends a line beyond the limit is closed. A last line without an end counts when the client
    closes its side, not when the connection breaks. All connections are one partition, and share batches.

        Stream(job, TCPFeed("127.0.0.1", 9000))  # and then: nc 127.0.0.1 9000 < book.txt

    token: what the first line of each connection has to be. Without it, only an address of this machine's own will do.

    Raises:
        UsageError: an address that others can connect to needs a token.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        token: str | None = None,
        connections: int = CONNECTIONS,
        idle: float = IDLE,
    ) -> None:
        shown = f"[{host}]" if ":" in host else host
        super().__init__(f"tcp://{shown}:{port}", connections, idle, token)
        if token is None and not is_loopback(host):
            raise UsageError(
                f"{self.name}: others than this machine can connect to {host!r}, so a token is needed, which "
                "each client sends as its first line; give one, or listen on 127.0.0.1"
            )
        if token is not None and (not token or "\n" in token):
            raise UsageError(f"{self.name}: the token is empty, or more than a line")
        self._host = host
        self._port = port

    @property
    def port(self) -> int:
        """Where it listens: the port that the system chose, if it was to."""
        return self._port

    async def _listen(self, surroundings: Surroundings) -> socket.socket:
        listener = await _made(surroundings, tcp_listener, self._host, self._port)
        self._port = listener.getsockname()[1]
        return listener


class UnixFeed(_ListeningFeed):
    """Listens for lines at a UNIX socket that only this user can connect to; at most once, and otherwise as TCP.

    The socket is removed at the end. One that a dead process left is replaced.

        Stream(job, UnixFeed("/run/words.sock"))  # and then: nc -NU /run/words.sock < book.txt
    """

    def __init__(
        self, path: str | os.PathLike[str], *, connections: int = CONNECTIONS, idle: float = IDLE
    ) -> None:
        self._path = os.path.abspath(path)
        super().__init__(f"unix:{self._path}", connections, idle, None)

    async def _listen(self, surroundings: Surroundings) -> socket.socket:
        listener = await _made(surroundings, unix_listener, self._path)
        self._inode = inode_of(self._path)
        return listener

    def _left(self) -> None:
        remove_socket(self._path, self._inode)


async def _made(surroundings: Surroundings, make: Callable[..., socket.socket], *args: Any) -> socket.socket:
    """A socket that is made in a thread, and closed if nobody waits for it any more."""
    making = surroundings.disk.begin(make, *args)
    try:
        return await finish(making)
    except asyncio.CancelledError:
        if not making.cancelled() and making.exception() is None:
            making.result().close()
        raise
